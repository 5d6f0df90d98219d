// What models are going to have of a GPU's memory: each is planned before it is loaded and takes its part bit by bit,
// its weights while they are loaded, keys and values with a context, the rest with its first long passes. Whoever is
// planned after it counts on none of that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace outpost {

/// Of one model on one device. For any threads.
class PlannedMemory {
 public:
  PlannedMemory(int32_t device, uint64_t n_bytes);
  ~PlannedMemory();
  PlannedMemory(const PlannedMemory&) = delete;
  PlannedMemory& operator=(const PlannedMemory&) = delete;

  /// Counted is what is large. Tables, inputs and recorded passes are not: beside them a little more stays planned than
  /// is going to be taken.
  void take(size_t n_bytes) { n_taken_ += n_bytes; }
  void give_back(size_t n_bytes) { n_taken_ -= n_bytes; }

  /// Of all models on a device, what was planned and is not taken.
  static uint64_t outstanding(int32_t device);

 private:
  uint64_t outstanding() const;

  const int32_t device_;
  const uint64_t n_bytes_;
  std::atomic<uint64_t> n_taken_ = 0;
};

}  // namespace outpost
