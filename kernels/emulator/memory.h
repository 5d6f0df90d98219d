// Memory of the emulated device: every access through a Pointer is checked for bounds, alignment, values that were
// never written, and races.
//
// Races are found from what orders two accesses, not from how the threads happened to run: within a block a barrier
// orders all threads and a warp sync those of one warp; blocks of a launch are never ordered, launches always are.
// Shuffles order nothing, as in CUDA. In a block with asynchronous instructions clocks say what else is ordered
// (order.h); there reads are told apart in shared memory only, as no kernel gives global memory from thread to thread.
// A launch may start before those that precede it have ended (LaunchConfig::starts_early): its threads then wait for
// them before they write anything, or read what they write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/emulator/fault.h"
#include "kernels/emulator/order.h"
#include "kernels/emulator/read_marks.h"

namespace outpost::emulator {

inline constexpr int kWarpSize = 32;

/// kReadConstant: of what no launch writes that may run beside this one.
enum class Access { kRead, kReadConstant, kWrite };

/// Who accesses memory, and when in the order that barriers make.
struct AccessClock {
  uint64_t launch = 0;         ///< number of the launch's first block
  uint64_t block = 0;          ///< blocks are numbered through all launches of the process, from 2
  uint32_t barrier_epoch = 0;  ///< barriers that the block has passed
  uint32_t warp_epoch = 0;     ///< warp syncs that the thread's warp has passed
  uint16_t thread = 0;         ///< kNoThread: an agent of its own, which no barrier orders; or see kWholeWarp
  // In a block with asynchronous instructions:
  const VectorClock* seen = nullptr;  ///< what is ordered before the access
  uint16_t agent = 0;
  uint32_t time = 0;  ///< of the agent

  /// Of a thread that has not waited for the launches before its own: blocks up to this one have ended for certain.
  uint64_t last_ended = UINT64_MAX;
  /// Of any thread of a launch that starts early: the same, when it started.
  uint64_t last_constant = UINT64_MAX;

  uint16_t warp() const { return warp_of(thread); }
  static uint16_t warp_of(uint16_t thread);
};
inline constexpr uint16_t kNoThread = 0xffff;
/// Added to the first thread of a warp: some lanes of it, nobody knows which. Only warp and block barriers order that,
/// for every lane.
inline constexpr uint16_t kWholeWarp = 0x4000;
inline uint16_t AccessClock::warp_of(uint16_t thread) { return (thread & ~kWholeWarp) / kWarpSize; }

/// What the threads of a warpgroup together have seen, when they start a product that reads memory.
class GroupClock {
 public:
  GroupClock(BlockOrder& order, int first_thread, int n_threads)
      : order_(order), first_thread_(first_thread), n_threads_(n_threads) {}

  BlockOrder& order() const { return order_; }
  int first_thread() const { return first_thread_; }
  int n_threads() const { return n_threads_; }
  /// Whether every one of them has. Asked of many neighbours, which mostly have one answer.
  bool has_seen(size_t agent, uint32_t time);

 private:
  BlockOrder& order_;
  int first_thread_, n_threads_;
  size_t last_agent_ = SIZE_MAX;
  uint32_t last_time_ = 0;
};

/// kInput is never written; kValues has values from the start; kEmpty has none until a kernel writes them; kShared
/// begins without values in every block, and is seen by that block alone.
enum class RegionKind { kInput, kValues, kEmpty, kShared };

/// An array on the device. Elements are the finest unit of access.
class Region {
 public:
  Region(std::string name, size_t size_bytes, size_t element_bytes, RegionKind kind);
  /// Of bytes that others have, and that nobody writes: an input.
  Region(std::string name, std::span<const std::byte> bytes, size_t element_bytes);
  Region(Region&&) = default;
  /// Memory in which types of any size may lie: an access need not be of whole elements, which are what is watched.
  void set_untyped() { is_untyped_ = true; }

  const std::string& name() const { return name_; }
  size_t size_bytes() const { return size_bytes_; }
  size_t element_bytes() const { return element_bytes_; }
  RegionKind kind() const { return kind_; }
  std::byte* data() { return data_; }

  /// Between launches: the host has written these bytes, or copied them from another array with what is known of them.
  void set_written(int64_t offset, size_t n_bytes);
  void copy_state(int64_t offset, const Region& from, int64_t from_offset, size_t n_bytes);

  /// Checks one access of the running thread; throws Fault.
  /// @return where the bytes are
  std::byte* access(int64_t offset, size_t n_bytes, Access access);
  /// The same by another agent.
  std::byte* access(int64_t offset, size_t n_bytes, Access access, const AccessClock& clock);
  /// A hint about a place, of which nothing is read: whether the array has it. Throws Fault.
  void check_hint(int64_t offset) const;
  /// Sixteen bytes that a product of a warpgroup reads, at this time of its warps.
  const std::byte* access_by_product(int64_t offset, GroupClock& group, uint32_t time);

  /// Where the array lies among those of the block, if it is shared.
  uint32_t shared_address() const { return shared_address_; }
  /// The array is another block's from now on.
  void start_block(uint32_t shared_address);

 private:
  /// The last write, and a summary of the reads since that tells exactly whether a later write races with one of
  /// them: a read that is ordered after others of its warp stands for those.
  struct Cell {
    uint64_t write_block = 0, read_block = 0;  ///< 0: none
    uint32_t write_barrier = 0, read_barrier = 0;
    uint32_t write_warp_epoch = 0, read_warp_epoch = 0;
    uint16_t write_thread = 0, read_thread = 0, read_warp = 0;
    uint16_t write_agent = 0;
    uint32_t write_time = 0;  ///< 0: before the block's first asynchronous instruction
  };

  bool has_value(const Cell& cell, const AccessClock& clock) const {
    return kind_ == RegionKind::kShared ? cell.write_block == clock.block : cell.write_block != 0;
  }
  /// The first block that is not over for certain: a shared array lives as long as its block.
  uint64_t first_running(const AccessClock& clock) const {
    return kind_ == RegionKind::kShared ? clock.block : clock.launch;
  }
  /// Whether the last write of an element is ordered before an access of its block.
  static bool is_write_ordered(const Cell& cell, const AccessClock& clock);
  static std::string writer_of(const Cell& cell);
  [[noreturn]] void fail_race(const char* verb, const char* end, const Cell& cell, size_t offset) const;
  /// Bounds and alignment, which are asked of every access. @return the first byte
  size_t check_place(int64_t offset, size_t n_bytes, Access access) const;
  /// What else is asked where something may be written.
  void check_elements(size_t begin, size_t n_bytes, Access access, const AccessClock& clock);
  void check_read(Cell& cell, const AccessClock& clock, size_t offset);
  void check_write(Cell& cell, const AccessClock& clock, size_t offset);
  void note_read(Cell& cell, const AccessClock& clock);

  std::string name_;
  size_t size_bytes_, element_bytes_;
  int element_shift_;  ///< elements are of 2^element_shift_ bytes: divisions would be a good part of the emulator's
                       ///< time
  RegionKind kind_;
  bool is_untyped_ = false;
  std::vector<uint64_t> storage_;  ///< empty if others have the bytes
  std::byte* data_;
  std::vector<Cell> cells_;           ///< one per element; none of an input
  std::unique_ptr<ReadMarks> marks_;  ///< of a shared array, in a block with asynchronous instructions
  uint32_t shared_address_ = 0;
};

/// A value that stands in the registers of a product until it was waited for: a NaN that arithmetic hands on.
inline constexpr uint32_t kInFlightBits = 0x7fe5a5a5u;
/// Throws Fault if the value comes from such a register.
void check_stored(float value);

/// An element that may be written: stands for `T&`, which could not be watched.
template <typename T>
class Reference {
 public:
  Reference(Region* region, int64_t offset) : region_(region), offset_(offset) {}
  operator T() const {
    T value;
    std::memcpy(&value, region_->access(offset_, sizeof(T), Access::kRead), sizeof(T));
    return value;
  }
  const Reference& operator=(T value) const {
    if constexpr (std::is_same_v<T, float>) check_stored(value);
    std::memcpy(region_->access(offset_, sizeof(T), Access::kWrite), &value, sizeof(T));
    return *this;
  }
  const Reference& operator=(const Reference& other) const { return *this = static_cast<T>(other); }
  const Reference& operator+=(T value) const { return *this = static_cast<T>(*this) + value; }
  const Reference& operator*=(T value) const { return *this = static_cast<T>(*this) * value; }
  Reference(const Reference&) = default;

 private:
  Region* region_;
  int64_t offset_;
};

/// Finds the array that an absolute address is in, or null; null itself where memory has no addresses
/// (kernels/emulated_device has).
extern Region* (*find_address)(int64_t address, int64_t& offset);

/// A `T*` of a kernel. Like it, it may point anywhere; only accesses are checked.
template <typename T>
class Pointer {
 public:
  using Value = std::remove_const_t<T>;
  static_assert(std::is_trivially_copyable_v<Value>);

  Pointer() = default;
  Pointer(Region* region, int64_t offset) : region_(region), offset_(offset) {}
  /// From a pointer to the same without const.
  template <typename U>
  requires(std::is_same_v<const U, T>) Pointer(const Pointer<U>& other)
      : region_(other.region()), offset_(other.offset()) {}

  Region* region() const { return region_; }
  int64_t offset() const { return offset_; }  ///< bytes

  /// `T` for constant scalars, `const T&` for constant structures, a Reference for what may be written.
  decltype(auto) operator[](int64_t i) const {
    int64_t at = offset_ + i * static_cast<int64_t>(sizeof(T));
    Region* region = located(at);
    if constexpr (!std::is_const_v<T>) {
      return Reference<T>(region, at);
    } else {
      const std::byte* bytes = region->access(at, sizeof(T), read_access_);
      if constexpr (std::is_arithmetic_v<T>) {
        Value value;
        std::memcpy(&value, bytes, sizeof(T));
        return value;
      } else {
        return *reinterpret_cast<const T*>(bytes);
      }
    }
  }
  decltype(auto) operator*() const { return (*this)[0]; }

  Pointer operator+(int64_t n) const {
    Pointer moved = *this;
    moved.offset_ += n * static_cast<int64_t>(sizeof(T));
    return moved;
  }
  Pointer operator-(int64_t n) const { return *this + -n; }
  /// Elements from `other`, of the same array, to here.
  int64_t operator-(const Pointer& other) const { return (offset_ - other.offset_) / static_cast<int64_t>(sizeof(T)); }
  Pointer& operator+=(int64_t n) { return *this = *this + n; }

  /// For hints: that there is memory.
  void check_hint() const {
    int64_t at = offset_;
    const Region* region = located(at);
    region->check_hint(at);
  }

  /// The bytes of n elements, for loads wider than one.
  std::byte* access_many(size_t n, Access access) const {
    int64_t at = offset_;
    Region* region = located(at);
    return region->access(at, n * sizeof(T), access == Access::kRead ? read_access_ : access);
  }

 protected:
  Access read_access_ = Access::kRead;

 private:
  /// The array, and `at` as an offset in it. Without an array the offset is an address.
  Region* located(int64_t& at) const {
    if (region_ != nullptr) return region_;
    Region* found = find_address != nullptr ? find_address(at, at) : nullptr;
    if (found == nullptr) throw Fault(FaultKind::kOutOfBounds, "a null pointer is used");
    return found;
  }

  Region* region_ = nullptr;
  int64_t offset_ = 0;
};

template <typename T>
class DeviceArray;

/// What an argument that is only read becomes if nobody writes it while the launch runs.
template <typename T>
class ConstantPointer : public Pointer<const T> {
 public:
  template <typename U>
  requires(std::is_same_v<U, T> || std::is_same_v<U, const T>) ConstantPointer(const Pointer<U>& pointer)
      : Pointer<const T>(pointer) {
    this->read_access_ = Access::kReadConstant;
  }
  ConstantPointer(DeviceArray<T>& array) : ConstantPointer(array.pointer()) {}
};

/// An array in global memory, made by the host.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(std::string name, std::span<const T> values, RegionKind kind = RegionKind::kInput)
      : region_(std::move(name), values.size_bytes(), kElementBytes, kind) {
    if (!values.empty()) std::memcpy(region_.data(), values.data(), values.size_bytes());
  }
  DeviceArray(std::string name, const std::vector<T>& values, RegionKind kind = RegionKind::kInput)
      : DeviceArray(std::move(name), std::span<const T>(values), kind) {}
  /// Without values: all bytes are 0xff (NaN in floats), and reading what no kernel has written is a fault.
  DeviceArray(std::string name, size_t n)
      : region_(std::move(name), n * sizeof(T), kElementBytes, RegionKind::kEmpty) {}
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  Pointer<T> pointer() { return {&region_, 0}; }
  operator Pointer<T>() { return pointer(); }
  operator Pointer<const T>() { return pointer(); }

  std::vector<T> values() {
    std::vector<T> copy(region_.size_bytes() / sizeof(T));
    if (!copy.empty()) std::memcpy(copy.data(), region_.data(), region_.size_bytes());
    return copy;
  }

 private:
  static constexpr size_t kElementBytes = std::is_arithmetic_v<T> ? sizeof(T) : 1;

  Region region_;
};

}  // namespace outpost::emulator
