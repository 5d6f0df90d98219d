// Working memory of forward passes, taken and given back like a stack.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "engine.h"

namespace outpost {

/// Grows to what the largest pass needs and keeps it, until one has no room. Not thread-safe.
class Scratch {
  /// What is taken: the chunks before `chunk`, and the first `used` elements of it.
  struct Top {
    size_t chunk = 0, used = 0;
  };

 public:
  explicit Scratch(Backend& backend) : backend_(backend) {}

  /// f32 [n_rows, n_cols], uninitialized, until the surrounding Frame ends.
  /// @throws EngineError kOutOfMemory
  DeviceSpan<float> take(int64_t n_rows, int64_t n_cols) {
    const auto size = static_cast<size_t>(n_rows * n_cols);
    const size_t padded = (size + 15) / 16 * 16;  // whole cache lines: no two threads write to one
    while (top_.chunk < chunks_.size() && chunks_[top_.chunk]->span().size - top_.used < padded)
      top_ = {top_.chunk + 1, 0};
    if (top_.chunk == chunks_.size()) chunks_.push_back(backend_.alloc_f32(std::max(padded, total_size())));
    float* data = chunks_[top_.chunk]->span().data + top_.used;
    top_.used += padded;
    return {data, size};
  }

  /// A pass of the backend whose operations take their memory from here. One that finds too little gives back all that
  /// there is, so that one of fewer tokens has room.
  DeviceSpan<const float> run_pass(const PassInputs& inputs,
                                   const std::function<DeviceSpan<const float>()>& operations) {
    try {
      return backend_.run_pass(inputs, [&] {
        const Frame frame(*this);
        return operations();
      });
    } catch (const EngineError& error) {
      if (error.code() == ErrorCode::kOutOfMemory) chunks_.clear();
      throw;
    }
  }

  /// Gives back at its end what was taken after its begin.
  class Frame {
   public:
    explicit Frame(Scratch& scratch) : scratch_(scratch), begin_(scratch.top_) {}
    ~Frame() { scratch_.top_ = begin_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Scratch& scratch_;
    Top begin_;
  };

 private:
  size_t total_size() const {
    size_t size = 0;
    for (const auto& chunk : chunks_) size += chunk->span().size;
    return size;
  }

  Backend& backend_;
  std::vector<std::unique_ptr<Buffer>> chunks_;
  Top top_;
};

}  // namespace outpost
