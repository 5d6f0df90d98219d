#include "kernels/emulator/allocations.h"

#include <string>
#include <utility>

namespace outpost::emulator {
namespace {

/// Halfs are the finest that kernels write.
constexpr size_t kElementBytes = 2;

}  // namespace

Region* Allocations::add(size_t n_bytes, RegionKind kind, bool is_counted) {
  if (is_counted && n_bytes > n_bytes_ - n_used_) return nullptr;
  const size_t n_whole = (n_bytes + kElementBytes - 1) / kElementBytes * kElementBytes;
  return keep(std::make_unique<Region>("allocation " + std::to_string(++n_made_), n_whole, kElementBytes, kind),
              is_counted ? n_bytes : 0);
}

Region* Allocations::lend(std::span<const std::byte> bytes) {
  if (bytes.size() > n_bytes_ - n_used_) return nullptr;
  return keep(std::make_unique<Region>("lent memory " + std::to_string(++n_made_), bytes, kElementBytes), bytes.size());
}

Region* Allocations::keep(std::unique_ptr<Region> made, size_t n_counted) {
  Region* region = made.get();
  region->set_untyped();
  n_used_ += n_counted;
  allocations_[address_of(*region)] = {std::move(made), n_counted};
  return region;
}

void Allocations::remove(int64_t address) {
  const auto found = allocations_.find(address);
  if (found == allocations_.end()) throw Fault(FaultKind::kOutOfBounds, "what was never allocated is given up");
  n_used_ -= found->second.n_counted;
  allocations_.erase(found);
}

Region* Allocations::find(int64_t address, int64_t& offset) {
  const auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return nullptr;
  const auto& [begin, allocation] = *std::prev(next);
  if (address > begin + static_cast<int64_t>(allocation.region->size_bytes())) return nullptr;
  offset = address - begin;
  return allocation.region.get();
}

Region* Allocations::at(int64_t address, int64_t& offset) {
  Region* region = find(address, offset);
  if (region == nullptr) throw Fault(FaultKind::kOutOfBounds, "a kernel or a copy is given memory that is not there");
  return region;
}

Region* Allocations::at(int64_t address, size_t n_bytes, int64_t& offset) {
  Region* region = at(address, offset);
  if (static_cast<size_t>(offset) + n_bytes > region->size_bytes())
    throw Fault(FaultKind::kOutOfBounds,
                "a copy of " + std::to_string(n_bytes) + " bytes goes beyond `" + region->name() + "`");
  return region;
}

}  // namespace outpost::emulator
