// Work on the processor that somebody waits for goes first: while it runs, the thread pools of others rest between two
// of their items. So an inline completion does not share the cores with a long prompt of another model.
#pragma once

namespace outpost {

/// Marks this thread's work as urgent, or not, for as long as it lives.
class UrgentThread {
 public:
  explicit UrgentThread(bool is_urgent);
  ~UrgentThread();
  UrgentThread(const UrgentThread&) = delete;
  UrgentThread& operator=(const UrgentThread&) = delete;
  static bool is_current();

 private:
  const bool before_;
};

/// While it lives, pools that do not run for an urgent thread rest. Made by a thread that computes at once: one that
/// still waits for a lock could wait for a thread that rests. Does nothing for a thread that is not urgent.
class UrgentTurn {
 public:
  UrgentTurn();
  ~UrgentTurn();
  UrgentTurn(const UrgentTurn&) = delete;
  UrgentTurn& operator=(const UrgentTurn&) = delete;

 private:
  const bool is_urgent_;
};

/// Returns when no turn is taken: at once, nearly always.
void rest_while_urgent();

}  // namespace outpost
