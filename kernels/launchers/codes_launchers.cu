#include "kernels/launchers/codes_arguments.h"
#include "kernels/launchers/launch.h"

namespace outpost::gpu {
namespace {

uint32_t ceil_div(int32_t a, int32_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

bool has_kernel(int32_t dim_k, int32_t dim_v) {
  return dim_k % 4 == 0 && dim_v % 4 == 0 && dim_k <= kMaxKvDim && dim_v <= 512;
}

template <int kMaxDim, int kTokens>
Error launch_store(Stream stream, float* q, const float* k, const float* v, const float* turns,
                   const int32_t* positions, const int32_t* slots, const CodesMemory& memory, const TurnMatrices& turn,
                   const RopeCodesParams& params) {
  const Grid grid(params.n_head + 2 * params.kv.n_head_kv, ceil_div(params.n_tokens, kTokens));
  const OverlappedLaunch launch(stream, grid, kRopeThreads);
  return launch(rope_and_store_codes<kMaxDim, kTokens>, q, k, v, turns, positions, slots, memory.forms, turn.matrices,
                turn.means, memory.arena, params);
}

/// A token alone needs no room for others.
template <int kMaxDim>
Error launch_store(Stream stream, float* q, const float* k, const float* v, const float* turns,
                   const int32_t* positions, const int32_t* slots, const CodesMemory& memory, const TurnMatrices& turn,
                   const RopeCodesParams& params) {
  if (params.n_tokens == 1)
    return launch_store<kMaxDim, 1>(stream, q, k, v, turns, positions, slots, memory, turn, params);
  return launch_store<kMaxDim, TurnShape<kMaxDim>::kTokens>(stream, q, k, v, turns, positions, slots, memory, turn,
                                                            params);
}

struct LaunchMerge {
  Stream stream;
  const CodesAttentionArrays& a;
  const TurnMatrices& turn;
  const RopeCodesParams& codes;
  const AttentionKernelParams& params;
  Error error = Error::kNone;

  template <int kMaxDim>
  void operator()() {
    const OverlappedLaunch launch(stream, Grid(params.n_head, params.n_tokens), kAttentionThreads);
    error = launch(merge_and_turn_back<kMaxDim>, a.partial, a.states, a.positions, a.sinks, turn.matrices, turn.means,
                   a.y, params, codes);
  }
};

template <int kMaxDim>
Error launch_back(Stream stream, float* y, const TurnMatrices& turn, const RopeCodesParams& params) {
  const Grid grid(params.n_head, ceil_div(params.n_tokens, TurnShape<kMaxDim>::kTokens));
  const OverlappedLaunch launch(stream, grid, kRopeThreads);
  return launch(turn_back<kMaxDim>, y, turn.matrices, turn.means, params);
}

}  // namespace

Error launch_rope_and_store_codes(Stream stream, float* q, const float* k, const float* v, const float* turns,
                                  const int32_t* positions, const int32_t* slots, const CodesMemory& memory,
                                  const TurnMatrices& turn, const RopeCodesParams& params) {
  const int32_t dim_k = params.kv.head_dim_k, dim_v = params.kv.head_dim_v;
  if (!has_kernel(dim_k, dim_v)) return Error::kInvalidValue;
  if (params.n_tokens == 0) return Error::kNone;  // an empty grid is an error
  if (dim_k <= 128 && dim_v <= 128)
    return launch_store<128>(stream, q, k, v, turns, positions, slots, memory, turn, params);
  if (dim_k <= 256 && dim_v <= 256)
    return launch_store<256>(stream, q, k, v, turns, positions, slots, memory, turn, params);
  return launch_store<kMaxKvDim>(stream, q, k, v, turns, positions, slots, memory, turn, params);
}

Error launch_turn_back(Stream stream, float* y, const TurnMatrices& turn, const RopeCodesParams& params) {
  const int32_t dim_v = params.kv.head_dim_v;
  if (!has_kernel(params.kv.head_dim_k, dim_v)) return Error::kInvalidValue;
  if (params.n_tokens == 0) return Error::kNone;
  if (dim_v <= 128) return launch_back<128>(stream, y, turn, params);
  if (dim_v <= 256) return launch_back<256>(stream, y, turn, params);
  return launch_back<kMaxKvDim>(stream, y, turn, params);
}

Error launch_pack_pages(Stream stream, const int32_t* pages, int32_t n_pages, const CodesMemory& memory,
                        const CodesLayout& kv) {
  if (!has_kernel(kv.head_dim_k, kv.head_dim_v)) return Error::kInvalidValue;
  if (n_pages == 0) return Error::kNone;
  return Launch(stream, Grid(2 * n_pages, 2 * kv.n_head_kv), kPackThreads)(pack_pages, pages, memory.forms,
                                                                           memory.arena, kv);
}

Error launch_unpack_pages(Stream stream, const UnpackedPage* entries, int32_t n_entries, const CodesMemory& memory,
                          uint16_t* pages, const CodesLayout& kv, const KvLayout& result) {
  if (!has_kernel(kv.head_dim_k, kv.head_dim_v)) return Error::kInvalidValue;
  if (n_entries == 0) return Error::kNone;
  return Launch(stream, Grid(n_entries, 2 * kv.n_head_kv), kPackThreads)(unpack_pages, entries, memory.forms,
                                                                         memory.arena, pages, kv, result);
}

Error launch_attention_codes(Stream stream, const CodesAttentionArrays& arrays, int32_t n_tiles, int32_t n_spans,
                             const TurnMatrices& turn, const RopeCodesParams& codes,
                             const AttentionKernelParams& params) {
  if (!has_kernel(codes.kv.head_dim_k, codes.kv.head_dim_v) || arrays.n_tile_rows > most_codes_rows())
    return Error::kInvalidValue;
  if (params.n_tokens == 0) return Error::kNone;
  const Error error = launch_codes_spans({stream, arrays, n_tiles, n_spans, codes.kv, params});
  if (error != Error::kNone) return error;
  LaunchMerge merge{stream, arrays, turn, codes, params};
  visit_max_dim(codes.kv.head_dim_v, merge);
  return merge.error;
}

}  // namespace outpost::gpu
