#include "kernels/emulator/memory.h"

#include <bit>
#include <stdexcept>

#include "kernels/emulator/simt.h"

namespace outpost::emulator {
namespace {

constexpr uint16_t kSeveral = 0xffff;
/// Of no launch: they are numbered from 2.
constexpr uint64_t kBlockOfHost = 1;

int shift_of(size_t element_bytes) {
  if (!std::has_single_bit(element_bytes)) throw std::logic_error("elements that are no power of two in bytes");
  return std::countr_zero(element_bytes);
}

const char* verb_of(Access access) { return access == Access::kWrite ? "writes" : "reads"; }

template <typename Offset>
[[noreturn]] void fail(FaultKind kind, const std::string& what, const Region& region, Offset offset) {
  throw Fault(kind, describe_thread() + " " + what + " byte " + std::to_string(offset) + " of `" + region.name() +
                        "` (" + std::to_string(region.size_bytes()) + " bytes)");
}

}  // namespace

Region::Region(std::string name, size_t size_bytes, size_t element_bytes, RegionKind kind)
    : name_(std::move(name)),
      size_bytes_(size_bytes),
      element_bytes_(element_bytes),
      element_shift_(shift_of(element_bytes)),
      kind_(kind),
      storage_((size_bytes + 7) / 8, ~uint64_t{0}),
      data_(reinterpret_cast<std::byte*>(storage_.data())),
      cells_(kind == RegionKind::kInput ? 0 : size_bytes >> element_shift_) {}

Region::Region(std::string name, std::span<const std::byte> bytes, size_t element_bytes)
    : name_(std::move(name)),
      size_bytes_(bytes.size()),
      element_bytes_(element_bytes),
      element_shift_(shift_of(element_bytes)),
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

inline size_t Region::check_place(int64_t offset, size_t n_bytes, Access access) const {
  const bool is_inside = offset >= 0 && n_bytes <= size_bytes_ && static_cast<size_t>(offset) <= size_bytes_ - n_bytes;
  if (!is_inside) {
    fail(FaultKind::kOutOfBounds, verb_of(access) + (" " + std::to_string(n_bytes)) + " bytes at", *this, offset);
  }
  const auto begin = static_cast<size_t>(offset);
  const bool is_whole = is_untyped_ || ((begin | n_bytes) & (element_bytes_ - 1)) == 0;
  const bool is_aligned = n_bytes > 16 || !std::has_single_bit(n_bytes) || (begin & (n_bytes - 1)) == 0;
  if (!is_whole || !is_aligned) fail(FaultKind::kMisaligned, verb_of(access), *this, offset);
  return begin;
}

void Region::check_hint(int64_t offset) const {
  if (offset < 0 || static_cast<size_t>(offset) >= size_bytes_)
    fail(FaultKind::kOutOfBounds, "asks for what is at", *this, offset);
}

std::byte* Region::access(int64_t offset, size_t n_bytes, Access access) {
  // Most accesses are to inputs, for which it is all one who makes them and when.
  const size_t begin = check_place(offset, n_bytes, access);
  if (kind_ != RegionKind::kInput)
    check_elements(begin, n_bytes, access, access_clock());
  else if (access == Access::kWrite)
    fail(FaultKind::kReadOnly, verb_of(access), *this, offset);
  return data() + begin;
}

std::byte* Region::access(int64_t offset, size_t n_bytes, Access access, const AccessClock& clock) {
  const size_t begin = check_place(offset, n_bytes, access);
  if (kind_ != RegionKind::kInput)
    check_elements(begin, n_bytes, access, clock);
  else if (access == Access::kWrite)
    fail(FaultKind::kReadOnly, verb_of(access), *this, offset);
  return data() + begin;
}

inline void Region::check_elements(size_t begin, size_t n_bytes, Access access, const AccessClock& clock) {
  const bool is_shared = kind_ == RegionKind::kShared;
  if (access == Access::kWrite && clock.last_ended != UINT64_MAX && !is_shared)
    fail(FaultKind::kTooEarly, "has not waited for the launch before, and writes", *this, begin);
  const size_t end = ((begin + n_bytes - 1) >> element_shift_) + 1;
  for (size_t i = begin >> element_shift_; i < end; ++i) {
    Cell& cell = cells_[i];
    if (access == Access::kWrite) {
      check_write(cell, clock, i << element_shift_);
      continue;
    }
    check_read(cell, clock, i << element_shift_);
    if (access == Access::kReadConstant && cell.write_block > clock.last_constant && !is_shared)
      fail(FaultKind::kTooEarly, "takes for constant what a launch before has written,", *this, i << element_shift_);
  }
  if (is_shared && clock.seen != nullptr) {
    if (!marks_) marks_ = std::make_unique<ReadMarks>(size_bytes_);
    if (access != Access::kWrite)
      marks_->add(begin, n_bytes, clock.agent, clock.time, *clock.seen);
    else if (const auto reader = marks_->take(begin, n_bytes, *clock.seen))
      fail(FaultKind::kRace, "writes what " + describe_agent(*reader) + " may still read,", *this, begin);
  }
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

void Region::check_read(Cell& cell, const AccessClock& clock, size_t offset) {
  if (!has_value(cell, clock)) {
    if (kind_ != RegionKind::kValues) fail(FaultKind::kUninitializedRead, "reads without a value", *this, offset);
  } else if (cell.write_block == clock.block) {
    if (!is_write_ordered(cell, clock)) fail_race("reads what", "has just written,", cell, offset);
  } else if (cell.write_block >= first_running(clock)) {
    fail(FaultKind::kRace, "reads what another block has written,", *this, offset);
  } else if (cell.write_block > clock.last_ended) {
    fail(FaultKind::kTooEarly, "has not waited for the launch before, and reads what it may still write,", *this,
         offset);
  }
  // Of a shared array in a block with asynchronous instructions marks_ has the reads.
  if (kind_ != RegionKind::kShared || clock.seen == nullptr) note_read(cell, clock);
}

void Region::note_read(Cell& cell, const AccessClock& clock) {
  if (cell.read_block != clock.block) {
    if (cell.read_block >= first_running(clock)) {
      cell.read_block = clock.block;  // of several blocks: any write is a race, see check_write
      cell.read_warp = cell.read_thread = kSeveral;
      cell.read_barrier = UINT32_MAX;
      return;
    }
  } else if (cell.read_barrier == UINT32_MAX) {
    return;
  }
  const bool is_since_barrier = cell.read_block == clock.block && cell.read_barrier == clock.barrier_epoch;
  const bool is_same_warp = cell.read_warp == clock.warp();
  if (is_since_barrier && is_same_warp && cell.read_warp_epoch == clock.warp_epoch) {
    if (cell.read_thread != clock.thread) cell.read_thread = kSeveral;
    return;
  }
  const bool is_other_warp = is_since_barrier && !is_same_warp;
  cell.read_block = clock.block;
  cell.read_barrier = clock.barrier_epoch;
  cell.read_warp_epoch = clock.warp_epoch;
  cell.read_thread = is_other_warp || (clock.thread & kWholeWarp) != 0 ? kSeveral : clock.thread;
  cell.read_warp = is_other_warp ? kSeveral : clock.warp();
}

void Region::check_write(Cell& cell, const AccessClock& clock, size_t offset) {
  const uint64_t first = first_running(clock);
  if (cell.write_block == clock.block) {
    if (!is_write_ordered(cell, clock)) fail_race("writes where", "has just written,", cell, offset);
  } else if (cell.write_block != 0 && cell.write_block >= first) {
    fail(FaultKind::kRace, "writes where another block has written,", *this, offset);
  }

  if (cell.read_block != 0 && cell.read_block >= first) {
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

void Region::fail_race(const char* verb, const char* end, const Cell& cell, size_t offset) const {
  fail(FaultKind::kRace, verb + (" " + writer_of(cell)) + " " + end, *this, offset);
}

void check_stored(float value) {
  if ((std::bit_cast<uint32_t>(value) & 0x7fffffffu) == kInFlightBits)
    throw Fault(FaultKind::kProduct, describe_thread() + " stores a sum of a product that was not waited for");
}

}  // namespace outpost::emulator
