// Memory of a GPU and what lies in it: buffers, weights, KV pages, tables of rotations. Experts: gpu_experts.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/gpu/planned_memory.h"
#include "kernels/launchers/launchers.h"

namespace outpost {

/// @throws EngineError "what: the platform's message": kOutOfMemory; kInternal for what no device was asked to do, as
/// there is no kernel for it; kDeviceLost for any other. That of one call only, which would be a bug of ours, is not
/// told from those that end the process's use of the device: what to do is the same.
void check_gpu(gpu::Error error, const char* what);

/// Waits for copies and fills outside of any stream: those of ordinary memory go on when the call has returned, and
/// nothing orders them before what a stream does.
inline void wait_for_copies() { check_gpu(gpu::synchronize(nullptr), "copying to the device"); }

/// @throws EngineError kOutOfMemory with what is needed for `what`, and what is free
[[noreturn]] void fail_out_of_memory(size_t n_bytes, const char* what);

/// The same for memory that the host keeps in its place for the device.
[[noreturn]] void fail_out_of_host_memory(size_t n_bytes);

/// @throws EngineError kModelUnsupported: no kernel takes a tensor of this type
[[noreturn]] void fail_unsupported(const WeightView& view);

/// An allocation on the current device, or memory of the host that was lent to it. @throws EngineError kOutOfMemory
/// with the figures
class DeviceBytes {
 public:
  DeviceBytes() = default;
  /// @param plan that it is a part of; null: none. It outlives this
  DeviceBytes(size_t n, const char* what, PlannedMemory* plan = nullptr);
  /// n bytes of the host where they are, which nobody writes as long as this lives; nothing if kernels cannot read them
  /// there. @throws EngineError as above
  static DeviceBytes lent(const std::byte* data, size_t n, const char* what, PlannedMemory* plan);
  ~DeviceBytes() { release(); }
  DeviceBytes(DeviceBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), plan_(other.plan_) {}
  DeviceBytes& operator=(DeviceBytes&& other) noexcept {
    if (this != &other) {
      release();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
      plan_ = other.plan_;
    }
    return *this;
  }

  void* data() const { return data_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t size() const { return size_; }

 private:
  /// @param plan null: none
  void hold(void* data, size_t n, PlannedMemory* plan) {
    data_ = data;
    size_ = n;
    plan_ = plan;
    if (plan_ != nullptr) plan_->take(size_);
  }
  void release() {
    if (data_ == nullptr) return;
    gpu::release(data_);  // an error here is an earlier one, which was reported
    if (plan_ != nullptr) plan_->give_back(size_);
    data_ = nullptr;
  }

  void* data_ = nullptr;
  size_t size_ = 0;
  PlannedMemory* plan_ = nullptr;
};

/// Memory of the host that the device copies from and to by itself.
class PinnedBytes {
 public:
  ~PinnedBytes() {
    if (data_ != nullptr) gpu::release_pinned(data_);
  }
  PinnedBytes() = default;
  PinnedBytes(const PinnedBytes&) = delete;
  PinnedBytes& operator=(const PinnedBytes&) = delete;

  /// At least n bytes; what was there is lost. @throws EngineError kOutOfMemory with the figures
  std::byte* reserve(size_t n) {
    if (n > size_) {
      if (data_ != nullptr) gpu::release_pinned(data_);
      data_ = nullptr;
      size_ = 0;
      const gpu::Error error = gpu::allocate_pinned(data_, n);
      if (error == gpu::Error::kOutOfMemory) fail_out_of_host_memory(n);
      check_gpu(error, "allocating pinned memory");
      size_ = n;
    }
    return data();
  }
  /// Kernels read it at this address as well.
  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

class GpuBuffer final : public Buffer {
 public:
  GpuBuffer(size_t n, PlannedMemory& plan) : memory_(n * sizeof(float), "activations", &plan) {
    span_ = {memory_.as<float>(), n};
  }

 private:
  DeviceBytes memory_;
};

/// The pinned memory that a backend's results may be copied to; shared with its buffers, which come and go on any
/// thread.
class PinnedResults {
 public:
  void add(std::span<const float> memory) {
    const std::lock_guard lock(mutex_);
    sizes_[memory.data()] = memory.size();
  }
  void remove(std::span<const float> memory) {
    const std::lock_guard lock(mutex_);
    sizes_.erase(memory.data());
  }
  /// Whether the device can copy to all of it by itself.
  bool contains(std::span<const float> memory) const {
    const std::lock_guard lock(mutex_);
    const auto next = sizes_.upper_bound(memory.data());
    if (next == sizes_.begin()) return false;
    const auto& [first, size] = *std::prev(next);
    return memory.data() + memory.size() <= first + size;
  }

 private:
  mutable std::mutex mutex_;
  std::map<const float*, size_t> sizes_;  // by the first
};

class GpuHostBuffer final : public HostBuffer {
 public:
  GpuHostBuffer(size_t n, std::shared_ptr<PinnedResults> known) : known_(std::move(known)) {
    span_ = {reinterpret_cast<float*>(memory_.reserve(n * sizeof(float))), n};
    known_->add(span_);
  }
  ~GpuHostBuffer() override { known_->remove(span_); }

 private:
  std::shared_ptr<PinnedResults> known_;
  PinnedBytes memory_;
};

/// A matrix in the layout of the file, or in wide blocks made of it.
class GpuMatrix {
 public:
  /// @param host null, or experts' matrices, n_rows in all: `memory` is slots for some of them
  GpuMatrix(gpu::DeviceType type, int64_t n_rows, int64_t n_cols, DeviceBytes memory,
            std::unique_ptr<PinnedBytes> host = nullptr)
      : type_(type), n_rows_(n_rows), n_cols_(n_cols), memory_(std::move(memory)), host_(std::move(host)) {}

  gpu::DeviceType type() const { return type_; }
  bool has_blocks() const { return tensor_type_traits(type_.type).block_elements > 1; }
  int32_t n_rows() const { return static_cast<int32_t>(n_rows_); }
  int32_t n_cols() const { return static_cast<int32_t>(n_cols_); }
  const void* data() const { return memory_.data(); }
  size_t size_bytes() const { return memory_.size(); }  ///< on the device
  // Of experts that are not all on the device: their slots are what `data` says.
  void* slots() const { return memory_.data(); }
  const void* host() const { return host_->data(); }  ///< @pre it has slots

 private:
  gpu::DeviceType type_;
  int64_t n_rows_, n_cols_;
  DeviceBytes memory_;
  std::unique_ptr<PinnedBytes> host_;
};

class GpuWeight final : public Weight {
 public:
  explicit GpuWeight(std::shared_ptr<GpuMatrix> matrix) : matrix_(std::move(matrix)) {}
  const GpuMatrix& matrix() const { return *matrix_; }
  int64_t n_rows() const override { return matrix_->n_rows(); }
  int64_t n_cols() const override { return matrix_->n_cols(); }
  size_t size_bytes() const override { return matrix_->size_bytes(); }

 private:
  std::shared_ptr<GpuMatrix> matrix_;  // a tied table has it too
};

/// A backend's stream, for storages that use it between passes, on any thread. Under the mutex: while a pass is
/// recorded the work of others would become a part of the recording.
struct SharedStream {
  gpu::Stream stream;
  std::mutex& mutex;

  std::lock_guard<std::mutex> lock() const { return std::lock_guard(mutex); }
};

/// The heads' matrices on one another, as experts' are.
class GpuHeads final : public HeadWeights {
 public:
  GpuHeads(std::shared_ptr<GpuMatrix> matrix, int32_t n_head) : matrix_(std::move(matrix)), n_head_(n_head) {}
  const GpuMatrix& matrix() const { return *matrix_; }
  int32_t n_head() const { return n_head_; }
  int32_t n_rows() const { return matrix_->n_rows() / n_head_; }  ///< of one
  size_t size_bytes() const override { return matrix_->size_bytes(); }

 private:
  std::shared_ptr<GpuMatrix> matrix_;
  int32_t n_head_;
};

/// f16 pages, as kernels/portable/kv_layout.h has them.
class GpuKvStorage final : public KvStorage {
 public:
  /// @param stream of the passes over these pages
  GpuKvStorage(const KvShape& shape, int32_t n_page, SharedStream stream, PlannedMemory& plan,
               std::function<void()> on_end)
      : shape_(shape),
        n_page_(n_page),
        memory_(static_cast<size_t>(n_page) * static_cast<size_t>(page_stride()) * sizeof(uint16_t), "the KV cache",
                &plan),
        stream_(stream),
        on_end_(std::move(on_end)) {
    check_gpu(gpu::fill(memory_.data(), 0, memory_.size()), "clearing the KV cache");
    wait_for_copies();
  }
  ~GpuKvStorage() override { on_end_(); }

  int32_t n_page() const override { return n_page_; }
  size_t size_bytes() const override { return memory_.size(); }
  bool copy_page(int32_t from, int32_t to) override {
    const auto lock = stream_.lock();
    const auto n_bytes = static_cast<size_t>(page_stride()) * sizeof(uint16_t);
    check_gpu(gpu::copy(stream_.stream, pages() + to * page_stride(), pages() + from * page_stride(), n_bytes,
                        gpu::Copy::kOnDevice),
              "copying a page of keys and values");
    return true;
  }
  bool read_form(int32_t page, KvForm, std::span<std::byte> bytes) const override {
    const auto lock = stream_.lock();
    check_gpu(gpu::copy(stream_.stream, bytes.data(), pages() + page * page_stride(), bytes.size(), gpu::Copy::kToHost),
              "reading a page of keys and values");
    check_gpu(gpu::synchronize(stream_.stream), "reading a page of keys and values");
    return true;
  }
  bool write_form(int32_t page, KvForm, std::span<const std::byte> bytes) override {
    const auto lock = stream_.lock();
    check_gpu(
        gpu::copy(stream_.stream, pages() + page * page_stride(), bytes.data(), bytes.size(), gpu::Copy::kToDevice),
        "writing a page of keys and values");
    check_gpu(gpu::synchronize(stream_.stream), "writing a page of keys and values");
    return true;
  }
  uint16_t* pages() const { return memory_.as<uint16_t>(); }
  gpu::KvLayout layout(int32_t il) const {
    return {shape_.n_head_kv, shape_.head_dim_k, shape_.head_dim_v, page_stride(), il * layer_stride()};
  }

 private:
  int64_t layer_stride() const {
    return int64_t{kKvPageSize} * shape_.n_head_kv * (shape_.head_dim_k + shape_.head_dim_v);
  }
  int64_t page_stride() const { return shape_.n_layer * layer_stride(); }

  KvShape shape_;
  int32_t n_page_;
  DeviceBytes memory_;
  SharedStream stream_;
  std::function<void()> on_end_;
};

/// Cosines and sines of every position, [n_positions, n_pairs, 2], grown as positions are used.
class GpuRope final : public Rope {
 public:
  explicit GpuRope(const RopeParams& params) : params_(params) {}

  const RopeParams& params() const { return params_; }
  int32_t n_pairs() const { return static_cast<int32_t>(params_.frequencies.size()); }
  const float* turns() const { return memory_.as<float>(); }
  /// Makes positions up to `pos` ready. @param n_most that passes are going to have
  /// @param stream of the passes that read the table @return whether it has moved. After an error it is empty
  /// @throws EngineError kOutOfMemory, kDeviceLost
  bool reserve(int32_t pos, int32_t n_most, gpu::Stream stream);

 private:
  RopeParams params_;
  int32_t n_positions_ = 0;
  DeviceBytes memory_;
};

}  // namespace outpost
