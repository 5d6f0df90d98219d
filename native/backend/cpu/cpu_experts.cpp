#include "backend/cpu/cpu_experts.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "core/mapped_file.h"

namespace outpost {
namespace {

// The memory of a prepared expert is mapped in whole pages.
constexpr size_t kPageBytes = 4096;

size_t row_bytes(TensorType type, int64_t n_cols) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  return static_cast<size_t>(n_cols) / traits.block_elements * traits.block_bytes;
}

ExpertMatrix matrix(const WeightView& view, int32_t n_expert, std::span<const float> biases) {
  assert(view.n_rows % n_expert == 0 && (biases.empty() || biases.size() == static_cast<size_t>(view.n_rows)));
  return {view.type,
          view.n_rows / n_expert,
          view.n_cols,
          view.bytes.data(),
          view.bytes.size() / static_cast<size_t>(n_expert),
          tile_bytes(view.type, view.n_cols),
          0,
          {biases.begin(), biases.end()}};
}

/// The half of a merged matrix that begins at `row`.
ExpertMatrix half(const ExpertMatrix& merged, int64_t row, std::span<const float> biases) {
  ExpertMatrix part = merged;
  part.n_rows = merged.n_rows / 2;
  part.file += static_cast<size_t>(row) * row_bytes(merged.type, merged.n_cols);
  part.biases.assign(biases.begin(), biases.end());
  return part;
}

/// Gives the matrix its place behind `n_bytes` of others. @return where it ends
size_t place(ExpertMatrix& matrix, size_t n_bytes) {
  matrix.offset = (n_bytes + 63) / 64 * 64;  // kernels load whole cache lines
  return matrix.offset + static_cast<size_t>(matrix.n_tiles()) * matrix.tile_bytes;
}

}  // namespace

size_t ExpertMatrix::file_bytes() const { return static_cast<size_t>(n_rows) * row_bytes(type, n_cols); }

CpuExperts::CpuExperts(const ExpertViews& views, const RouterParams& router, Gate gate_kind, ExpertRouter::Exp exp,
                       ExpertCache& cache)
    : il_(views.il),
      router_(router, views.selection_bias, exp, "layer " + std::to_string(views.il)),
      gate_kind_(gate_kind),
      gate_(matrix(views.gate, router.n_expert, views.is_merged ? std::span<const float>() : views.gate_bias)),
      up_(views.is_merged ? half(gate_, gate_.n_rows / 2, views.up_bias)
                          : matrix(views.up, router.n_expert, views.up_bias)),
      down_(matrix(views.down, router.n_expert, views.down_bias)),
      cache_(cache),
      n_tokens_(static_cast<size_t>(router.n_expert)) {
  if (views.is_merged) gate_ = half(gate_, 0, views.gate_bias);
  assert(gate_.n_rows == up_.n_rows && gate_.n_cols == up_.n_cols);
  assert(down_.n_rows == gate_.n_cols && down_.n_cols == gate_.n_rows);
  size_t n_bytes = 0;
  for (ExpertMatrix* part : {&gate_, &up_, &down_}) n_bytes = place(*part, n_bytes);
  layer_ = cache_.add_layer(router.n_expert, (n_bytes + kPageBytes - 1) / kPageBytes * kPageBytes);
}

ExpertUsage CpuExperts::usage() const { return {il_, {n_tokens_.begin(), n_tokens_.end()}}; }

void CpuExperts::prepare_tile(int32_t expert, int64_t i_tile, std::byte* prepared) const {
  const ExpertMatrix* part = &gate_;
  for (const ExpertMatrix* next : {&up_, &down_}) {
    if (i_tile < part->n_tiles()) break;
    i_tile -= part->n_tiles();
    part = next;
  }
  const std::byte* file = part->file + static_cast<size_t>(expert) * part->expert_stride;
  pack_tile(part->type, file, row_bytes(part->type, part->n_cols), part->n_cols, i_tile * kTileRows,
            part->rows_of_tile(i_tile), prepared + part->offset + static_cast<size_t>(i_tile) * part->tile_bytes);
}

void CpuExperts::prefetch(int32_t expert) const {
  for (const ExpertMatrix* part : {&gate_, &up_, &down_})
    prefetch_pages({part->file + static_cast<size_t>(expert) * part->expert_stride, part->file_bytes()});
}

}  // namespace outpost
