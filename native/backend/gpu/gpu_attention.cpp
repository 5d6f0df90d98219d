#include <cstring>

#include "backend/device_kv_bytes.h"
#include "backend/gpu/gpu_backend.h"
#include "backend/gpu/tile_rows.h"
#include "backend/gpu/unpacked_plan.h"
#include "kernels/portable/attention_tiles.h"

namespace outpost {

static_assert(gpu::kMatvecMaxTokens <= gpu::kMaxNewPositions);

void GpuBackend::rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                                   KvStorage& kv, int32_t il, std::span<const SequenceRun> runs,
                                   const AttentionParams& params, Rope* rope) {
  settle({q, k, v});
  if (!is_in_pass_) inputs_.stage(stream_, {}, runs, {});
  auto* turns = static_cast<GpuRope*>(rope);
  if (turns != nullptr)
    turns->reserve(inputs_.last_position(), INT32_MAX, stream_);  // one that was made in the middle of this pass
  if (kv.is_compressed()) {
    auto& storage = static_cast<GpuCodesStorage&>(kv);
    if (!is_in_pass_) storage.begin_pass(runs);
    gpu::RopeCodesParams codes = codes_params(storage, il, params.n_head);
    if (turns != nullptr) {
      codes.n_pairs = turns->n_pairs();
      codes.offset = turns->params().offset;
      codes.is_halves = turns->params().pairing == RopePairing::kHalves ? 1 : 0;
    }
    launched(gpu::launch_rope_and_store_codes(stream_, write(q), k.data, v.data,
                                              turns != nullptr ? turns->turns() : nullptr, inputs_.positions(),
                                              inputs_.slots(), storage.memory(), storage.turn(il), codes),
             "rope_and_store_codes");
    storage.pack_written(il);
    return;
  }
  const PendingKv pending{{write(q), q.size}, k, v, static_cast<const GpuKvStorage*>(&kv), il, turns, params.n_head};
  const bool is_few = is_in_pass_ && inputs_.n_tokens() <= gpu::kMatvecMaxTokens;
  if (is_few && gpu::can_rope_and_attend(params.head_dim_k, params.head_dim_v))
    pending_kv_ = pending;  // the attention that mostly follows takes it along
  else
    store(pending);
}

gpu::RopeKvParams GpuBackend::rope_params(const PendingKv& pending) {
  const GpuRope* rope = pending.rope;
  return {pending.kv->layout(pending.il), pending.n_head, rope != nullptr ? rope->n_pairs() : 0,
          rope != nullptr ? rope->params().offset : 0,
          rope != nullptr && rope->params().pairing == RopePairing::kHalves ? 1 : 0};
}

void GpuBackend::store(const PendingKv& pending) {
  launched(
      gpu::launch_rope_and_store_kv(stream_, pending.q.data, pending.k.data, pending.v.data,
                                    pending.rope != nullptr ? pending.rope->turns() : nullptr, inputs_.positions(),
                                    inputs_.slots(), pending.kv->pages(), inputs_.n_tokens(), rope_params(pending)),
      "rope_and_store_kv");
}

void GpuBackend::attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                           std::span<const SequenceRun> runs, const AttentionParams& params) {
  PendingKv added;
  if (pending_kv_.kv == &kv && pending_kv_.il == il && pending_kv_.q.data == q.data)
    added = std::exchange(pending_kv_, {});
  settle({q});
  if (!is_in_pass_) {
    inputs_.stage(stream_, {}, runs, {});
    n_splits_ = inputs_.last_position() / gpu::kKvSplit + 1;
    for (const auto& pass : unpacked_passes_) pass->is_current = false;
  }
  if (kv.is_compressed()) {
    const auto& codes = static_cast<const GpuCodesStorage&>(kv);
    if (inputs_.n_tokens() <= gpu::kMatvecMaxTokens) return attend_codes(y, q, codes, il, params);
    attend_unpacked(y, q, codes, il, params);
    launched(gpu::launch_turn_back(stream_, y.data, codes.turn(il), codes_params(codes, il, params.n_head)),
             "turn_back");
    return;
  }
  const auto& storage = static_cast<const GpuKvStorage&>(kv);
  const int32_t n_group = params.n_head / params.n_head_kv, n_tokens = inputs_.n_tokens();
  // By the tokens of the pass, as products are: what a token gets does not depend on how many there are above that.
  const bool is_flash = n_tokens > gpu::kMatvecMaxTokens && gpu::has_flash(params.head_dim_k, params.head_dim_v);
  GpuInputs::TileShape shape = {n_group, is_flash ? gpu::flash_rows() : gpu::kAttentionRows};
  if (inputs_.need_tiles(stream_, shape)) recordings_.clear();
  // Splits are computed by blocks of their own where there would be too few to fill the device, and where there is
  // room for what each leaves.
  const auto n_rows_of_split = static_cast<size_t>(n_tokens * params.n_head);
  const size_t n_partial = static_cast<size_t>(n_splits_) * n_rows_of_split * static_cast<size_t>(params.head_dim_v);
  const bool is_split = !is_flash && n_splits_ > 1 && n_partial * sizeof(float) <= kMostSplitBytes &&
                        inputs_.n_tiles(shape) * params.n_head_kv < blocks_that_fill();
  if (is_split) {
    const int32_t n_visible = gpu::visible_splits(n_splits_, gpu::kKvSplit, params.n_window, shape.n_rows);
    enlarge_tiles(shape, params.n_head_kv * n_visible, gpu::most_attention_rows(params.head_dim_k, params.head_dim_v));
  }
  const int32_t n_tiles = inputs_.n_tiles(shape);
  gpu::AttentionArrays arrays{q.data,
                              storage.pages(),
                              inputs_.page_tables(),
                              inputs_.tiles(shape),
                              inputs_.positions(),
                              params.sinks.size > 0 ? params.sinks.data : nullptr,
                              write(y),
                              nullptr,
                              nullptr};
  arrays.n_tile_rows = shape.n_rows;
  if (is_split) {
    arrays.partial = reserve(partial_, n_partial);
    arrays.states = reserve(states_, static_cast<size_t>(n_splits_) * n_rows_of_split * 2);
  }
  const gpu::AttentionKernelParams kernel_params{
      storage.layout(il), params.n_head, n_tokens, params.n_window, params.sinks.size > 0 ? 1 : 0,
      params.scale,       params.softcap};
  // A product with the result follows mostly, and takes it as codes.
  const bool is_super = takes_super_groups(params.n_head * params.head_dim_v);
  gpu::QuantizedOutput codes{};
  if (is_split && n_tokens <= gpu::kMatvecMaxTokens && gpu::can_merge_codes(n_splits_, is_super, kernel_params)) {
    codes = reserve_codes(y.size);
    arrays.codes = &codes;
    arrays.is_super = is_super;
    quantized_ = y;
    is_quantized_super_ = is_super;
  }
  if (added.kv != nullptr) {
    const gpu::RopeKvParams rope = rope_params(added);
    const gpu::RopeKvArrays rope_arrays{added.k.data, added.v.data,
                                        added.rope != nullptr ? added.rope->turns() : nullptr, storage.pages()};
    launched(gpu::launch_rope_and_attention(stream_, arrays, rope_arrays, n_tiles, n_splits_,
                                            {kernel_params, rope.n_pairs, rope.offset, rope.is_halves}),
             "rope_and_attention");
  } else if (is_flash) {
    launched(gpu::launch_flash(stream_, arrays, n_tiles, kernel_params), "flash_prefill");
  } else {
    launched(gpu::launch_attention(stream_, arrays, n_tiles, n_splits_, kernel_params), "attention");
  }
}

void GpuBackend::enlarge_tiles(GpuInputs::TileShape& shape, int32_t n_blocks_of_tile, int32_t n_most_rows) {
  shape.n_rows = choose_tile_rows(inputs_.runs(), shape.n_group, n_most_rows, inputs_.n_tiles(shape) * n_blocks_of_tile,
                                  blocks_that_fill());
  if (inputs_.need_tiles(stream_, shape)) recordings_.clear();
}

gpu::RopeCodesParams GpuBackend::codes_params(const GpuCodesStorage& storage, int32_t il, int32_t n_head) const {
  return {storage.layout(il), n_head, inputs_.n_tokens(), storage.n_groups(), storage.has_means() ? 1 : 0, 0, 0, 0};
}

void GpuBackend::attend_codes(DeviceSpan<float> y, DeviceSpan<const float> q, const GpuCodesStorage& storage,
                              int32_t il, const AttentionParams& params) {
  GpuInputs::TileShape shape = {params.n_head / params.n_head_kv, gpu::kAttentionRows, /*ends_with_page=*/true};
  if (inputs_.need_tiles(stream_, shape)) recordings_.clear();
  const int32_t n_tokens = inputs_.n_tokens();
  constexpr int32_t kSplitsOfSpan = gpu::kCodesSpan / gpu::kKvSplit;
  const int32_t n_spans = (n_splits_ + kSplitsOfSpan - 1) / kSplitsOfSpan;
  const int32_t n_visible = gpu::visible_splits(n_spans, gpu::kCodesSpan, params.n_window, shape.n_rows);
  enlarge_tiles(shape, params.n_head_kv * n_visible, gpu::most_codes_rows());
  const auto n_rows = static_cast<size_t>(n_spans) * static_cast<size_t>(n_tokens * params.n_head);
  float* partial = reserve(partial_, n_rows * static_cast<size_t>(params.head_dim_v));
  float* states = reserve(states_, n_rows * 2);
  const gpu::CodesAttentionArrays arrays{q.data,
                                         storage.memory(),
                                         inputs_.page_tables(),
                                         inputs_.tiles(shape),
                                         inputs_.positions(),
                                         params.sinks.size > 0 ? params.sinks.data : nullptr,
                                         write(y),
                                         partial,
                                         states,
                                         shape.n_rows};
  const gpu::RopeCodesParams codes = codes_params(storage, il, params.n_head);
  const gpu::AttentionKernelParams kernel_params{{codes.kv.n_head_kv, codes.kv.head_dim_k, codes.kv.head_dim_v, 0, 0},
                                                 params.n_head,
                                                 n_tokens,
                                                 params.n_window,
                                                 params.sinks.size > 0 ? 1 : 0,
                                                 params.scale,
                                                 params.softcap};
  launched(gpu::launch_attention_codes(stream_, arrays, inputs_.n_tiles(shape), n_spans, storage.turn(il), codes,
                                       kernel_params),
           "attention_codes");
}

void GpuBackend::attend_unpacked(DeviceSpan<float> y, DeviceSpan<const float> q, const GpuCodesStorage& storage,
                                 int32_t il, const AttentionParams& params) {
  const bool is_flash = gpu::has_flash(params.head_dim_k, params.head_dim_v);
  const UnpackedPass& pass = unpacked_pass(params.n_head / params.n_head_kv,
                                           is_flash ? gpu::flash_rows() : gpu::kAttentionRows, params.n_window);
  const gpu::CodesLayout codes = storage.layout(il);
  const int64_t stride = int64_t{kKvPageSize} * codes.n_head_kv * (codes.head_dim_k + codes.head_dim_v);
  const gpu::KvLayout halves{codes.n_head_kv, codes.head_dim_k, codes.head_dim_v, stride, 0};
  auto* pages = reinterpret_cast<uint16_t*>(
      reserve(unpacked_, static_cast<size_t>(pass.n_pages) * static_cast<size_t>(stride) / 2));
  launched(gpu::launch_unpack_pages(stream_, pass.pages, pass.n_pages, storage.memory(), pages, codes, halves),
           "unpack_pages");
  const gpu::AttentionArrays arrays{q.data,
                                    pages,
                                    pass.page_tables,
                                    pass.tiles,
                                    inputs_.positions(),
                                    params.sinks.size > 0 ? params.sinks.data : nullptr,
                                    write(y),
                                    nullptr,
                                    nullptr};
  const gpu::AttentionKernelParams kernel_params{
      halves,       params.n_head, inputs_.n_tokens(), params.n_window, params.sinks.size > 0 ? 1 : 0,
      params.scale, params.softcap};
  if (is_flash)
    launched(gpu::launch_flash(stream_, arrays, pass.n_tiles, kernel_params), "flash_prefill");
  else
    launched(gpu::launch_attention(stream_, arrays, pass.n_tiles, 1, kernel_params), "attention");
}

const GpuBackend::UnpackedPass& GpuBackend::unpacked_pass(int32_t n_group, int32_t n_rows, int32_t n_window) {
  auto known = std::find_if(unpacked_passes_.begin(), unpacked_passes_.end(), [&](const auto& pass) {
    return pass->n_group == n_group && pass->n_rows == n_rows && pass->n_window == n_window;
  });
  if (known == unpacked_passes_.end()) {
    known = unpacked_passes_.insert(known, std::make_unique<UnpackedPass>());
    (*known)->n_group = n_group;
    (*known)->n_rows = n_rows;
    (*known)->n_window = n_window;
  }
  UnpackedPass& pass = **known;
  if (pass.is_current) return pass;
  const UnpackedPlan plan = plan_unpacked(inputs_.runs(), n_group, n_rows, n_window);
  const size_t n_page_bytes = plan.pages.size() * sizeof(plan.pages[0]);
  const size_t n_table_bytes = plan.page_tables.size() * sizeof(int32_t);
  const size_t n_tile_bytes = plan.tiles.size() * sizeof(plan.tiles[0]);
  const size_t n_bytes = n_page_bytes + n_table_bytes + n_tile_bytes;
  if (pass.memory.size() < n_bytes) pass.memory = DeviceBytes(2 * n_bytes, "the tables of a pass");
  // What the pass before copied from here has arrived: GpuInputs::stage has waited.
  std::byte* staged = pass.pinned.reserve(n_bytes);
  std::memcpy(staged, plan.pages.data(), n_page_bytes);
  std::memcpy(staged + n_page_bytes, plan.page_tables.data(), n_table_bytes);
  std::memcpy(staged + n_page_bytes + n_table_bytes, plan.tiles.data(), n_tile_bytes);
  check_gpu(gpu::copy(stream_, pass.memory.data(), staged, n_bytes, gpu::Copy::kToDevice),
            "copying the tables of a pass");
  const auto* at = pass.memory.as<const std::byte>();
  pass.pages = reinterpret_cast<const gpu::UnpackedPage*>(at);
  pass.page_tables = reinterpret_cast<const int32_t*>(at + n_page_bytes);
  pass.tiles = reinterpret_cast<const gpu::AttentionTile*>(at + n_page_bytes + n_table_bytes);
  pass.n_pages = int_of(plan.pages.size());
  pass.n_tiles = int_of(plan.tiles.size());
  pass.is_current = true;
  return pass;
}

}  // namespace outpost
