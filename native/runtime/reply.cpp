#include "runtime/reply.h"

#include <algorithm>
#include <optional>

#include "core/strings.h"
#include "runtime/grammar_filter.h"

namespace outpost {

Reply::Reply(const LoadedModel& model, const GenerateRequest& request, int32_t n_ctx,
             std::shared_ptr<GrammarProgram> grammar)
    : model_(model),
      n_predict_(request.n_predict),
      n_ctx_(n_ctx),
      wants_log_probs_(request.log_probs),
      sampler_(request.sampler),
      text_(request.stop),
      history_(request.tokens),
      grammar_(std::move(grammar)) {
  if (!request.begin_with.empty()) begin_ = model.tokenizer().bytes_after(request.tokens.back(), request.begin_with);
  if (grammar_ != nullptr) grammar_state_ = grammar_->start();
}

int32_t Reply::n_left() const {
  return std::min(n_predict_ - n_decoded_, n_ctx_ + 1 - static_cast<int32_t>(history_.size()));
}

/// The tokens that may come: `allowed_`, or what the grammar allows if that is empty.
void Reply::find_allowed() {
  const std::string_view rest = begin_rest();
  model_.prefix_index().find(rest, allowed_);
  if (rest.empty()) return;
  if (grammar_ != nullptr) {
    // What a token says beyond the text must be how the grammar begins.
    std::erase_if(allowed_, [&](int32_t id) {
      const std::string_view bytes = model_.tokenizer().bytes(id);
      return bytes.size() > rest.size() &&
             grammar_->next(grammar_state_, bytes.substr(rest.size())) == GrammarProgram::kDead;
    });
  }
  if (allowed_.empty()) {
    throw EngineError(ErrorCode::kInvalidArgument, concat("The model has no token that the text ", in_quotes(rest),
                                                          " could begin with, and the reply must begin so."));
  }
}

int32_t Reply::n_best() const { return grammar_ == nullptr && begin_rest().empty() ? sampler_.n_best() : 0; }

Reply::Step Reply::next(const LogitRow& row) {
  find_allowed();
  std::optional<GrammarFilter> filter;
  if (grammar_ != nullptr && allowed_.empty()) filter.emplace(*grammar_, grammar_state_);
  Step step{sampler_.sample(row, history_, allowed_, filter ? &*filter : nullptr), {}, false, {}};
  const std::string_view bytes = model_.tokenizer().bytes(step.id);
  const size_t n_begun = std::min(bytes.size(), begin_rest().size());
  step.says_more = n_begun == begin_rest().size() && (begin_rest().empty() || bytes.size() > n_begun);
  if (model_.tokenizer().vocabulary().is_end(step.id)) {
    step.reason = StopReason::kEndOfText;
    return step;
  }
  if (wants_log_probs_ && step.says_more)
    log_probs_.push_back(
        static_cast<float>(sampler_.log_probability(row, step.id, allowed_, filter ? &*filter : nullptr)));
  ++n_decoded_;
  history_.push_back(step.id);
  n_begun_ += n_begun;
  if (grammar_ != nullptr) grammar_state_ = grammar_->next(grammar_state_, bytes.substr(n_begun));
  step.text = text_.push(bytes.substr(n_begun));
  if (text_.is_stopped()) {
    step.reason = StopReason::kStopString;
  } else if (grammar() != nullptr && grammar_->must_end(grammar_state_)) {
    step.reason = StopReason::kEndOfText;
  } else if (n_decoded_ == n_predict_) {
    step.reason = StopReason::kLength;
  } else if (static_cast<int32_t>(history_.size()) > n_ctx_) {
    step.reason = StopReason::kContextFull;
  }
  return step;
}

}  // namespace outpost
