// Who runs in the next pass. Policy only: no threads, no clock, no model; the engine asks and obeys.
//
// Classes in order, inline before chat before agent before background. A request that has waited for kAgeing counts as
// one class higher, after twice that as two: nobody starves, and an aged request delays the others by one slice.
// Inside a class whoever waited longest. Replies are computed together, many in one pass; a prompt takes slices.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "engine.h"

namespace outpost {

/// A request's part of a pass.
struct Share {
  uint64_t id;
  int32_t n_tokens;  ///< of what it has to compute before it can say its next token
};

class Scheduler {
 public:
  struct Limits {
    int32_t n_slice = 256;     ///< most prompt tokens in a pass
    double slice_ms = 12;      ///< how long they should take; 0: always n_slice
    int32_t n_sequences = 32;  ///< most requests in a pass
    /// Smaller slices read the weights too often for each token, or leave much of a GPU idle. Where this many take
    /// longer than a slice should, others wait longer. The first slices have this many: what a token costs is not known
    /// before.
    int32_t n_least = 32;
    /// Slices are to have this many while nobody as urgent has work, whatever they take, and nobody types.
    int32_t n_alone = 0;
  };
  static constexpr double kAgeingMs = 250;
  /// For so long after an inline request the next one is expected: who types pauses less. Slices may be as small as
  /// kBesideInline then, so that one ends before it comes, or soon after.
  static constexpr double kInlineMs = 1000;
  static constexpr int32_t kBesideInline = 8;

  explicit Scheduler(const Limits& limits);

  /// @param n_pending tokens to compute before it can say its next one
  void add(uint64_t id, Priority priority, double now_ms, int32_t n_pending);
  void remove(uint64_t id);
  void set_pending(uint64_t id, int32_t n_pending) { tasks_.at(id).n_pending = n_pending; }

  /// The shares of the next pass, the most urgent first; none if nobody can run.
  std::vector<Share> plan(double now_ms) const;
  /// Whether a pass in which the request takes part may be given up for one that is more urgent: not when it has waited
  /// so long that it counts as such itself. So it gets one pass in kAgeingMs at least.
  bool may_be_overtaken(uint64_t id, double now_ms) const;
  /// The request took part in a pass that ended now.
  void ran(uint64_t id, double now_ms);
  /// What a pass took, of which n_prompt tokens belonged to prompts: the size of slices follows.
  void observe_slice(int32_t n_prompt, double ms);
  /// From now on no pass has more tokens of prompts. @return whether it might have had
  bool limit_slice(int32_t n_slice);

  /// Memory. A request that waits for pages is not planned again until another one has ended: those that a less urgent
  /// request had to give up are spoken for, and trying for them in turns would let nobody get on. The most urgent
  /// request can have all pages, so that it never waits, and always gets to its end.
  void hold_pages(uint64_t id, bool holds);
  void wait_for_pages(uint64_t id) { tasks_.at(id).is_waiting = true; }
  /// Whose pages `id` may take: the least urgent request that holds some and is less urgent than itself, by class and
  /// then by arrival. Two requests never take pages from each other in turns, and the first always gets on.
  std::optional<uint64_t> victim_for(uint64_t id) const;

  bool others_hold_pages(uint64_t id) const;

  size_t size() const { return tasks_.size(); }
  int32_t n_waiting() const;
  int32_t slice_tokens(double now_ms) const;

 private:
  struct Task {
    uint64_t id;
    Priority priority;
    int32_t n_pending;
    double last_ms;      // when it ran last, or arrived
    uint64_t last_pass;  // likewise, in passes: a tie-breaker that does not depend on the clock
    bool holds_pages = false;
    bool is_waiting = false;

    bool is_prompt() const { return n_pending > 1; }
  };
  int urgency(const Task& task, double now_ms) const;
  bool is_key_expected(double now_ms) const { return now_ms - last_inline_ms_ < kInlineMs; }

  Limits limits_;
  int32_t n_fitting_;  // tokens that take slice_ms, of kBesideInline to n_slice
  double last_inline_ms_ = -kInlineMs;
  uint64_t n_passes_ = 0;
  std::map<uint64_t, Task> tasks_;  // by id, which is the order of arrival
};

}  // namespace outpost
