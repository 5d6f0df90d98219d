// Barriers in shared memory whose phases threads wait for, and the bulk copies that they count: PTX ISA, "mbarrier" and
// "cp.async.bulk".
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "kernels/emulator/memory.h"

namespace outpost::emulator {

/// Those of a block. A phase ends when as many have arrived as `init` said and every byte that was expected has come;
/// who waits for it sees what was before the arrivals, and the copies.
class Mbarriers {
 public:
  explicit Mbarriers(BlockOrder& order) : order_(order) {}

  void init(Pointer<uint64_t> at, uint32_t n_arrivals);
  /// Lets copies count on what this thread has initialized.
  void publish();
  void arrive(Pointer<uint64_t> at, uint32_t n_expected_bytes);
  /// Arrives for copies of this thread, of which the last has this number; they are all that is seen by who waits.
  void arrive_for_copies(Pointer<uint64_t> at, uint32_t last);
  /// Until the phase of this parity is over; the one before the first counts as over.
  void wait(Pointer<uint64_t> at, uint32_t parity);
  /// Starts a bulk copy. Its bytes are there at once, but only who waits for the phase may read them.
  void copy(Pointer<uint8_t> to, Pointer<const uint8_t> from, uint32_t n_bytes, Pointer<uint64_t> at);

  /// Of a thread that waits: for what. Empty if none does.
  std::string describe_waiting() const;

 private:
  struct Mbarrier {
    Pointer<uint64_t> at;
    size_t agent;     ///< of its bulk copies, whose time is the number of phases at the end of theirs
    int initialized;  ///< by which thread
    uint32_t n_arrivals;
    uint32_t n_missing;  ///< arrivals, in this phase
    bool is_published = false;
    int64_t n_bytes = 0;  ///< expected, less those that have come
    uint32_t phase = 0;
    GatheredTimes arrived{};  ///< what is ordered before the end of this phase
    SharedTimes over{};       ///< and of the last
    std::vector<int> waiting{};
  };

  Mbarrier& find(Pointer<uint64_t> at);
  void count_bytes(Mbarrier& mbarrier, int64_t n);
  void count_arrival(Mbarrier& mbarrier);
  void end_phase_if_complete(Mbarrier& mbarrier);

  BlockOrder& order_;
  std::deque<Mbarrier> mbarriers_;  // threads that wait hold references
};

}  // namespace outpost::emulator
