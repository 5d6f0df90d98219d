// A smaller model that drafts for a larger one. Where both have the same tokens it says what it would choose with the
// random numbers that the target is going to draw, so that agreeing distributions agree in their draws; otherwise its
// text is tokenized for the target. Belongs to the decode thread of one engine.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kv/kv_cache.h"
#include "runtime/computed_source.h"
#include "runtime/loaded_model.h"

namespace outpost {

/// The draft model of an engine and its own keys and values.
class DraftModel {
 public:
  /// @throws EngineError kInvalidArgument if the two do not fit, with the reason; kOutOfMemory
  DraftModel(std::shared_ptr<const LoadedModel> draft, std::shared_ptr<const LoadedModel> target, int32_t n_ctx);

  const LoadedModel& model() const { return *draft_; }
  const LoadedModel& target() const { return *target_; }
  bool has_same_tokens() const { return has_same_tokens_; }
  KvCache& kv() { return kv_; }
  /// Of the last token that any of its sequences computed.
  RowLogits& logits() { return logits_; }
  int32_t n_ctx() const { return n_ctx_; }

 private:
  std::shared_ptr<const LoadedModel> draft_, target_;
  bool has_same_tokens_;
  int32_t n_ctx_;
  KvCache kv_;
  RowLogits logits_;
};

/// Its place in one reply.
class DraftSequence final : public ComputedSource {
 public:
  explicit DraftSequence(DraftModel& model) : model_(model) {}
  ~DraftSequence() override;

  DraftSource source() const override { return DraftSource::kModel; }
  /// Costs what the model has not seen of the reply, and a pass for each token.
  std::vector<int32_t> draft(const Reply& reply, int32_t n) override;

 private:
  using Clock = std::chrono::steady_clock;

  // @param n_best as RowLogits takes it, of the last token
  bool catch_up(std::span<const int32_t> tokens, int32_t n_best);
  void compute(std::span<const int32_t> tokens, int32_t n_best);
  std::vector<int32_t> draft_same_tokens(const Reply& reply, int32_t n);
  std::vector<int32_t> draft_same_text(const Reply& reply, int32_t n);

  DraftModel& model_;
  std::unique_ptr<KvSequence> sequence_;
  Sampler sampler_{SamplerParams{}};
  Clock::time_point started_;  // of the last draft, when what it had to read first was read
  // For models of different tokens: the target's history as text, and as tokens of the draft model.
  TokenizedText text_tokens_;
  std::string text_;
  size_t n_read_ = 0;  // tokens of the target's history that are in it
};

}  // namespace outpost
