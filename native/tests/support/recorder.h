// A sink that remembers what a request reported, can hold the decode thread at a chosen moment, and can be waited for.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/utf8.h"
#include "engine.h"

namespace outpost::test {

/// Outlives the engine that it is given to. The fields are the decode thread's until `wait` has returned.
class Recorder {
 public:
  std::vector<std::pair<int32_t, int32_t>> prefill;  ///< n_done, n_total
  std::vector<std::string> pieces;                   ///< of the text, as they came
  std::vector<int32_t> n_decoded;                    ///< with each piece
  StopReason reason = StopReason::kError;
  GenerateStats stats;
  std::optional<ErrorCode> error;
  int n_done_calls = 0;
  int n_late_calls = 0;  ///< after on_done

  /// Called on the decode thread before the event is recorded.
  std::function<void(int32_t n_done)> on_prefill;
  std::function<void(int32_t n_decoded)> on_text;
  std::function<void()> on_done;

  std::string text() const {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
  }

  GenerateSink sink() {
    GenerateSink sink;
    sink.on_prefill = [this](int32_t n_done, int32_t n_total) {
      if (on_prefill) on_prefill(n_done);
      if (n_done_calls > 0) ++n_late_calls;
      prefill.emplace_back(n_done, n_total);
    };
    sink.on_text = [this](std::string_view text, int32_t n) {
      if (on_text) on_text(n);
      if (n_done_calls > 0) ++n_late_calls;
      pieces.emplace_back(text);
      n_decoded.push_back(n);
    };
    sink.on_done = [this](StopReason reason_, const GenerateStats& stats_, const EngineError* error_) {
      if (on_done) on_done();
      const std::lock_guard lock(mutex_);
      reason = reason_;
      stats = stats_;
      if (error_ != nullptr) error = error_->code();
      ++n_done_calls;
      done_.notify_all();
    };
    return sink;
  }

  void wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return n_done_calls > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
};

/// Holds whoever passes until it is opened, and lets others wait until somebody has arrived.
class Turnstile {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    has_arrived_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void wait_for_arrival() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return has_arrived_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_arrived_ = false, is_open_ = false;
};

}  // namespace outpost::test
