// What a reply has said so far and what it may say next. Every token of every reply is chosen by `next`, whether it was
// drafted or not: so a draft cannot change what is said. Belongs to the decode thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "grammar/grammar_program.h"
#include "runtime/loaded_model.h"
#include "runtime/text_stream.h"
#include "sampling/sampler.h"

namespace outpost {

class Reply {
 public:
  /// @param grammar of what follows begin_with; may be null
  /// @throws EngineError kInvalidArgument for wrong sampler parameters
  Reply(const LoadedModel& model, const GenerateRequest& request, int32_t n_ctx,
        std::shared_ptr<GrammarProgram> grammar);

  struct Step {
    int32_t id;
    std::string text;                  ///< what became certain of the text
    bool says_more = false;            ///< than what it must begin with
    std::optional<StopReason> reason;  ///< why the reply is over, if it is
  };
  /// Chooses the next token. @param row what follows the last token of `history`
  /// @throws EngineError kInternal, kInvalidArgument if no token can be said
  Step next(const LogitRow& row);
  /// As of the sampler, for this token and those after it.
  int32_t n_best() const;

  /// What was held back, when nothing more comes.
  std::string finish() { return text_.finish(); }

  /// Prompt and reply.
  std::span<const int32_t> history() const { return history_; }
  std::span<const int32_t> said() const { return std::span(history_).last(static_cast<size_t>(n_decoded_)); }
  int32_t n_decoded() const { return n_decoded_; }
  /// Of each token that said more than begin_with; empty unless the request asks for it.
  const std::vector<float>& log_probs() const { return log_probs_; }
  /// The most tokens that could still come.
  int32_t n_left() const;

  /// For guesses of what `next` will choose. The grammar is null where none applies, or not yet.
  const Sampler& sampler() const { return sampler_; }
  GrammarProgram* grammar() const { return begin_rest().empty() ? grammar_.get() : nullptr; }
  GrammarProgram::State grammar_state() const { return grammar_state_; }
  std::vector<int32_t> encode_inside(std::string_view text) const { return model_.tokenizer().encode_inside(text); }

 private:
  std::string_view begin_rest() const { return std::string_view(begin_).substr(n_begun_); }
  void find_allowed();

  const LoadedModel& model_;
  const int32_t n_predict_, n_ctx_;
  const bool wants_log_probs_;
  Sampler sampler_;
  TextStream text_;
  std::vector<int32_t> history_;
  int32_t n_decoded_ = 0;
  std::vector<float> log_probs_;
  std::string begin_;   // bytes that the reply's tokens must begin with
  size_t n_begun_ = 0;  // of these, said so far
  std::shared_ptr<GrammarProgram> grammar_;
  GrammarProgram::State grammar_state_ = GrammarProgram::kDead;
  std::vector<int32_t> allowed_;  // the same memory for every token
};

}  // namespace outpost
