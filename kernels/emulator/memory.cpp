#include "kernels/emulator/memory.h"

#include <bit>

#include "kernels/emulator/simt.h"

namespace outpost::emulator {
namespace {

constexpr uint16_t kSeveral = 0xffff;
/// Of no launch: they are numbered from 2.
constexpr uint64_t kBlockOfHost = 1;

[[noreturn]] void fail(FaultKind kind, const std::string& what, const Region& region, int64_t offset) {
  throw Fault(kind, describe_thread() + " " + what + " byte " + std::to_string(offset) + " of `" + region.name() +
                        "` (" + std::to_string(region.size_bytes()) + " bytes)");
}

}  // namespace

Region::Region(std::string name, size_t size_bytes, size_t element_bytes, RegionKind kind)
    : name_(std::move(name)),
      size_bytes_(size_bytes),
      element_bytes_(element_bytes),
      kind_(kind),
      storage_((size_bytes + 7) / 8, ~uint64_t{0}),
      data_(reinterpret_cast<std::byte*>(storage_.data())),
      cells_(kind == RegionKind::kInput ? 0 : size_bytes / element_bytes) {}

Region::Region(std::string name, std::span<const std::byte> bytes, size_t element_bytes)
    : name_(std::move(name)),
      size_bytes_(bytes.size()),
      element_bytes_(element_bytes),
      kind_(RegionKind::kInput),
      data_(const_cast<std::byte*>(bytes.data())) {}

Region* (*find_address)(int64_t address, int64_t& offset) = nullptr;

void Region::set_written(int64_t offset, size_t n_bytes) {
  const size_t begin = static_cast<size_t>(offset) / element_bytes_;
  const size_t end = (static_cast<size_t>(offset) + n_bytes + element_bytes_ - 1) / element_bytes_;
  for (size_t i = begin; i < end && i < cells_.size(); ++i) cells_[i] = Cell{.write_block = kBlockOfHost};
}

void Region::copy_state(int64_t offset, const Region& from, int64_t from_offset, size_t n_bytes) {
  const size_t to_begin = static_cast<size_t>(offset) / element_bytes_;
  const size_t from_begin = static_cast<size_t>(from_offset) / from.element_bytes_;
  for (size_t i = 0; i * element_bytes_ < n_bytes && to_begin + i < cells_.size(); ++i) {
    const bool has_value = from.kind_ != RegionKind::kEmpty || from.cells_[from_begin + i].write_block != 0;
    cells_[to_begin + i] = Cell{.write_block = has_value ? kBlockOfHost : 0};
  }
}

void Region::start_block(uint32_t shared_address) {
  shared_address_ = shared_address;
  if (marks_) marks_->clear();
}

std::byte* Region::access(int64_t offset, size_t n_bytes, Access access) {
  return this->access(offset, n_bytes, access, access_clock());
}

std::byte* Region::access(int64_t offset, size_t n_bytes, Access access, AccessClock clock) {
  const bool is_inside = offset >= 0 && n_bytes <= size_bytes_ && static_cast<size_t>(offset) <= size_bytes_ - n_bytes;
  const char* verb = access == Access::kWrite ? "writes" : "reads";
  if (!is_inside) fail(FaultKind::kOutOfBounds, verb + (" " + std::to_string(n_bytes)) + " bytes at", *this, offset);
  const auto begin = static_cast<size_t>(offset);
  if (!is_untyped_ && (begin % element_bytes_ != 0 || n_bytes % element_bytes_ != 0))
    fail(FaultKind::kMisaligned, verb, *this, offset);
  if (begin % n_bytes != 0 && n_bytes <= 16 && (n_bytes & (n_bytes - 1)) == 0)
    fail(FaultKind::kMisaligned, verb, *this, offset);
  if (kind_ == RegionKind::kInput) {
    if (access == Access::kWrite) fail(FaultKind::kReadOnly, verb, *this, offset);
    return data() + begin;
  }
  if (kind_ == RegionKind::kShared) {
    clock.launch = clock.block;  // the array lives as long as its block
    clock.last_ended = clock.last_constant = UINT64_MAX;
  }
  if (access == Access::kWrite && clock.last_ended != UINT64_MAX)
    fail(FaultKind::kTooEarly, "has not waited for the launch before, and writes", *this, offset);
  for (size_t at = begin / element_bytes_ * element_bytes_; at < begin + n_bytes; at += element_bytes_) {
    Cell& cell = cells_[at / element_bytes_];
    if (access == Access::kWrite) {
      check_write(cell, clock, static_cast<int64_t>(at));
      continue;
    }
    check_read(cell, clock, static_cast<int64_t>(at));
    if (access == Access::kReadConstant && cell.write_block > clock.last_constant)
      fail(FaultKind::kTooEarly, "takes for constant what a launch before has written,", *this,
           static_cast<int64_t>(at));
  }
  if (kind_ == RegionKind::kShared && clock.seen != nullptr) {
    if (!marks_) marks_ = std::make_unique<ReadMarks>(size_bytes_);
    if (access != Access::kWrite)
      marks_->add(begin, n_bytes, clock.agent, clock.time, *clock.seen);
    else if (const auto reader = marks_->take(begin, n_bytes, *clock.seen))
      fail(FaultKind::kRace, "writes what " + describe_agent(*reader) + " may still read,", *this, offset);
  }
  return data() + begin;
}

bool GroupClock::has_seen(size_t agent, uint32_t time) {
  if (agent == last_agent_ && time == last_time_) return true;
  for (int i = 0; i < n_threads_; ++i)
    if (order_.clock_of(first_thread_ + i)[agent] < time) return false;
  last_agent_ = agent;
  last_time_ = time;
  return true;
}

const std::byte* Region::access_by_product(int64_t offset, GroupClock& group, uint32_t time) {
  constexpr size_t kBytes = 16;
  if (offset < 0 || static_cast<size_t>(offset) + kBytes > size_bytes_)
    fail(FaultKind::kOutOfBounds, "multiplies with 16 bytes at", *this, offset);
  const auto begin = static_cast<size_t>(offset);
  const AccessClock clock = access_clock();
  for (size_t at = begin; at < begin + kBytes; at += element_bytes_) {
    const Cell& cell = cells_[at / element_bytes_];
    if (!has_value(cell, clock))
      fail(FaultKind::kUninitializedRead, "multiplies with what has no value,", *this, offset);
    // Matrix units read by the asynchronous proxy. What a thread has written needs a fence between the proxies to be
    // seen there, and the dialect has none.
    if (!group.order().is_bulk_copy(cell.write_agent))
      fail(FaultKind::kProduct, "multiplies with what no bulk copy has brought,", *this, offset);
    if (!group.has_seen(cell.write_agent, cell.write_time))
      fail(FaultKind::kRace, "multiplies with what a bulk copy may still bring,", *this, offset);
  }
  if (!marks_) marks_ = std::make_unique<ReadMarks>(size_bytes_);
  for (int thread = group.first_thread(); thread < group.first_thread() + group.n_threads(); thread += kWarpSize)
    marks_->add(begin, kBytes, group.order().products_of(thread / kWarpSize), time, group.order().clock_of(thread));
  return data() + begin;
}

std::string Region::writer_of(const Cell& cell) {
  if (cell.write_thread == kNoThread) return describe_agent(cell.write_agent);
  if ((cell.write_thread & kWholeWarp) != 0) return "warp " + std::to_string(AccessClock::warp_of(cell.write_thread));
  return "thread " + std::to_string(cell.write_thread);
}

bool Region::is_write_ordered(const Cell& cell, const AccessClock& clock) {
  if (clock.seen != nullptr && cell.write_time != 0 && (*clock.seen)[cell.write_agent] >= cell.write_time) return true;
  if (cell.write_thread == kNoThread) return false;
  const bool is_own = cell.write_thread == clock.thread && (clock.thread & kWholeWarp) == 0;
  return cell.write_barrier != clock.barrier_epoch || is_own ||
         (AccessClock::warp_of(cell.write_thread) == clock.warp() && cell.write_warp_epoch != clock.warp_epoch);
}

void Region::check_read(Cell& cell, const AccessClock& clock, int64_t offset) {
  if (!has_value(cell, clock)) {
    if (kind_ != RegionKind::kValues) fail(FaultKind::kUninitializedRead, "reads without a value", *this, offset);
  } else if (cell.write_block == clock.block) {
    if (!is_write_ordered(cell, clock))
      fail(FaultKind::kRace, "reads what " + writer_of(cell) + " has just written,", *this, offset);
  } else if (cell.write_block >= clock.launch) {
    fail(FaultKind::kRace, "reads what another block has written,", *this, offset);
  } else if (cell.write_block > clock.last_ended) {
    fail(FaultKind::kTooEarly, "has not waited for the launch before, and reads what it may still write,", *this,
         offset);
  }

  if (kind_ == RegionKind::kShared && clock.seen != nullptr) return;  // marks_ has the reads
  if (cell.read_block >= clock.launch && cell.read_block != clock.block) {
    cell.read_block = clock.block;  // of several blocks: any write is a race, see check_write
    cell.read_warp = cell.read_thread = kSeveral;
    cell.read_barrier = UINT32_MAX;
    return;
  }
  if (cell.read_barrier == UINT32_MAX && cell.read_block == clock.block) return;
  const bool is_same_warp =
      cell.read_block == clock.block && cell.read_barrier == clock.barrier_epoch && cell.read_warp == clock.warp();
  if (is_same_warp && cell.read_warp_epoch == clock.warp_epoch) {
    if (cell.read_thread != clock.thread) cell.read_thread = kSeveral;
    return;
  }
  const bool is_other_warp =
      cell.read_block == clock.block && cell.read_barrier == clock.barrier_epoch && cell.read_warp != clock.warp();
  cell.read_block = clock.block;
  cell.read_barrier = clock.barrier_epoch;
  cell.read_warp_epoch = clock.warp_epoch;
  cell.read_thread = is_other_warp || (clock.thread & kWholeWarp) != 0 ? kSeveral : clock.thread;
  cell.read_warp = is_other_warp ? kSeveral : clock.warp();
}

void Region::check_write(Cell& cell, const AccessClock& clock, int64_t offset) {
  if (cell.write_block == clock.block) {
    if (!is_write_ordered(cell, clock))
      fail(FaultKind::kRace, "writes where " + writer_of(cell) + " has just written,", *this, offset);
  } else if (cell.write_block != 0 && cell.write_block >= clock.launch) {
    fail(FaultKind::kRace, "writes where another block has written,", *this, offset);
  }

  if (cell.read_block != 0 && cell.read_block >= clock.launch) {
    const bool is_of_blocks = cell.read_block != clock.block || cell.read_barrier == UINT32_MAX;
    if (is_of_blocks) fail(FaultKind::kRace, "writes what another block has read,", *this, offset);
    const bool is_ordered = cell.read_barrier != clock.barrier_epoch || cell.read_thread == clock.thread ||
                            (cell.read_warp == clock.warp() && cell.read_warp_epoch != clock.warp_epoch);
    if (!is_ordered) fail(FaultKind::kRace, "writes what another thread has just read,", *this, offset);
  }
  cell.write_block = clock.block;
  cell.write_barrier = clock.barrier_epoch;
  cell.write_warp_epoch = clock.warp_epoch;
  cell.write_thread = clock.thread;
  cell.write_agent = clock.agent;
  cell.write_time = clock.time;
  cell.read_block = 0;
}

void check_stored(float value) {
  if ((std::bit_cast<uint32_t>(value) & 0x7fffffffu) == kInFlightBits)
    throw Fault(FaultKind::kProduct, describe_thread() + " stores a sum of a product that was not waited for");
}

}  // namespace outpost::emulator
