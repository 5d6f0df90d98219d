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
/// The i-th item of a weight's tiles.
TileRange tiles_of(const CpuWeight& weight, int64_t item) {
  const int64_t row0 = item * kTilesPerItem * kTileRows;
  return {weight.type(), weight.tile(item * kTilesPerItem), weight.tile_bytes(),
          std::min(kTilesPerItem * kTileRows, weight.n_rows() - row0)};
}
int64_t first_row(int64_t item) { return item * kTilesPerItem * kTileRows; }
const float* from_row(DeviceSpan<const float> bias, int64_t row) { return bias.size == 0 ? nullptr : bias.data + row; }

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
    const int64_t row0 = first_row(item);
    multiply_tiles(tiles_of(weight, item), input, from_row(tasks[i].bias, row0), tasks[i].result.data + row0,
                   weight.n_rows());
  });
}

void CpuMatmul::matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                             Gate gate) {
  const CpuWeight &gate_weight = cpu(*pair.gate), &up_weight = cpu(*pair.up);
  const MatmulInputKind kinds[] = {kind_of(gate_weight), kind_of(up_weight)};
  const MatmulInput input = prepare(x.data, gate_weight.n_cols(), n_tokens, kinds);
  const int64_t n_ff = gate_weight.n_rows();
  pool_.run(items_of(gate_weight), [&](int64_t item) {
    const int64_t row0 = first_row(item);
    multiply_tiles(tiles_of(gate_weight, item), input, from_row(pair.gate_bias, row0), y.data + row0, n_ff);
    gate_with_tiles(tiles_of(up_weight, item), input, from_row(pair.up_bias, row0), gate, y.data + row0, n_ff);
  });
}

void CpuMatmul::matmul_heads(DeviceSpan<float> y, int32_t y_stride, const HeadWeights& weights,
                             DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) {
  const auto& heads = static_cast<const CpuHeads&>(weights);
  const int64_t n_head = heads.n_head(), n_cols = heads.matrix(0).n_cols();
  const MatmulInputKind kind = kind_of(heads.matrix(0));
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

  const int64_t n_items = items_of(heads.matrix(0));  // of each head
  pool_.run(n_head * n_items, [&](int64_t item) {
    const int64_t h = item / n_items, i_item = item % n_items;
    const CpuWeight& weight = heads.matrix(h);
    const MatmulInput input{x.data + h * x_stride,
                            n_head * x_stride,
                            kind == MatmulInputKind::kSuperblocks ? superblocks_.data() + h * head_blocks : nullptr,
                            kind == MatmulInputKind::kBlocks ? blocks_.data() + h * head_blocks : nullptr,
                            n_cols,
                            n_tokens};
    multiply_tiles(tiles_of(weight, i_item), input, nullptr, y.data + h * y_stride + first_row(i_item),
                   n_head * y_stride);
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

void CpuMatmul::run_kernel(const TileRange& tiles, const MatmulInput& input, int64_t row0, int n_rows, float* y,
                           int64_t y_stride) const {
  const int n_tiles = static_cast<int>((tiles.n_rows + kTileRows - 1) / kTileRows);
  MatmulArgs args{tiles.first, tiles.tile_bytes, n_tiles, input.n_cols, nullptr, input.n_rows, n_rows, y, y_stride};
  switch (matmul_input_kind(tiles.type)) {
    case MatmulInputKind::kF32:
      args.x = input.dense + row0 * input.dense_stride;
      args.x_stride = input.dense_stride;
      break;
    case MatmulInputKind::kSuperblocks: args.x = input.superblocks + row0; break;
    case MatmulInputKind::kBlocks: args.x = input.blocks + row0; break;
  }
  kernels_.matmul(tiles.type)(args);
}

/// Calls use(tiles, first row of these, first input row, number of input rows), so many of each as a kernel takes.
/// Types without kernels are f32 there.
template <typename Use>
void CpuMatmul::for_products(const TileRange& tiles, const MatmulInput& input, const Use& use) const {
  constexpr int64_t kRowsAtOnce = kMaxTiles * kTileRows;
  thread_local std::vector<float> expanded;
  for (int64_t row = 0; row < tiles.n_rows; row += kRowsAtOnce) {
    TileRange some{tiles.type, tiles.first + static_cast<size_t>(row / kTileRows) * tiles.tile_bytes, tiles.tile_bytes,
                   std::min(kRowsAtOnce, tiles.n_rows - row)};
    if (is_expanded(tiles.type)) {
      const auto n_elements = static_cast<size_t>(input.n_cols * kTileRows);
      if (expanded.size() < kMaxTiles * n_elements) expanded.resize(kMaxTiles * n_elements);
      for (size_t i = 0; i * kTileRows < static_cast<size_t>(some.n_rows); ++i)
        expand_tile(tiles.type, some.first + i * tiles.tile_bytes, input.n_cols, expanded.data() + i * n_elements);
      some.type = TensorType::kF32;
      some.first = reinterpret_cast<const std::byte*>(expanded.data());
      some.tile_bytes = n_elements * sizeof(float);
    }
    for (int64_t t = 0; t < input.n_rows; t += kMaxTileTokens)
      use(some, row, t, static_cast<int>(std::min<int64_t>(kMaxTileTokens, input.n_rows - t)));
  }
}

void CpuMatmul::multiply_tiles(const TileRange& tiles, const MatmulInput& input, const float* bias, float* y,
                               int64_t y_stride) const {
  for_products(tiles, input, [&](const TileRange& some, int64_t row, int64_t t, int n) {
    float* out = y + t * y_stride + row;
    if (some.n_rows % kTileRows == 0) {
      run_kernel(some, input, t, n, out, y_stride);
    } else {  // a kernel writes whole tiles
      alignas(64) float results[kMaxTileTokens * kMaxTiles * kTileRows];
      run_kernel(some, input, t, n, results, kMaxTiles * kTileRows);
      for (int i = 0; i < n; ++i) std::copy_n(results + i * kMaxTiles * kTileRows, some.n_rows, out + i * y_stride);
    }
    if (bias == nullptr) return;
    for (int i = 0; i < n; ++i) add_bias(out + i * y_stride, bias + row, some.n_rows);
  });
}

void CpuMatmul::gate_with_tiles(const TileRange& up, const MatmulInput& input, const float* bias, Gate kind, float* y,
                                int64_t y_stride) const {
  for_products(up, input, [&](const TileRange& some, int64_t row, int64_t t, int n) {
    alignas(64) float ups[kMaxTileTokens * kMaxTiles * kTileRows];
    run_kernel(some, input, t, n, ups, kMaxTiles * kTileRows);
    for (int i = 0; i < n; ++i) {
      float *up_row = ups + i * kMaxTiles * kTileRows, *out = y + (t + i) * y_stride + row;
      if (bias != nullptr) add_bias(up_row, bias + row, some.n_rows);
      kernels_.gate(kind, out, out, up_row, some.n_rows);
    }
  });
}

}  // namespace outpost
