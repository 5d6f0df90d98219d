// Drafts by the head for further tokens that a model has (NextTokenHead). It goes on from what the model has computed
// at the last position, and has keys and values of its own for a window of positions before it.
//
// Where it is not asked for long, or positions are missing because they were found in the cache, it begins a new
// window: it sees less then, and nothing else changes.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "runtime/computed_source.h"
#include "runtime/loaded_model.h"

namespace outpost {

/// The head of an engine's model, and the memory of all its windows.
class MtpDrafts {
 public:
  /// @pre the model has a head @throws EngineError kOutOfMemory
  MtpDrafts(std::shared_ptr<const LoadedModel> model, int32_t n_ctx);

  const LoadedModel& model() const { return *model_; }
  NextTokenHead& head() const { return *model_->network().head(); }
  KvStorage& kv() { return *kv_; }
  /// Of the last token that any of its windows computed.
  RowLogits& logits() { return logits_; }
  uint64_t kv_bytes() const { return kv_->size_bytes(); }
  int32_t n_ctx() const { return n_ctx_; }
  /// Appends pages until there is room for n positions. @return false if there are too few; it keeps what it got
  bool extend(std::vector<int32_t>& pages, int32_t n_positions);
  void give_back(std::vector<int32_t>& pages);

 private:
  std::shared_ptr<const LoadedModel> model_;
  int32_t n_ctx_;
  std::unique_ptr<KvStorage> kv_;
  std::vector<int32_t> free_;
  RowLogits logits_;
};

/// Its place in one reply.
class MtpSequence final : public ComputedSource {
 public:
  explicit MtpSequence(MtpDrafts& drafts) : drafts_(drafts) {}
  ~MtpSequence() override { drafts_.give_back(pages_); }

  DraftSource source() const override { return DraftSource::kMtp; }
  std::vector<int32_t> draft(const Reply& reply, int32_t n) override;
  bool wants_hidden() const override { return true; }
  void follow(int32_t first, std::span<const float> hidden) override;

 private:
  using Clock = std::chrono::steady_clock;

  size_t n_embd() const { return static_cast<size_t>(drafts_.model().info().n_embd); }
  int32_t n_unread() const { return static_cast<int32_t>(unread_.size() / n_embd()); }
  void begin_window(int32_t position);
  /// @param n_best as RowLogits takes it, of the last token
  void compute(std::span<const int32_t> tokens, std::span<const float> hidden, int32_t n_best);

  MtpDrafts& drafts_;
  // The window: positions [begin_, begin_ + n_read_) were read, with the tokens behind them, and are final; those of
  // unread_ follow, of which the last ones may be refused. Row i of the window is its position i.
  int32_t begin_ = 0, n_read_ = 0;
  std::vector<int32_t> pages_;
  std::vector<float> unread_;  // [n_unread, n_embd]
  std::vector<float> hidden_;  // the head's own, of the last rows it computed
  int32_t n_computed_ = 0;     // rows of the window, drafted ones included
  Sampler sampler_{SamplerParams{}};
};

}  // namespace outpost
