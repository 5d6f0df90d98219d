#include "backend/gpu/gpu_backend.h"

#include "core/mapped_file.h"
#include "quant/dequantize.h"

namespace outpost {

void fail_unsupported(const WeightView& view) {
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat("Tensor ", in_quotes(view.name), " has the type ", tensor_type_traits(view.type).name,
                           ", which no kernel of the GPU multiplies by. Choose the CPU or another file."));
}

std::unique_ptr<Weight> GpuBackend::load_weight(const WeightView& view) {
  return std::make_unique<GpuWeight>(load_matrix(view));
}

std::unique_ptr<Buffer> GpuBackend::load_vector(const WeightView& view) {
  if (!can_dequantize(view.type)) fail_unsupported(view);
  std::vector<float> values(static_cast<size_t>(view.n_rows * view.n_cols));
  dequantize(view.type, view.bytes.data(), values.data(), int64_t(values.size()));
  return upload(values);
}

std::unique_ptr<Rope> GpuBackend::create_rope(const RopeParams& params) {
  use();
  auto rope = std::make_unique<GpuRope>(params);
  ropes_.push_back(rope.get());
  return rope;
}

std::unique_ptr<KvStorage> GpuBackend::alloc_kv(const KvShape& shape, int32_t n_page) {
  check_kv_shape(shape);
  return std::make_unique<GpuKvStorage>(shape, n_page, SharedStream{stream_, stream_mutex_}, plan_,
                                        [this] { forget_passes(); });
}

std::unique_ptr<KvStorage> GpuBackend::alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) {
  if (format.is_exact() || format.statistics != nullptr) return Backend::alloc_kv(shape, format, n_page);
  check_kv_shape(shape);
  return std::make_unique<GpuCodesStorage>(shape, format, n_page, SharedStream{stream_, stream_mutex_}, plan_,
                                           [this] { forget_passes(); });
}

void GpuBackend::check_kv_shape(const KvShape& shape) {
  use();
  if (shape.head_dim_k % 4 == 0 && shape.head_dim_v % 4 == 0 && shape.head_dim_k <= 576 && shape.head_dim_v <= 512)
    return;
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat("Heads of ", shape.head_dim_k, " and ", shape.head_dim_v, " elements cannot be computed ",
                           "on a GPU; expected multiples of 4 up to 576 and 512. Choose the CPU."));
}

/// Memory that recorded passes read is about to go.
void GpuBackend::forget_passes() {
  const std::lock_guard lock(stream_mutex_);
  gpu::choose_device(device_);
  gpu::synchronize(stream_);
  recordings_.clear();
}

std::unique_ptr<Buffer> GpuBackend::alloc_f32(size_t n) {
  use();
  return std::make_unique<GpuBuffer>(n, plan_);
}

std::unique_ptr<HostBuffer> GpuBackend::alloc_host(size_t n) {
  use();
  return std::make_unique<GpuHostBuffer>(n, pinned_results_);
}

bool GpuBackend::shares_table(const WeightView& view) const {
  const auto table = tables_.find(view.bytes.data());
  return view.is_mapped && table != tables_.end() && table->second->n_rows() == view.n_rows;
}

std::shared_ptr<GpuMatrix> GpuBackend::load_matrix(const WeightView& view) {
  if (!view.is_mapped) return upload_matrix(view);
  // A tied embedding is loaded twice, as the table and as the head.
  std::weak_ptr<GpuMatrix>& known = matrices_[{view.bytes.data(), view.n_rows}];
  if (auto matrix = known.lock(); matrix != nullptr) return matrix;
  std::shared_ptr<GpuMatrix> matrix = upload_matrix(view);
  known = matrix;
  return matrix;
}

std::unique_ptr<GpuMatrix> GpuBackend::upload_matrix(const WeightView& view) {
  use();
  if (!can_dequantize(view.type)) fail_unsupported(view);
  return to_device(view, view.bytes.data(), view.bytes.size(), view.bytes.size(), view.n_rows);
}

std::unique_ptr<GpuMatrix> GpuBackend::to_device(const WeightView& view, const std::byte* bytes, size_t pitch,
                                                 size_t width, int64_t n_rows) {
  if (view.n_rows > INT32_MAX || view.n_cols > INT32_MAX) fail_unsupported(view);
  const int64_t n_elements = n_rows * view.n_cols;
  const size_t n_bytes = gpu::device_bytes(view.type, n_elements);
  DeviceBytes memory;
  if (view.is_mapped && pitch == width) memory = DeviceBytes::lent(bytes, n_bytes, view.name, &plan_);
  const bool is_lent = memory.data() != nullptr;
  if (!is_lent) {
    memory = DeviceBytes(n_bytes, view.name, &plan_);
    check_gpu(gpu::copy_runs(memory.data(), bytes, pitch, width, n_bytes / width), "copying a weight");
    wait_for_copies();
  }
  gpu::DeviceType type = view.type;
  if (gpu::can_widen(view.type, view.n_cols)) {
    type.is_wide = true;
    DeviceBytes wide(gpu::device_bytes(type, n_elements), view.name, &plan_);
    launched(gpu::launch_widen(stream_, view.type, memory.data(), wide.data(), n_elements), "widen");
    check_gpu(gpu::synchronize(stream_), "preparing a weight");
    memory = std::move(wide);
  } else if (is_lent) {
    read_pages({bytes, n_bytes});  // now, and not when the first token is waited for
    lent_.insert(view.bytes.data());
  }
  weight_bytes_ += n_bytes;
  if (gpu::takes_super_groups(type)) super_bytes_ += n_bytes;
  return std::make_unique<GpuMatrix>(type, n_rows, view.n_cols, std::move(memory));
}

std::unique_ptr<GpuBuffer> GpuBackend::upload(std::span<const float> values) {
  use();
  auto buffer = std::make_unique<GpuBuffer>(values.size(), plan_);
  check_gpu(gpu::copy(buffer->span().data, values.data(), values.size_bytes(), gpu::Copy::kToDevice),
            "copying a weight");
  wait_for_copies();
  return buffer;
}

}  // namespace outpost
