// The inner loops of the CPU backend, one table per instruction set. All tables compute the same bits: lanes
// own rows (or positions), accumulate in one fixed order, and every a*b+c is a fused multiply-add.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "backend/backend.h"
#include "kernels/common/tensor_type.h"

namespace outpost {

/// Activations of one token for 256 columns, as int8 with one scale (the scheme of ggml's q8_K).
struct alignas(64) ActivationBlock {
  int8_t q[256];
  // q in the orders in which codebooks give their elements.
  int8_t q_by_position[256];  ///< byte 32*group + 4*p + run is column 32*group + 8*run + p
  int8_t q_by_pair[256];      ///< bytes 16*sub + 4*p.. are columns 16*sub + p, 8 + p, 4 + p and 12 + p
  // Where sums of 16 bits of codebooks begin: for each 8 bytes of the two orders -64 times the sums of bytes 0, 1, 4
  // and 5 and of the others. Only filled in by kernels that have such sums.
  int16_t starts_by_position[64], starts_by_pair[64];
  int16_t sum16[16];  ///< of q over 16 columns each
  int16_t sum32[8];
  float scale;  ///< x = scale * q
};

/// As ActivationBlock, with a scale for every 32 columns. Columns past the matrix's last are 0.
struct alignas(64) ActivationBlock32 {
  int8_t q[256];
  int32_t sum[8];       ///< of q over 32 columns each
  float scale[8];       ///< x = scale * q
  float scaled_sum[8];  ///< scale * sum
};

/// Dot products of four columns that one of the starts is for.
inline constexpr int kDotsPerStart = 2;

/// Most tiles and tokens that one call of a matmul kernel takes. The tokens' part of the input and their sums lie in a
/// first-level cache of 32 KiB together.
inline constexpr int kMaxTiles = 2, kMaxTileTokens = 64;

/// Blocks of tokens after the last that kernels may read.
inline constexpr int kSpareBlocks = 1;

struct MatmulArgs {
  const std::byte* tiles;  ///< packed_tiles.h
  size_t tile_bytes;       ///< distance of two tiles
  int n_tiles;             ///< 1 to kMaxTiles
  int64_t n_cols;
  /// Quantized tiles: ActivationBlock or ActivationBlock32 [n_cols / 256 rounded up, x_stride], a superblock's tokens
  /// side by side: token after token they would compete for the same few cache sets. Blocks of up to kSpareBlocks
  /// tokens after the last may be read and come to nothing: they must be in memory. Dense tiles: f32 [n_tokens,
  /// x_stride].
  const void* x;
  int64_t x_stride;
  int n_tokens;      ///< 1 to kMaxTileTokens
  float* y;          ///< 16 results of each tile, one after the other, per token
  int64_t y_stride;  ///< distance of two tokens
};

/// Most queries that share the keys and values of one attention call.
inline constexpr int kMaxTileQueries = 32;
inline constexpr int kPagePositions = 64;

/// A sink that takes no part in the softmax.
inline constexpr float kNoSink = -std::numeric_limits<float>::infinity();

/// A page of keys and values in one form, or the sinks of a sequence.
struct KvTile {
  const std::byte* block;
  int32_t first;       ///< position of the block's first row
  int32_t begin, end;  ///< positions that are read here
  KvForm form;
};

/// Where a head lies in a block of one form.
struct KvHeadLayout {
  KvBits bits;
  size_t k_offset, v_offset;
};

struct AttentionArgs {
  int n_queries;                    ///< 1 to kMaxTileQueries, all of one KV head and in one page
  const float* q[kMaxTileQueries];  ///< [head_dim_k]
  float scale;                      ///< of the scores
  float* y[kMaxTileQueries];        ///< [head_dim_v]
  /// Positions first_visible to end_visible - 1 are attended to: at least one.
  int32_t first_visible[kMaxTileQueries], end_visible[kMaxTileQueries];
  float sink[kMaxTileQueries];  ///< a logit that adds no value, or kNoSink
  float softcap;                ///< of the scores, 0: none
  int32_t head_dim_k, head_dim_v;
  int32_t head_dim_v_padded;  ///< to a multiple of 16
  const KvTile* tiles;        ///< by position
  int32_t n_tiles;
  KvHeadLayout layouts[3];  ///< by KvForm
};

using MatmulKernel = void (*)(const MatmulArgs&);

struct CpuKernelTable {
  const char* name;
  int32_t n_lone_prefill;  ///< tokens of a prompt's pass while nobody waits for its end
  /// Block i of the row goes to out[i * stride].
  void (*quantize)(const float* x, int64_t n_cols, ActivationBlock* out, int64_t stride);
  /// The same into blocks of 32 columns; n_cols is a multiple of 32.
  void (*quantize32)(const float* x, int64_t n_cols, ActivationBlock32* out, int64_t stride);
  /// @pre the type is not expanded
  MatmulKernel (*matmul)(TensorType type);
  void (*attention)(const AttentionArgs&);
  void (*rms_norm)(float* y, const float* x, const float* weight, int64_t n, float eps);
  /// `bias` may be null.
  void (*layer_norm)(float* y, const float* x, const float* weight, const float* bias, int64_t n, float eps);
  void (*gate)(Gate kind, float* y, const float* gate, const float* up, int64_t n);
  void (*activate)(Activation kind, float* x, int64_t n);
  void (*softcap)(float* x, int64_t n, float cap);
  void (*exp)(float* y, const float* x, int64_t n);
  // Products on registers alone, as many as the counts say: what benchmarks compare with.
  int32_t (*peak_int8)();
  float (*peak_f32)();
  int64_t n_peak_int8, n_peak_f32;
};

const CpuKernelTable& cpu_kernels_scalar();
#if defined(__x86_64__) || defined(_M_X64)
const CpuKernelTable& cpu_kernels_avx2();
const CpuKernelTable& cpu_kernels_avx2_vnni();
const CpuKernelTable& cpu_kernels_avx2_vnni_evex();
const CpuKernelTable& cpu_kernels_avx512();
const CpuKernelTable& cpu_kernels_amx();
#elif defined(__aarch64__)
const CpuKernelTable& cpu_kernels_neon();
const CpuKernelTable& cpu_kernels_neon_i8mm();
#endif

}  // namespace outpost
