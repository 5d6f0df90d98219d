#include "backend/cpu/cpu_matmul.h"

#include <algorithm>
#include <cassert>

namespace outpost {
namespace {

// Tiles that a thread takes at once. A few hundred microseconds of work would leave one thread waiting at the
// end of a product; a single tile would make the shared counter the bottleneck.
constexpr int64_t kTilesPerItem = 4;
// A head's input is a few blocks of some 60 ns each: taken alone, the counter would cost as much.
constexpr int64_t kHeadsPerItem = 8;

const CpuWeight& cpu(const Weight& weight) { return static_cast<const CpuWeight&>(weight); }
bool is_quantized(const Weight& weight) { return !is_dense(cpu(weight).type()); }
int64_t items_of(const Weight& weight) { return (cpu(weight).n_tiles() + kTilesPerItem - 1) / kTilesPerItem; }
int rows_of_tile(const CpuWeight& weight, int64_t i_tile) {
  return static_cast<int>(std::min<int64_t>(kTileRows, weight.n_rows() - i_tile * kTileRows));
}

void add_bias(float* y, const float* bias, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += bias[i];
}

}  // namespace

void CpuMatmul::matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) {
  const bool any_quantized =
      std::any_of(tasks.begin(), tasks.end(), [](const MatmulTask& task) { return is_quantized(*task.weight); });
  const MatmulInput input = prepare(x.data, tasks[0].weight->n_cols(), n_tokens, any_quantized);
  // Items of all tasks in one region: a small matrix does not leave a thread idle.
  int64_t n_items = 0;
  for (const MatmulTask& task : tasks) n_items += items_of(*task.weight);
  pool_.run(n_items, [&](int64_t item) {
    size_t i = 0;
    for (; item >= items_of(*tasks[i].weight); ++i) item -= items_of(*tasks[i].weight);
    const CpuWeight& weight = cpu(*tasks[i].weight);
    const int64_t end = std::min(weight.n_tiles(), (item + 1) * kTilesPerItem);
    for (int64_t i_tile = item * kTilesPerItem; i_tile < end; ++i_tile) {
      multiply_tile(weight, i_tile, input, tasks[i].bias, tasks[i].result.data, weight.n_rows());
    }
  });
}

void CpuMatmul::matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                             Gate gate) {
  const CpuWeight &gate_weight = cpu(*pair.gate), &up_weight = cpu(*pair.up);
  const MatmulInput input =
      prepare(x.data, gate_weight.n_cols(), n_tokens, is_quantized(gate_weight) || is_quantized(up_weight));
  const int64_t n_ff = gate_weight.n_rows();
  pool_.run(gate_weight.n_tiles(), [&](int64_t i_tile) {
    const KernelTile gate_tile = kernel_tile(gate_weight, i_tile, 0), up_tile = kernel_tile(up_weight, i_tile, 1);
    const int64_t row0 = i_tile * kTileRows;
    const int n_rows = rows_of_tile(gate_weight, i_tile);
    for (int32_t t = 0; t < n_tokens; t += kMaxTileTokens) {
      const int n = std::min(kMaxTileTokens, n_tokens - t);
      alignas(64) float gates[kMaxTileTokens * kTileRows], ups[kMaxTileTokens * kTileRows];
      run_kernel(gate_tile, input, t, n, gates, kTileRows);
      run_kernel(up_tile, input, t, n, ups, kTileRows);
      for (int i = 0; i < n; ++i) {
        float *gate_row = gates + i * kTileRows, *up_row = ups + i * kTileRows;
        if (pair.gate_bias.size > 0) add_bias(gate_row, pair.gate_bias.data + row0, n_rows);
        if (pair.up_bias.size > 0) add_bias(up_row, pair.up_bias.data + row0, n_rows);
        kernels_.gate(gate, y.data + (t + i) * n_ff + row0, gate_row, up_row, n_rows);
      }
    }
  });
}

void CpuMatmul::matmul_heads(DeviceSpan<float> y, int32_t y_stride, std::span<const std::unique_ptr<Weight>> weights,
                             DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) {
  const auto n_head = static_cast<int64_t>(weights.size());
  const int64_t n_cols = weights[0]->n_cols(), n_blocks = n_cols / 256;
  const bool has_blocks = is_quantized(*weights[0]);
  if (has_blocks) {
    blocks_.resize(std::max(blocks_.size(), static_cast<size_t>(n_head * n_blocks * n_tokens)));
    const int64_t n_rows = n_head * n_tokens;
    pool_.run((n_rows + kHeadsPerItem - 1) / kHeadsPerItem, [&](int64_t item) {
      const int64_t end = std::min(n_rows, (item + 1) * kHeadsPerItem);
      for (int64_t row = item * kHeadsPerItem; row < end; ++row) {  // blocks are [n_head, n_blocks, n_tokens]
        const int64_t h = row % n_head, t = row / n_head;
        kernels_.quantize(x.data + row * x_stride, n_cols, blocks_.data() + h * n_blocks * n_tokens + t, n_tokens);
      }
    });
  }
  const int64_t n_items = items_of(*weights[0]);  // of each head
  pool_.run(n_head * n_items, [&](int64_t item) {
    const int64_t h = item / n_items, first = item % n_items * kTilesPerItem;
    const CpuWeight& weight = cpu(*weights[static_cast<size_t>(h)]);
    const MatmulInput input{x.data + h * x_stride, n_head * x_stride,
                            has_blocks ? blocks_.data() + h * n_blocks * n_tokens : nullptr, n_cols, n_tokens};
    const int64_t end = std::min(weight.n_tiles(), first + kTilesPerItem);
    for (int64_t i_tile = first; i_tile < end; ++i_tile)
      multiply_tile(weight, i_tile, input, {}, y.data + h * y_stride, n_head * y_stride);
  });
}

MatmulInput CpuMatmul::prepare(const float* x, int64_t n_cols, int64_t n_rows, bool is_quantized) {
  if (is_quantized) {
    blocks_.resize(std::max(blocks_.size(), static_cast<size_t>(n_rows * (n_cols / 256))));
    pool_.run(n_rows, [&](int64_t i) { kernels_.quantize(x + i * n_cols, n_cols, blocks_.data() + i, n_rows); });
  }
  return {x, n_cols, blocks_.data(), n_cols, n_rows};
}

KernelTile CpuMatmul::kernel_tile(const CpuWeight& weight, int64_t i_tile, int slot) {
  if (!is_expanded(weight.type())) return {weight.type(), weight.tile(i_tile)};
  thread_local std::vector<float> expanded[2];
  const auto n = static_cast<size_t>(weight.n_cols() * kTileRows);
  if (expanded[slot].size() < n) expanded[slot].resize(n);
  expand_tile(weight.type(), weight.tile(i_tile), weight.n_cols(), expanded[slot].data());
  return {TensorType::kF32, reinterpret_cast<const std::byte*>(expanded[slot].data())};
}

void CpuMatmul::run_kernel(const KernelTile& tile, const MatmulInput& input, int64_t first, int n_rows, float* y,
                           int64_t y_stride) const {
  MatmulArgs args{tile.data, input.n_cols, nullptr, 0, n_rows, y, y_stride};
  if (is_dense(tile.type)) {
    args.x = input.dense + first * input.dense_stride;
    args.x_stride = input.dense_stride;
  } else {
    args.x = input.quantized + first;
    args.x_stride = input.n_rows;
  }
  switch (tile.type) {
    case TensorType::kF32: return kernels_.matmul_f32(args);
    case TensorType::kF16: return kernels_.matmul_f16(args);
    case TensorType::kQ2_K: return kernels_.matmul_q2_K(args);
    case TensorType::kQ4_K: return kernels_.matmul_q4_K(args);
    case TensorType::kQ5_K: return kernels_.matmul_q5_K(args);
    case TensorType::kIQ2_XXS: return kernels_.matmul_iq2_xxs(args);
    default: assert(!"load_weight refuses other types");
  }
}

void CpuMatmul::multiply_tile(const CpuWeight& weight, int64_t i_tile, const MatmulInput& input,
                              DeviceSpan<const float> bias, float* y, int64_t y_stride) const {
  const KernelTile tile = kernel_tile(weight, i_tile, 0);
  const int n_rows = rows_of_tile(weight, i_tile);
  y += i_tile * kTileRows;
  for (int64_t t = 0; t < input.n_rows; t += kMaxTileTokens, y += kMaxTileTokens * y_stride) {
    const int n = static_cast<int>(std::min<int64_t>(kMaxTileTokens, input.n_rows - t));
    if (n_rows == kTileRows) {
      run_kernel(tile, input, t, n, y, y_stride);
    } else {  // a kernel writes sixteen rows
      alignas(64) float results[kMaxTileTokens * kTileRows];
      run_kernel(tile, input, t, n, results, kTileRows);
      for (int i = 0; i < n; ++i) std::copy_n(results + i * kTileRows, n_rows, y + i * y_stride);
    }
    if (bias.size == 0) continue;
    for (int i = 0; i < n; ++i) add_bias(y + i * y_stride, bias.data + i_tile * kTileRows, n_rows);
  }
}

}  // namespace outpost
