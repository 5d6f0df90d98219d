#include "runtime/scheduler.h"

#include <algorithm>
#include <tuple>

namespace outpost {

Scheduler::Scheduler(const Limits& limits)
    : limits_(limits), n_fitting_(limits.slice_ms > 0 ? std::min(limits.n_least, limits.n_slice) : limits.n_slice) {}

int32_t Scheduler::slice_tokens(double now_ms) const {
  if (is_key_expected(now_ms)) return n_fitting_;
  return std::max(n_fitting_, std::min(limits_.n_least, limits_.n_slice));
}

void Scheduler::add(uint64_t id, Priority priority, double now_ms, int32_t n_pending) {
  tasks_.emplace(id, Task{id, priority, n_pending, now_ms, n_passes_});
  if (priority == Priority::kInline) last_inline_ms_ = now_ms;
}

void Scheduler::remove(uint64_t id) {
  tasks_.erase(id);
  for (auto& [other_id, other] : tasks_) other.is_waiting = false;
}

int Scheduler::urgency(const Task& task, double now_ms) const {
  const int aged = static_cast<int>(std::max(0.0, now_ms - task.last_ms) / kAgeingMs);
  return std::max(0, static_cast<int>(task.priority) - aged);
}

std::vector<Share> Scheduler::plan(double now_ms) const {
  std::vector<const Task*> order;
  bool has_inline = false;
  for (const auto& [id, task] : tasks_) {
    if (task.is_waiting) continue;
    order.push_back(&task);
    has_inline = has_inline || task.priority == Priority::kInline;
  }
  const auto key = [&](const Task* task) { return std::tuple(urgency(*task, now_ms), task->last_pass, task->id); };
  std::sort(order.begin(), order.end(), [&](const Task* a, const Task* b) { return key(a) < key(b); });

  std::vector<Share> shares;
  // Nobody is more urgent than an inline completion, which may take all that the device likes.
  const bool is_inline_first = !order.empty() && order.front()->priority == Priority::kInline;
  const bool is_alone =
      !is_key_expected(now_ms) && (order.size() < 2 || urgency(*order[0], now_ms) < urgency(*order[1], now_ms));
  int32_t n_left = is_inline_first ? limits_.n_slice : slice_tokens(now_ms);
  if (is_alone) n_left = std::max(n_left, std::min(limits_.n_alone, limits_.n_slice));
  for (const Task* task : order) {
    if (static_cast<int32_t>(shares.size()) == limits_.n_sequences) break;
    const bool is_first = shares.empty();
    // Replies of others come along for a small part of a pass; but nobody's rows lengthen one that an inline
    // completion waits for, except that of a request which has aged.
    if (!is_first && has_inline && task->priority != Priority::kInline) continue;
    if (task->is_prompt()) {
      // A prompt is worked on while its class is the most urgent.
      if (n_left <= 0 || (!is_first && urgency(*task, now_ms) != urgency(*order.front(), now_ms))) continue;
      // A reply that is ready goes first: its passes are short, and the prompt's turn is the next one.
      if (!is_first && !order.front()->is_prompt()) continue;
      const int32_t n = std::min(task->n_pending, n_left);
      n_left -= n;
      shares.push_back({task->id, n});
    } else {
      shares.push_back({task->id, task->n_pending});
    }
  }
  return shares;
}

bool Scheduler::may_be_overtaken(uint64_t id, double now_ms) const {
  const Task& task = tasks_.at(id);
  return task.priority != Priority::kInline && now_ms - task.last_ms < kAgeingMs;
}

void Scheduler::ran(uint64_t id, double now_ms) {
  Task& task = tasks_.at(id);
  task.last_ms = now_ms;
  task.last_pass = ++n_passes_;
  if (task.priority == Priority::kInline) last_inline_ms_ = now_ms;
}

void Scheduler::observe_slice(int32_t n_prompt, double ms) {
  const int32_t n_least = std::min(kBesideInline, limits_.n_slice);
  if (limits_.slice_ms <= 0 || n_prompt < n_least || ms <= 0) return;
  const double fitting = n_prompt * limits_.slice_ms / ms;
  // At most half or double at once: one pass may have been disturbed, or have started cold.
  const double next = std::clamp(fitting, n_fitting_ * 0.5, n_fitting_ * 2.0);
  n_fitting_ = std::clamp(static_cast<int32_t>(next), n_least, limits_.n_slice);
}

bool Scheduler::limit_slice(int32_t n_slice) {
  if (n_slice >= limits_.n_slice) return false;
  limits_.n_slice = n_slice;
  n_fitting_ = std::min(n_fitting_, n_slice);
  return true;
}

void Scheduler::hold_pages(uint64_t id, bool holds) {
  Task& task = tasks_.at(id);
  task.holds_pages = holds;
  if (holds) task.is_waiting = false;
}

std::optional<uint64_t> Scheduler::victim_for(uint64_t id) const {
  const Task& asking = tasks_.at(id);
  const auto value = [](const Task& task) { return std::pair(task.priority, task.id); };
  const Task* least = nullptr;
  for (const auto& [other_id, task] : tasks_) {
    if (!task.holds_pages || value(task) <= value(asking)) continue;
    if (least == nullptr || value(task) > value(*least)) least = &task;
  }
  return least == nullptr ? std::nullopt : std::optional(least->id);
}

bool Scheduler::others_hold_pages(uint64_t id) const {
  return std::any_of(tasks_.begin(), tasks_.end(), [&](auto& t) { return t.first != id && t.second.holds_pages; });
}

int32_t Scheduler::n_waiting() const {
  return static_cast<int32_t>(std::count_if(tasks_.begin(), tasks_.end(), [](auto& t) { return t.second.is_waiting; }));
}

}  // namespace outpost
