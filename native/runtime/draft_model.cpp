#include "runtime/draft_model.h"

#include <algorithm>
#include <chrono>

#include "core/strings.h"
#include "core/urgent_work.h"

namespace outpost {
namespace {

/// A prompt is computed in parts, as for any model: scratch memory grows with the largest pass.
constexpr size_t kChunk = 128;
/// Prompts of which the draft model has more to read than this for one draft are not worth it.
constexpr size_t kMostUnread = 4096;
/// What a draft model has to read between two drafts of a reply that it drafts all the time, at most.
constexpr size_t kUsualUnread = 16;

bool same_tokens(const Vocabulary& a, const Vocabulary& b) {
  if (a.type() != b.type() || a.n_tokens() != b.n_tokens()) return false;
  for (int32_t id = 0; id < a.n_tokens(); ++id) {
    if (a.text(id) != b.text(id) || a.kind(id) != b.kind(id)) return false;
  }
  return true;
}

}  // namespace

DraftCompatibility draft_compatibility(const Model& target, const Model& draft) {
  using Kind = DraftCompatibility::Kind;
  if (&target == &draft) return {Kind::kNone, "A model cannot draft for itself: it would cost as much as it saves."};
  const ModelInfo &large = target.info(), &small = draft.info();
  if (2 * small.weight_bytes > large.weight_bytes) {
    return {Kind::kNone, concat("It is not small enough: ", small.weight_bytes >> 20,
                                " MiB of weights, of which at most half of the ", large.weight_bytes >> 20, " MiB of ",
                                in_quotes(large.name), " would make replies faster.")};
  }
  const auto& target_vocabulary = dynamic_cast<const LoadedModel&>(target).tokenizer().vocabulary();
  const auto& draft_vocabulary = dynamic_cast<const LoadedModel&>(draft).tokenizer().vocabulary();
  if (same_tokens(target_vocabulary, draft_vocabulary)) return {Kind::kSameTokens, ""};
  return {Kind::kSameText, concat("Its vocabulary differs (", small.n_vocab, " tokens, not ", large.n_vocab,
                                  "): drafts are tokenized anew, which makes them shorter.")};
}

DraftModel::DraftModel(std::shared_ptr<const LoadedModel> draft, std::shared_ptr<const LoadedModel> target,
                       int32_t n_ctx)
    : draft_(std::move(draft)),
      target_(std::move(target)),
      n_ctx_(std::min(n_ctx, draft_->info().n_ctx_train)),
      kv_(draft_->stages(), draft_->network().kv_shape(), 2 * ((n_ctx_ + kKvPageSize - 1) / kKvPageSize)),
      logits_(*draft_) {
  const DraftCompatibility fit = draft_compatibility(*target_, *draft_);
  if (fit.kind == DraftCompatibility::Kind::kNone) {
    throw EngineError(ErrorCode::kInvalidArgument, concat(in_quotes(draft_->info().name), " cannot draft for ",
                                                          in_quotes(target_->info().name), ". ", fit.reason));
  }
  has_same_tokens_ = fit.kind == DraftCompatibility::Kind::kSameTokens;
}

DraftSequence::~DraftSequence() {
  if (sequence_ != nullptr) model_.kv().retire(std::move(sequence_));
}

void DraftSequence::compute(std::span<const int32_t> tokens, int32_t n_best) {
  const SequenceRun run{sequence_->page_table, sequence_->n_past(), static_cast<int32_t>(tokens.size())};
  const int32_t last_row = run.n_tokens - 1;
  Network& network = model_.model().network();
  {
    const std::lock_guard lock(model_.model().device_mutex());
    const UrgentTurn turn;
    model_.logits().compute(
        network, {tokens, {&run, 1}, {&last_row, 1}, model_.n_ctx()}, {&n_best, 1},
        [&](const Batch& batch, std::span<float> logits) { network.forward(batch, model_.kv().storage(), logits); });
  }
  sequence_->tokens.insert(sequence_->tokens.end(), tokens.begin(), tokens.end());
}

/// Computes `tokens` as far as that is not done, the last one at least. @return false if it cannot be done
bool DraftSequence::catch_up(std::span<const int32_t> tokens, int32_t n_best) {
  if (tokens.empty() || static_cast<int32_t>(tokens.size()) >= model_.n_ctx()) return false;
  if (sequence_ == nullptr) {
    sequence_ = model_.kv().begin(tokens, static_cast<int32_t>(tokens.size()));
    if (sequence_ == nullptr) return false;
  } else {
    const auto known = std::span<const int32_t>(sequence_->tokens);
    const auto n_common = std::mismatch(known.begin(), known.end(), tokens.begin(), tokens.end()).first - known.begin();
    model_.kv().truncate(*sequence_, std::min(static_cast<int32_t>(n_common), static_cast<int32_t>(tokens.size()) - 1));
  }
  if (!model_.kv().extend(*sequence_, static_cast<int32_t>(tokens.size()))) return false;
  auto unread = tokens.subspan(static_cast<size_t>(sequence_->n_past()));
  if (unread.size() > kMostUnread) return false;
  while (!unread.empty()) {
    // Reading the prompt, or what was said while nobody asked, is no part of what a draft costs.
    if (unread.size() <= kUsualUnread) started_ = Clock::now();
    const size_t n = unread.size() <= kUsualUnread ? unread.size() : std::min(unread.size() - kUsualUnread, kChunk);
    compute(unread.first(n), n_best);
    unread = unread.subspan(n);
  }
  return true;
}

std::vector<int32_t> DraftSequence::draft(const Reply& reply, int32_t n) {
  started_ = Clock::now();
  auto tokens = model_.has_same_tokens() ? draft_same_tokens(reply, n) : draft_same_text(reply, n);
  observe_price(std::chrono::duration<double, std::milli>(Clock::now() - started_).count(), tokens.size());
  return tokens;
}

std::vector<int32_t> DraftSequence::draft_same_tokens(const Reply& reply, int32_t n) {
  const int32_t n_best = reply.n_best();
  if (!catch_up(reply.history(), n_best)) return {};
  return draw_ahead(reply, sampler_, model_.model().tokenizer(), model_.logits(), n, [&](int32_t id) {
    const int32_t n_positions = sequence_->n_past() + 1;
    if (n_positions >= model_.n_ctx() || !model_.kv().extend(*sequence_, n_positions)) return false;
    compute({&id, 1}, n_best);
    return true;
  });
}

std::vector<int32_t> DraftSequence::draft_same_text(const Reply& reply, int32_t n) {
  const Tokenizer& own = model_.model().tokenizer();
  const Tokenizer& target = model_.target().tokenizer();
  const TokenizeOptions options{};
  // What the target said since, at the end of the text. Only what that can change is tokenized.
  std::string added;
  for (; n_read_ < reply.history().size(); ++n_read_) added += target.bytes(reply.history()[n_read_]);
  const size_t n_before = text_.size();
  text_ += added;
  if (n_before == 0) {
    text_tokens_ = own.encode_with_begins(text_, options);
  } else {
    own.retokenize(text_tokens_, {n_before, 0, added.size()}, text_, options);
  }
  Sampler best({.temperature = 0});
  if (!catch_up(text_tokens_.ids, best.n_best())) return {};
  std::string drafted;
  // Tokens of the draft model may be shorter than the target's: two for each, and one to see where the last one ends.
  std::vector<int32_t> ids = text_tokens_.ids;
  for (int32_t i = 0; i <= 2 * n; ++i) {
    const int32_t id = best.sample(model_.logits().row(0), {});
    if (own.vocabulary().is_end(id) || static_cast<int32_t>(ids.size()) + 1 >= model_.n_ctx()) break;
    drafted += own.bytes(id);
    ids.push_back(id);
    if (static_cast<int32_t>(target.encode_inside(drafted).size()) > n) break;
    if (!model_.kv().extend(*sequence_, static_cast<int32_t>(ids.size()))) break;
    compute({&id, 1}, best.n_best());
  }
  std::vector<int32_t> tokens = target.encode_inside(drafted);
  if (!tokens.empty()) tokens.pop_back();  // what comes next may belong to it
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(n)));
  return tokens;
}

}  // namespace outpost
