#include "backend/cpu/cpu_matmul.h"

#include <algorithm>
#include <cassert>

namespace outpost {
namespace {

// A head's input is a few blocks of some 60 ns each: taken alone, the counter would cost as much.
constexpr int64_t kHeadsPerItem = 8;

const CpuWeight& cpu(const Weight& weight) { return static_cast<const CpuWeight&>(weight); }
MatmulInputKind kind_of(const Weight& weight) { return matmul_input_kind(cpu(weight).type()); }
int64_t superblocks_of(int64_t n_cols) { return (n_cols + 255) / 256; }
int64_t items_of(const Weight& weight) { return (cpu(weight).n_tiles() + kTilesPerItem - 1) / kTilesPerItem; }
int rows_of_tile(const CpuWeight& weight, int64_t i_tile) {
  return static_cast<int>(std::min<int64_t>(kTileRows, weight.n_rows() - i_tile * kTileRows));
}

KernelTile tile_of(const CpuWeight& weight, int64_t i_tile) {
  return CpuMatmul::kernel_tile(weight.type(), weight.tile(i_tile), weight.n_cols());
}

template <typename Block>
void grow(std::vector<Block>& blocks, int64_t n) {
  const auto size = static_cast<size_t>(n + kSpareBlocks);
  if (blocks.size() < size) blocks.resize(size);
}

void add_bias(float* y, const float* bias, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += bias[i];
}

}  // namespace

void CpuMatmul::matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) {
  std::vector<MatmulInputKind> kinds;
  for (const MatmulTask& task : tasks) kinds.push_back(kind_of(*task.weight));
  const MatmulInput input = prepare(x.data, tasks[0].weight->n_cols(), n_tokens, kinds);
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
  const MatmulInputKind kinds[] = {kind_of(gate_weight), kind_of(up_weight)};
  const MatmulInput input = prepare(x.data, gate_weight.n_cols(), n_tokens, kinds);
  const int64_t n_ff = gate_weight.n_rows();
  const DeviceSpan<const float> up_bias = pair.up_bias;
  pool_.run(items_of(gate_weight), [&](int64_t item) {
    const int64_t begin = item * kTilesPerItem, end = std::min(gate_weight.n_tiles(), begin + kTilesPerItem);
    for (int64_t i_tile = begin; i_tile < end; ++i_tile)
      multiply_tile(gate_weight, i_tile, input, pair.gate_bias, y.data, n_ff);
    for (int64_t i_tile = begin; i_tile < end; ++i_tile) {
      const int64_t row0 = i_tile * kTileRows;
      gate_with_tile(tile_of(up_weight, i_tile), rows_of_tile(up_weight, i_tile), input,
                     up_bias.size == 0 ? nullptr : up_bias.data + row0, gate, y.data + row0, n_ff);
    }
  });
}

void CpuMatmul::matmul_heads(DeviceSpan<float> y, int32_t y_stride, std::span<const std::unique_ptr<Weight>> weights,
                             DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) {
  const auto n_head = static_cast<int64_t>(weights.size());
  const int64_t n_cols = weights[0]->n_cols();
  const MatmulInputKind kind = kind_of(*weights[0]);
  const int64_t head_blocks = superblocks_of(n_cols) * n_tokens;  // of one head: [n_superblocks, n_tokens]
  const auto prepare_heads = [&](auto& blocks, const auto& quantize) {
    grow(blocks, n_head * head_blocks);
    const int64_t n_rows = n_head * n_tokens;
    pool_.run((n_rows + kHeadsPerItem - 1) / kHeadsPerItem, [&](int64_t item) {
      const int64_t end = std::min(n_rows, (item + 1) * kHeadsPerItem);
      for (int64_t row = item * kHeadsPerItem; row < end; ++row) {
        const int64_t h = row % n_head, t = row / n_head;
        quantize(x.data + row * x_stride, n_cols, blocks.data() + h * head_blocks + t, n_tokens);
      }
    });
  };
  if (kind == MatmulInputKind::kSuperblocks) prepare_heads(superblocks_, kernels_.quantize);
  if (kind == MatmulInputKind::kBlocks) prepare_heads(blocks_, kernels_.quantize32);

  const int64_t n_items = items_of(*weights[0]);  // of each head
  pool_.run(n_head * n_items, [&](int64_t item) {
    const int64_t h = item / n_items, first = item % n_items * kTilesPerItem;
    const CpuWeight& weight = cpu(*weights[static_cast<size_t>(h)]);
    const MatmulInput input{x.data + h * x_stride,
                            n_head * x_stride,
                            kind == MatmulInputKind::kSuperblocks ? superblocks_.data() + h * head_blocks : nullptr,
                            kind == MatmulInputKind::kBlocks ? blocks_.data() + h * head_blocks : nullptr,
                            n_cols,
                            n_tokens};
    const int64_t end = std::min(weight.n_tiles(), first + kTilesPerItem);
    for (int64_t i_tile = first; i_tile < end; ++i_tile)
      multiply_tile(weight, i_tile, input, {}, y.data + h * y_stride, n_head * y_stride);
  });
}

MatmulInput CpuMatmul::prepare(const float* x, int64_t n_cols, int64_t n_rows, std::span<const MatmulInputKind> kinds) {
  const auto quantize_rows = [&](auto& blocks, const auto& quantize) {
    grow(blocks, n_rows * superblocks_of(n_cols));
    pool_.run(n_rows, [&](int64_t i) { quantize(x + i * n_cols, n_cols, blocks.data() + i, n_rows); });
  };
  const auto needs = [&](MatmulInputKind kind) { return std::find(kinds.begin(), kinds.end(), kind) != kinds.end(); };
  if (needs(MatmulInputKind::kSuperblocks)) quantize_rows(superblocks_, kernels_.quantize);
  if (needs(MatmulInputKind::kBlocks)) quantize_rows(blocks_, kernels_.quantize32);
  return {x, n_cols, superblocks_.data(), blocks_.data(), n_cols, n_rows};
}

KernelTile CpuMatmul::kernel_tile(TensorType type, const std::byte* tile, int64_t n_cols) {
  if (!is_expanded(type)) return {type, tile};
  thread_local std::vector<float> expanded;
  const auto n = static_cast<size_t>(n_cols * kTileRows);
  if (expanded.size() < n) expanded.resize(n);
  expand_tile(type, tile, n_cols, expanded.data());
  return {TensorType::kF32, reinterpret_cast<const std::byte*>(expanded.data())};
}

void CpuMatmul::run_kernel(const KernelTile& tile, const MatmulInput& input, int64_t first, int n_rows, float* y,
                           int64_t y_stride) const {
  MatmulArgs args{tile.data, input.n_cols, nullptr, input.n_rows, n_rows, y, y_stride};
  switch (matmul_input_kind(tile.type)) {
    case MatmulInputKind::kF32:
      args.x = input.dense + first * input.dense_stride;
      args.x_stride = input.dense_stride;
      break;
    case MatmulInputKind::kSuperblocks: args.x = input.superblocks + first; break;
    case MatmulInputKind::kBlocks: args.x = input.blocks + first; break;
  }
  kernels_.matmul(tile.type)(args);
}

void CpuMatmul::multiply_tile(const CpuWeight& weight, int64_t i_tile, const MatmulInput& input,
                              DeviceSpan<const float> bias, float* y, int64_t y_stride) const {
  const int64_t row0 = i_tile * kTileRows;
  multiply_tile(tile_of(weight, i_tile), rows_of_tile(weight, i_tile), input,
                bias.size == 0 ? nullptr : bias.data + row0, y + row0, y_stride);
}

void CpuMatmul::multiply_tile(const KernelTile& tile, int n_rows, const MatmulInput& input, const float* bias, float* y,
                              int64_t y_stride) const {
  for (int64_t t = 0; t < input.n_rows; t += kMaxTileTokens, y += kMaxTileTokens * y_stride) {
    const int n = static_cast<int>(std::min<int64_t>(kMaxTileTokens, input.n_rows - t));
    if (n_rows == kTileRows) {
      run_kernel(tile, input, t, n, y, y_stride);
    } else {  // a kernel writes sixteen rows
      alignas(64) float results[kMaxTileTokens * kTileRows];
      run_kernel(tile, input, t, n, results, kTileRows);
      for (int i = 0; i < n; ++i) std::copy_n(results + i * kTileRows, n_rows, y + i * y_stride);
    }
    if (bias == nullptr) continue;
    for (int i = 0; i < n; ++i) add_bias(y + i * y_stride, bias, n_rows);
  }
}

void CpuMatmul::gate_with_tile(const KernelTile& up, int n_rows, const MatmulInput& input, const float* bias, Gate kind,
                               float* y, int64_t y_stride) const {
  for (int64_t t = 0; t < input.n_rows; t += kMaxTileTokens) {
    const int n = static_cast<int>(std::min<int64_t>(kMaxTileTokens, input.n_rows - t));
    alignas(64) float ups[kMaxTileTokens * kTileRows];
    run_kernel(up, input, t, n, ups, kTileRows);
    for (int i = 0; i < n; ++i) {
      float *up_row = ups + i * kTileRows, *row = y + (t + i) * y_stride;
      if (bias != nullptr) add_bias(up_row, bias, n_rows);
      kernels_.gate(kind, row, row, up_row, n_rows);
    }
  }
}

}  // namespace outpost
