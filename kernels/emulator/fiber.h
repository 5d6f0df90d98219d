// A function with a stack of its own that can stop in the middle and go on later: a thread of an emulated block.
// Fibers of one host thread run one at a time; nothing here is for use from two host threads at once.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace outpost::emulator {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Sets what the next `resume` begins with; whatever the fiber was doing is forgotten, and its objects are not
  /// destroyed. `body` must outlive the run and must not throw.
  void start(const std::function<void()>& body);
  /// Runs until a body suspends or returns: this one, or one that took its place. Not from inside a fiber.
  void resume();
  /// Back to `resume`.
  static void suspend();
  /// Suspends the fiber that runs now and lets `next`, another one, run in its place. Where both are in the same
  /// functions, as threads of a block mostly are, the processor foresees whereto each of these returns, which it does
  /// not on a way through `resume`.
  static void suspend_for(Fiber& next);
  bool is_finished() const;
  /// Whether the body went beyond its stack: told by a mark at the end of it, so only after the fact.
  bool has_overflowed() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outpost::emulator
