#include "backend/cpu/cpu_attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "backend/cpu/kv_pages.h"
#include "quant/dequantize.h"
#include "quant/quantize.h"

namespace outpost {
namespace {

static_assert(kPagePositions == kKvPageSize);

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int32_t page_of(int32_t position) { return position / kKvPageSize; }

/// Pages before this one are read packed by a query at `position`.
int32_t first_recent_page(int32_t position) { return std::max(0, page_of(position) - kKvRecentPages); }

/// What ggml's q4_0 leaves of a head; its last n % 32 numbers stay.
void round_to_q4_0(float* x, int32_t n) {
  std::byte block[18];  // f16 scale, 32 codes of 4 bit
  for (int32_t i = 0; i + 32 <= n; i += 32) {
    quantize(TensorType::kQ4_0, x + i, 32, block);
    dequantize(TensorType::kQ4_0, block, x + i, 32);
  }
}

}  // namespace

void CpuAttention::rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                                     CpuKvStorage& storage, int32_t il, std::span<const SequenceRun> runs,
                                     const AttentionParams& params, CpuRope* rope) {
  const int32_t dim_k = params.head_dim_k, dim_v = params.head_dim_v;
  if (storage.statistics() != nullptr) add_statistics(*storage.statistics(), q, k, v, il, runs, params, rope);
  const int32_t group = params.n_head / params.n_head_kv;
  int64_t row = 0;
  for (const SequenceRun& run : runs) {
    if (run.n_tokens == 0) continue;
    if (rope != nullptr) rope->reserve(run.n_past + run.n_tokens - 1);
    for (int32_t p = page_of(run.n_past); p <= page_of(run.n_past + run.n_tokens - 1); ++p) {
      const int32_t page = run.page_table[static_cast<size_t>(p)];
      storage.make_block(page, KvForm::kFresh);
      if (p == 0 && storage.is_compressed()) storage.make_block(page, KvForm::kSinks);
      storage.set_packed(page, std::min(storage.n_packed(page), il));  // what was packed before is written over
    }
    pool_.run(run.n_tokens, [&](int64_t t) {
      const auto pos = static_cast<int32_t>(run.n_past + t);
      float* q_token = q.data + (row + t) * params.n_head * dim_k;
      for (int32_t h = 0; h < params.n_head; ++h) {
        if (rope != nullptr) rope->rotate(q_token + h * dim_k, pos);
        const KvRotation* rotation = storage.k_rotation(il, h / group);
        if (rotation != nullptr) rotation->apply_to_query(q_token + h * dim_k);
      }
      const int32_t page = run.page_table[static_cast<size_t>(page_of(pos))];
      for (int32_t h = 0; h < params.n_head_kv; ++h) {
        const int64_t i = (row + t) * params.n_head_kv + h;
        float key[kMaxHeadDim], value[kMaxHeadDim];
        std::copy_n(k.data + i * dim_k, dim_k, key);
        std::copy_n(v.data + i * dim_v, dim_v, value);
        if (rope != nullptr) rope->rotate(key, pos);
        if (storage.is_compressed()) {
          storage.k_rotation(il, h)->apply(key);
          storage.v_rotation(il, h)->apply(value);
        }
        if (storage.is_rounded_to_q4_0()) {
          round_to_q4_0(key, dim_k);
          round_to_q4_0(value, dim_v);
        }
        kv_store(storage, page, il, h, pos, key, value);
      }
    });
    row += run.n_tokens;
  }
  if (storage.is_compressed()) pack_pages(storage, il, runs);
}

void CpuAttention::add_statistics(KvStatistics& statistics, DeviceSpan<const float> q, DeviceSpan<const float> k,
                                  DeviceSpan<const float> v, int32_t il, std::span<const SequenceRun> runs,
                                  const AttentionParams& params, CpuRope* rope) {
  if (rope != nullptr) rope->reserve(statistics.n_positions() - 1);
  const int32_t n_query = params.n_head / params.n_head_kv;
  // A group is added to by one thread, token after token: the sums are the same every time.
  pool_.run(kv_group_count(statistics.shape()), [&](int64_t g) {
    KvStatistics::Group& group = statistics.group(il, static_cast<int32_t>(g));
    if (params.softcap > 0 || params.sinks.size > 0) group.is_shift_free = false;
    const auto add = [&](Moments& moments, const float* x, int32_t pos) {
      float turned[kMaxHeadDim];
      std::copy_n(x, moments.n, turned);
      if (rope != nullptr && pos >= 0) rope->rotate(turned, pos);
      moments.add(turned);
    };
    int64_t row = 0;
    for (const SequenceRun& run : runs) {
      for (int32_t t = 0; t < run.n_tokens; ++t, ++row) {
        const int32_t pos = statistics.spread(run.n_past + t);
        for (int32_t h = 0; h < params.n_head_kv; ++h) {
          if (kv_group_of(statistics.shape(), h) != g) continue;
          const int64_t i = row * params.n_head_kv + h;
          add(group.k, k.data + i * params.head_dim_k, pos);
          add(group.v, v.data + i * params.head_dim_v, -1);
          for (int32_t j = 0; j < n_query; ++j) add(group.q, q.data + (i * n_query + j) * params.head_dim_k, pos);
        }
      }
    }
  });
}

void CpuAttention::pack_pages(CpuKvStorage& storage, int32_t il, std::span<const SequenceRun> runs) {
  std::vector<int32_t> pages;
  for (const SequenceRun& run : runs) {
    if (run.n_tokens == 0) continue;
    const int32_t n_old = first_recent_page(run.n_past + run.n_tokens - 1);
    for (int32_t p = 0; p < n_old; ++p) {
      const int32_t page = run.page_table[static_cast<size_t>(p)];
      if (storage.n_packed(page) > il) continue;
      assert(storage.n_packed(page) == il && storage.block(page, KvForm::kFresh) != nullptr);
      storage.make_block(page, KvForm::kPacked);
      storage.set_packed(page, il + 1);
      pages.push_back(page);
    }
  }
  const int64_t n_head = storage.shape().n_head_kv;
  pool_.run(static_cast<int64_t>(pages.size()) * n_head * 2, [&](int64_t i) {
    const int32_t page = pages[static_cast<size_t>(i / (2 * n_head))];
    const auto head = static_cast<int32_t>(i / 2 % n_head);
    if (i % 2 == 0) {
      kv_pack_keys(storage, page, il, head);
    } else {
      kv_pack_values(storage, page, il, head);
    }
  });
}

void CpuAttention::attention(DeviceSpan<float> y, DeviceSpan<const float> q, const CpuKvStorage& storage, int32_t il,
                             std::span<const SequenceRun> runs, const AttentionParams& params) {
  segments_.clear();
  tiles_.clear();
  int64_t row = 0;
  const int32_t group = params.n_head / params.n_head_kv;
  for (const SequenceRun& run : runs) {
    add_segments(storage, run, row, params);
    row += run.n_tokens;
  }
  const int64_t n_items = divide(group, params.n_head_kv);
  pool_.run(n_items, [&](int64_t i) {
    // Late tokens see more positions: starting with them evens out the threads' last items.
    const int64_t item = n_items - 1 - i;
    const auto next = std::upper_bound(segments_.begin(), segments_.end(), item,
                                       [](int64_t a, const Segment& b) { return a < b.first_item; });
    const Segment& segment = *std::prev(next);
    attend(segment, item - segment.first_item, y.data, q.data, storage, il, params);
  });
  if (!storage.is_compressed()) return;
  pool_.run(row, [&](int64_t t) {
    for (int32_t h = 0; h < params.n_head; ++h)
      storage.v_rotation(il, h / static_cast<int32_t>(group))
          ->undo(y.data + (t * params.n_head + h) * params.head_dim_v);
  });
}

int64_t CpuAttention::divide(int32_t group, int32_t n_head_kv) {
  const auto count_items = [&] {
    int64_t n_items = 0;
    for (Segment& segment : segments_) {
      segment.first_item = n_items;
      n_items += ceil_div(int64_t{segment.n_tokens} * group, n_tile_queries_) * n_head_kv;
    }
    return n_items;
  };
  n_tile_queries_ = kMaxTileQueries;
  const int64_t n_items = count_items();
  if (n_items == 0 || n_items >= pool_.n_threads()) return n_items;
  // One new token has few queries: smaller tiles give every thread some of them.
  int64_t n_most = 0;
  for (const Segment& segment : segments_) n_most = std::max(n_most, int64_t{segment.n_tokens} * group);
  const int64_t n_parts = ceil_div(pool_.n_threads(), n_items);
  n_tile_queries_ = ceil_div(std::min<int64_t>(n_most, kMaxTileQueries), n_parts);
  return count_items();
}

void CpuAttention::add_segments(const CpuKvStorage& storage, const SequenceRun& run, int64_t row,
                                const AttentionParams& params) {
  const int32_t end = run.n_past + run.n_tokens;
  for (int32_t position = run.n_past; position < end;) {
    const int32_t page_end = std::min(end, (page_of(position) + 1) * kKvPageSize);
    Segment segment{row + (position - run.n_past), position, page_end - position, tiles_.size(), 0, 0};
    // Behind a window most pages of a long sequence are not looked at.
    const int32_t first_visible = params.n_window > 0 ? std::max(0, position - params.n_window + 1) : 0;
    const int32_t n_sinks = storage.is_compressed() ? kKvSinks : 0;
    const int32_t first_recent = storage.is_compressed() ? first_recent_page(position) : 0;
    for (int32_t p = page_of(first_visible); p <= page_of(position); ++p) {
      const int32_t page = run.page_table[static_cast<size_t>(p)], first = p * kKvPageSize;
      const int32_t tile_end = std::min(page_end, first + kKvPageSize);
      if (p == 0 && first_visible < n_sinks)
        tiles_.push_back({storage.block(page, KvForm::kSinks), 0, 0, std::min(n_sinks, tile_end), KvForm::kSinks});
      const KvForm form = p < first_recent ? KvForm::kPacked : KvForm::kFresh;
      const int32_t tile_begin = p == 0 ? n_sinks : first;
      if (tile_begin < tile_end) tiles_.push_back({storage.block(page, form), first, tile_begin, tile_end, form});
    }
    segment.n_tiles = static_cast<int32_t>(tiles_.size() - segment.first_tile);
    segments_.push_back(segment);
    position = page_end;
  }
}

/// Queries of a KV head, token after token, in tiles of n_tile_queries_ that share its keys and values.
void CpuAttention::attend(const Segment& segment, int64_t item, float* y, const float* q, const CpuKvStorage& storage,
                          int32_t il, const AttentionParams& params) const {
  const int64_t tile = item / params.n_head_kv;
  const auto head_kv = static_cast<size_t>(item % params.n_head_kv);
  const int32_t group = params.n_head / params.n_head_kv;
  const int64_t n_queries = int64_t{segment.n_tokens} * group;
  AttentionArgs args{};
  args.n_queries = static_cast<int>(std::min<int64_t>(n_tile_queries_, n_queries - tile * n_tile_queries_));
  for (int i = 0; i < args.n_queries; ++i) {
    const int64_t query = tile * n_tile_queries_ + i;
    const int64_t token = query / group;
    const int64_t head = static_cast<int64_t>(head_kv) * group + query % group;
    const auto pos = static_cast<int32_t>(segment.position + token);
    const int64_t row = segment.row + token;
    args.q[i] = q + (row * params.n_head + head) * params.head_dim_k;
    args.y[i] = y + (row * params.n_head + head) * params.head_dim_v;
    args.first_visible[i] = params.n_window > 0 ? std::max(0, pos - params.n_window + 1) : 0;
    args.end_visible[i] = pos + 1;
    args.sink[i] = params.sinks.size > 0 ? params.sinks.data[head] : kNoSink;
  }
  args.scale = params.scale;
  args.softcap = params.softcap;
  args.head_dim_k = params.head_dim_k;
  args.head_dim_v = params.head_dim_v;
  args.head_dim_v_padded = storage.head_dim_v_padded();
  args.tiles = tiles_.data() + segment.first_tile;
  args.n_tiles = segment.n_tiles;
  for (const KvForm form : {KvForm::kFresh, KvForm::kPacked, KvForm::kSinks}) {
    if (storage.form_bytes(form) == 0) continue;
    const KvLayout& layout = storage.layout(form, il);
    const size_t k_offset = layout.offset + layout.stride * head_kv;
    args.layouts[static_cast<size_t>(form)] = {layout.bits, k_offset, k_offset + layout.v_offset};
  }
  kernels_.attention(args);
}

}  // namespace outpost
