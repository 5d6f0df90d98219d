#include "backend/cuda/cuda_backend.h"

namespace outpost {

void CudaBackend::rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                                    KvStorage& kv, int32_t il, std::span<const SequenceRun> runs,
                                    const AttentionParams& params, Rope* rope) {
  settle();
  if (!is_in_pass_) inputs_.stage(stream_, {}, runs, {});
  auto& storage = static_cast<CudaKvStorage&>(kv);
  auto* turns = static_cast<CudaRope*>(rope);
  if (turns != nullptr) turns->reserve(inputs_.last_position());  // one that was made in the middle of this pass
  const gpu::RopeKvParams kernel_params{storage.layout(il), params.n_head, turns != nullptr ? turns->n_pairs() : 0,
                                        turns != nullptr ? turns->params().offset : 0,
                                        turns != nullptr && turns->params().pairing == RopePairing::kHalves ? 1 : 0};
  launched(gpu::launch_rope_and_store_kv(stream_, write(q), k.data, v.data, turns != nullptr ? turns->turns() : nullptr,
                                         inputs_.positions(), inputs_.slots(), storage.pages(), inputs_.n_tokens(),
                                         kernel_params),
           "rope_and_store_kv");
}

void CudaBackend::attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                            std::span<const SequenceRun> runs, const AttentionParams& params) {
  settle();
  if (!is_in_pass_) {
    inputs_.stage(stream_, {}, runs, {});
    n_splits_ = inputs_.last_position() / gpu::kKvSplit + 1;
  }
  const auto& storage = static_cast<const CudaKvStorage&>(kv);
  const int32_t n_group = params.n_head / params.n_head_kv, n_tokens = inputs_.n_tokens();
  // By the tokens of the pass, as products are: what a token gets does not depend on how many there are above that.
  const bool is_flash = n_tokens > gpu::kMatvecMaxTokens && gpu::has_flash(params.head_dim_k, params.head_dim_v);
  const CudaInputs::TileShape shape = {n_group, is_flash ? gpu::kFlashRows : gpu::kAttentionRows};
  if (inputs_.need_tiles(stream_, shape)) graphs_.clear();
  const int32_t n_tiles = inputs_.n_tiles(shape);
  // Splits are computed by blocks of their own where there would be too few to fill the device.
  const bool is_split = !is_flash && n_splits_ > 1 && n_tiles * params.n_head_kv < 4 * n_multiprocessors_;
  gpu::AttentionArrays arrays{q.data,
                              storage.pages(),
                              inputs_.page_tables(),
                              inputs_.tiles(shape),
                              inputs_.positions(),
                              params.sinks.size > 0 ? params.sinks.data : nullptr,
                              write(y),
                              nullptr,
                              nullptr};
  if (is_split) {
    const auto n_rows = static_cast<size_t>(n_splits_) * static_cast<size_t>(n_tokens * params.n_head);
    arrays.partial = reserve(partial_, n_rows * static_cast<size_t>(params.head_dim_v));
    arrays.states = reserve(states_, n_rows * 2);
  }
  const gpu::AttentionKernelParams kernel_params{
      storage.layout(il), params.n_head, n_tokens, params.n_window, params.sinks.size > 0 ? 1 : 0,
      params.scale,       params.softcap};
  if (is_flash)
    launched(gpu::launch_flash(stream_, arrays, n_tiles, kernel_params), "flash_prefill");
  else
    launched(gpu::launch_attention(stream_, arrays, n_tiles, n_splits_, kernel_params), "attention");
}

}  // namespace outpost
