// Between the decode thread and all others: requests that came, what is to be done while no pass runs, and what the
// engine says of itself.
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine.h"
#include "runtime/request.h"

namespace outpost {

class DecodeQueue {
 public:
  using Task = std::packaged_task<CacheFile()>;

  // ---- any thread

  void submit(std::shared_ptr<Request> request);
  /// Nothing happens if there is no such request, or none any more.
  void cancel(uint64_t request_id);
  /// Has the decode thread do something while no pass runs, and waits for it. @throws what it throws
  CacheFile run(Task task);
  /// Cancels every request. `take` ends when they are over.
  void close();
  EngineStats stats() const;

  // ---- the decode thread

  struct Work {
    std::vector<std::shared_ptr<Request>> arrived;
    std::vector<Task> tasks;
  };
  /// What came since the last call; waits while there is nothing to do at all.
  /// @return nothing if it was closed and every request is over
  std::optional<Work> take();
  /// A request is over.
  void remove(uint64_t request_id);
  /// Returns when something comes, when a request is cancelled, after so long, or at `end`. @return how long it was, in
  /// milliseconds
  double pause(double ms, Request::Clock::time_point end);
  /// Whether an inline request came that was not taken yet.
  bool has_inline() const { return has_inline_; }
  void change_stats(auto&& change) {
    const std::lock_guard lock(mutex_);
    change(stats_);
  }

 private:
  std::atomic<bool> has_inline_ = false;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<uint64_t, std::shared_ptr<Request>> requests_;  // those that are not over, by id
  std::vector<std::shared_ptr<Request>> arrived_;          // of these, not yet taken
  std::vector<Task> tasks_;
  EngineStats stats_;
  bool is_closed_ = false;
};

}  // namespace outpost
