// What the emulator accuses a kernel of.
#pragma once

#include <stdexcept>
#include <string>

namespace outpost::emulator {

enum class FaultKind {
  kOutOfBounds,
  kMisaligned,         ///< an access that is not a multiple of its size, or finer than the elements of the array
  kReadOnly,           ///< a write to an input
  kUninitializedRead,  ///< of an element that nobody has written: shared memory starts without values in every block
  kTooEarly,           ///< a thread of a launch that may start early uses what a launch before it may still work on
  kRace,               ///< two threads at one element, one of them writing, with nothing between them that orders them
  kBarrierDivergence,  ///< not all threads of a block come to the same barrier
  kWarpDivergence,     ///< not all lanes of a warp come to the same shuffle, vote, sync or matrix product, or not all
                       ///< warps of a warpgroup
  kDeadlock,           ///< threads wait for a phase of an mbarrier that never ends
  kMbarrier,      ///< what is no mbarrier, or was not published, or is told of more arrivals or bytes than it takes
  kProduct,       ///< registers of a warpgroup's product without a fence before it or a wait after it, or an operand
                  ///< in shared memory that is not there as the matrix units read it
  kSharedMemory,  ///< more than every device has, or arrays that differ between threads
  kBadLaunch,     ///< a grid or block that no device runs, or a stack that is too small
};

/// Thrown by `launch`; the kernel is then over. The text names thread, block, array and place.
class Fault : public std::runtime_error {
 public:
  Fault(FaultKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  FaultKind kind() const { return kind_; }

 private:
  FaultKind kind_;
};

}  // namespace outpost::emulator
