// What a device that is emulated has allocated: arrays without types, each found by any address inside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "kernels/emulator/memory.h"

namespace outpost::emulator {

class Allocations {
 public:
  /// @param shift what the device's addresses are beyond those of the process
  explicit Allocations(int64_t shift = 0) : shift_(shift) {}

  /// What the device has, in bytes. @pre no more than that is in use
  void set_n_bytes(size_t n_bytes) { n_bytes_ = n_bytes; }
  size_t n_bytes() const { return n_bytes_; }
  size_t n_used() const { return n_used_; }

  /// @param is_counted whether it is the device's own memory, which can run out
  /// @return null if it has
  Region* add(size_t n_bytes, RegionKind kind, bool is_counted);
  /// Memory of the host at its own address, which nobody writes while the device has it. Null as above.
  Region* lend(std::span<const std::byte> bytes);
  /// @throws Fault if nothing begins at this address
  void remove(int64_t address);

  int64_t address_of(Region& region) const { return reinterpret_cast<intptr_t>(region.data()) + shift_; }
  /// The array that holds an address, or ends there: such an address may be made, and not be used. Null if there is
  /// none (any more).
  Region* find(int64_t address, int64_t& offset);
  /// The same. @throws Fault if there is none
  Region* at(int64_t address, int64_t& offset);
  /// Where n bytes are. @throws Fault
  Region* at(int64_t address, size_t n_bytes, int64_t& offset);

 private:
  struct Allocation {
    std::unique_ptr<Region> region;
    size_t n_counted;
  };

  Region* keep(std::unique_ptr<Region> region, size_t n_counted);

  int64_t shift_;
  size_t n_bytes_ = size_t{1} << 30, n_used_ = 0;
  uint64_t n_made_ = 0;
  std::map<int64_t, Allocation> allocations_;  // by their first byte
};

}  // namespace outpost::emulator
