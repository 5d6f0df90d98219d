#include "backend/cpu/cpu_attention.h"

#include <algorithm>

#include "core/half.h"

namespace outpost {
namespace {

static_assert(kPagePositions == kKvPageSize);

void store_kv(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head, int32_t slot, const float* k,
              const float* v) {
  uint16_t* keys = storage.keys(page, il, head) + slot;
  uint16_t* values = storage.values(page, il, head) + slot * storage.head_dim_v_padded();
  for (int32_t d = 0; d < storage.shape().head_dim_k; ++d) keys[d * kKvPageSize] = float_to_half(k[d]);
  for (int32_t d = 0; d < storage.shape().head_dim_v; ++d) values[d] = float_to_half(v[d]);
}

}  // namespace

void CpuAttention::rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                                     CpuKvStorage& storage, int32_t il, std::span<const SequenceRun> runs,
                                     const AttentionParams& params, CpuRope* rope) {
  const int32_t dim_k = params.head_dim_k, dim_v = params.head_dim_v;
  int64_t row = 0;
  for (const SequenceRun& run : runs) {
    if (rope != nullptr) rope->reserve(run.n_past + run.n_tokens - 1);
    pool_.run(run.n_tokens, [&](int64_t t) {
      const auto pos = static_cast<int32_t>(run.n_past + t);
      if (rope != nullptr) {
        float* q_token = q.data + (row + t) * params.n_head * dim_k;
        for (int32_t h = 0; h < params.n_head; ++h) rope->rotate(q_token + h * dim_k, pos);
      }
      const int32_t page = run.page_table[static_cast<size_t>(pos / kKvPageSize)];
      for (int32_t h = 0; h < params.n_head_kv; ++h) {
        const int64_t i = (row + t) * params.n_head_kv + h;
        float key[kMaxHeadDim];
        std::copy_n(k.data + i * dim_k, dim_k, key);
        if (rope != nullptr) rope->rotate(key, pos);
        store_kv(storage, page, il, h, pos % kKvPageSize, key, v.data + i * dim_v);
      }
    });
    row += run.n_tokens;
  }
}

void CpuAttention::attention(DeviceSpan<float> y, DeviceSpan<const float> q, const CpuKvStorage& storage, int32_t il,
                             std::span<const SequenceRun> runs, const AttentionParams& params) {
  const int64_t q_width = int64_t{params.n_head} * params.head_dim_k;
  const int64_t y_width = int64_t{params.n_head} * params.head_dim_v;
  int64_t row = 0;
  for (const SequenceRun& run : runs) {
    attend_run(y.data + row * y_width, q.data + row * q_width, storage, il, run, params);
    row += run.n_tokens;
  }
}

/// Queries of a KV head, token after token, in tiles of kMaxTileQueries that share its keys and values.
void CpuAttention::attend_run(float* y, const float* q, const CpuKvStorage& storage, int32_t il, const SequenceRun& run,
                              const AttentionParams& params) {
  const auto n_pages = static_cast<size_t>((run.n_past + run.n_tokens + kKvPageSize - 1) / kKvPageSize);
  // Behind a window most pages of a long sequence are not looked at.
  const int32_t first_visible = params.n_window > 0 ? std::max(0, run.n_past - params.n_window + 1) : 0;
  const auto n_head_kv = static_cast<size_t>(params.n_head_kv);
  k_pages_.resize(n_head_kv * n_pages);
  v_pages_.resize(n_head_kv * n_pages);
  for (size_t h = 0; h < n_head_kv; ++h) {
    for (auto p = static_cast<size_t>(first_visible / kKvPageSize); p < n_pages; ++p) {
      k_pages_[h * n_pages + p] = storage.keys(run.page_table[p], il, static_cast<int32_t>(h));
      v_pages_[h * n_pages + p] = storage.values(run.page_table[p], il, static_cast<int32_t>(h));
    }
  }
  const int32_t group = params.n_head / params.n_head_kv;
  const int64_t n_queries = int64_t{run.n_tokens} * group;
  const int64_t n_tiles = (n_queries + kMaxTileQueries - 1) / kMaxTileQueries;
  pool_.run(n_tiles * params.n_head_kv, [&](int64_t item) {
    // Late tokens see more positions: starting with them evens out the threads' last items.
    const int64_t tile = n_tiles - 1 - item / params.n_head_kv;
    const auto head_kv = static_cast<size_t>(item % params.n_head_kv);
    AttentionArgs args{};
    float scaled_q[kMaxTileQueries][kMaxHeadDim];
    args.n_queries = static_cast<int>(std::min<int64_t>(kMaxTileQueries, n_queries - tile * kMaxTileQueries));
    for (int i = 0; i < args.n_queries; ++i) {
      const int64_t query = tile * kMaxTileQueries + i;
      const int64_t token = query / group;
      const int64_t head = static_cast<int64_t>(head_kv) * group + query % group;
      const auto pos = static_cast<int32_t>(run.n_past + token);
      const float* query_q = q + (token * params.n_head + head) * params.head_dim_k;
      for (int32_t d = 0; d < params.head_dim_k; ++d) scaled_q[i][d] = query_q[d] * params.scale;
      args.q[i] = scaled_q[i];
      args.y[i] = y + (token * params.n_head + head) * params.head_dim_v;
      args.first_visible[i] = params.n_window > 0 ? std::max(0, pos - params.n_window + 1) : 0;
      args.end_visible[i] = pos + 1;
      args.sink[i] = params.sinks.size > 0 ? params.sinks.data[head] : kNoSink;
    }
    args.softcap = params.softcap;
    args.head_dim_k = params.head_dim_k;
    args.head_dim_v = params.head_dim_v;
    args.head_dim_v_padded = storage.head_dim_v_padded();
    args.k_pages = k_pages_.data() + head_kv * n_pages;
    args.v_pages = v_pages_.data() + head_kv * n_pages;
    kernels_.attention(args);
  });
}

}  // namespace outpost
