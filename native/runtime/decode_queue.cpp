#include "runtime/decode_queue.h"

#include <algorithm>
#include <chrono>

namespace outpost {

void DecodeQueue::submit(std::shared_ptr<Request> request) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(request);
    if (request->params.priority == Priority::kInline) has_inline_ = true;
    requests_.emplace(request->id, std::move(request));
    stats_.n_active = static_cast<int32_t>(requests_.size());
  }
  wake_.notify_one();
}

void DecodeQueue::cancel(uint64_t request_id) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = requests_.find(request_id);
    if (it == requests_.end()) return;
    it->second->is_cancelled = true;
  }
  wake_.notify_one();  // of a pause
}

CacheFile DecodeQueue::run(Task task) {
  auto result = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
  return result.get();
}

void DecodeQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    for (auto& [id, request] : requests_) request->is_cancelled = true;
  }
  wake_.notify_one();
}

EngineStats DecodeQueue::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

std::optional<DecodeQueue::Work> DecodeQueue::take() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return is_closed_ || !requests_.empty() || !tasks_.empty(); });
  if (requests_.empty() && tasks_.empty()) return std::nullopt;
  Work work;
  work.arrived.swap(arrived_);
  work.tasks.swap(tasks_);
  has_inline_ = false;
  return work;
}

void DecodeQueue::remove(uint64_t request_id) {
  const std::lock_guard lock(mutex_);
  requests_.erase(request_id);
  stats_.n_active = static_cast<int32_t>(requests_.size());
}

double DecodeQueue::pause(double ms, Request::Clock::time_point end) {
  using Clock = Request::Clock;
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const auto start = Clock::now();
  end = std::min(end, start + std::chrono::duration_cast<Clock::duration>(Milliseconds(ms)));
  const auto is_cancelled = [](const auto& known) { return known.second->is_cancelled.load(); };
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, end, [&] {
    return is_closed_ || !arrived_.empty() || !tasks_.empty() || std::ranges::any_of(requests_, is_cancelled);
  });
  return Milliseconds(Clock::now() - start).count();
}

}  // namespace outpost
