// The buffers of a process on Metal, and memory of the host that was lent to it, found by any address of the host
// inside them.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "kernels/metal/metal_device.h"

namespace outpost::metal {

struct Place {
  Buffer* buffer = nullptr;  ///< null: nowhere
  size_t offset = 0;
  bool is_lent = false;  ///< nobody may write there
};

/// What came of lending memory.
enum class Lending { kDone, kOutOfMemory, kImpossible };

/// Not for several threads at once.
class Memory {
 public:
  /// Null if there is no room: beyond what Metal recommends the system would move others' memory out.
  void* add(size_t n_bytes, bool is_pinned);
  /// Memory of the host as runtime.h has it, in the pages that hold it: neighbours may share one.
  Lending lend(const void* data, size_t n_bytes);
  /// @return false if nothing begins at this address
  bool remove(const void* data);

  /// Where n bytes are, all in one buffer.
  Place find(const void* address, size_t n_bytes) const;

  /// What kernels call this address, or 0 if it is nowhere: from here on they may find the buffer by it.
  uint64_t device_address(const void* address);
  /// Calls `visit` for the buffers that kernels may find so, those that became so after the first n_known.
  /// @return how many there have been
  uint64_t visit_addressed(uint64_t n_known, const std::function<void(const Buffer&)>& visit) const;

  static size_t n_bytes();  ///< that there are
  static size_t n_free();

 private:
  struct Deleter {
    void operator()(Buffer* buffer) const { destroy_buffer(buffer); }
  };
  struct Allocation {
    std::unique_ptr<Buffer, Deleter> buffer;
    size_t offset = 0;  ///< of its first byte in the buffer
    size_t n_bytes = 0;
    bool is_lent = false;
    uint64_t addressed = 0;  ///< its key in addressed_; 0: in none
  };
  using Allocations = std::map<uintptr_t, Allocation>;  // by their first byte; none has bytes of another

  Allocations::const_iterator holder(const void* address) const;

  Allocations allocations_;
  std::map<uint64_t, const Buffer*> addressed_;
  uint64_t n_addressed_ = 0;
};

}  // namespace outpost::metal
