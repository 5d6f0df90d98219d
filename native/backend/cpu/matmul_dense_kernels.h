// Matrix product kernels for rows of f32, f16 and bf16 as a file has them. Included after matmul_kernels.h; internal to
// one kernels_*.cpp.
//
// Columns of sixteen rows become vectors on the way, so that a lane is a row here, too: one fused multiply-add per
// column, column after column, whatever the number of tokens and of tiles.
#pragma once

#include <cstring>

#include "backend/cpu/matmul_kernels.h"

namespace outpost {
namespace {

// Sixteen bytes of sixteen rows as columns.
struct ElementF32 {
  static constexpr int kColumns = 4;
  static void load(const std::byte* p, size_t row_bytes, F32x16 (&columns)[kColumns]) {
    U8x64 words[4];
    u8_load_rows(p, row_bytes, words);
    for (int i = 0; i < 4; ++i) columns[i] = bits_to_f32(u8_as_i32(words[i]));
  }
};
struct ElementBF16 {
  static constexpr int kColumns = 8;
  static void load(const std::byte* p, size_t row_bytes, F32x16 (&columns)[kColumns]) {
    U8x64 words[4];  // of two columns each
    u8_load_rows(p, row_bytes, words);
    OUTPOST_UNROLL
    for (int i = 0; i < 4; ++i) {
      const I32x16 both = u8_as_i32(words[i]);
      columns[2 * i] = bits_to_f32(i32_shift_left<16>(both));
      columns[2 * i + 1] = bits_to_f32(i32_and(both, static_cast<int32_t>(0xFFFF0000u)));
    }
  }
};
struct ElementF16 {
  static constexpr int kColumns = 8;
  static void load(const std::byte* p, size_t row_bytes, F32x16 (&columns)[kColumns]) {
    f16_load_columns(p, row_bytes, columns);
  }
};

/// A line of the cache of each of sixteen rows, or less and zeros behind it. Rows are often a power of two apart, so
/// that all their lines compete for one set of the first-level cache, which has room for eight: they are taken whole,
/// one after the other.
template <typename Element>
struct Lines {
  static constexpr size_t kBytes = 64;
  static constexpr int kParts = 4, kColumns = kParts * Element::kColumns;
  alignas(64) std::byte bytes[kTileRows][kBytes];

  Lines(const std::byte* p, size_t row_bytes) {
    OUTPOST_UNROLL
    for (size_t row = 0; row < kTileRows; ++row)
      u8_store(reinterpret_cast<uint8_t*>(bytes[row]), u8_load(reinterpret_cast<const uint8_t*>(p + row * row_bytes)));
  }
  Lines(const std::byte* p, size_t row_bytes, int64_t n_columns) : bytes{} {
    const auto n_bytes = static_cast<size_t>(n_columns) * (16 / Element::kColumns);
    for (size_t row = 0; row < kTileRows; ++row) std::memcpy(bytes[row], p + row * row_bytes, n_bytes);
  }
  void columns(int part, F32x16 (&out)[Element::kColumns]) const { Element::load(bytes[0] + 16 * part, kBytes, out); }
};

/// acc[t] += column * x[t]
template <int kTokens>
inline void add_column(F32x16 column, const float* const (&x)[kTokens], int64_t col, F32x16 (&acc)[kTokens]) {
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) acc[t] = fma(column, f32_set1(x[t][col]), acc[t]);
}

/// One tile for kTokens tokens: columns go from the file through registers.
template <typename Element, int kTokens>
void matmul_dense_few(const MatmulArgs& args) {
  const size_t row_bytes = args.tile_bytes / kTileRows;
  const float* x[kTokens];
  F32x16 acc[kTokens];
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    x[t] = static_cast<const float*>(args.x) + t * args.x_stride;
    acc[t] = f32_set1(0.0f);
  }
  const std::byte* p = args.tiles;
  const char* ahead = ahead_of(args, args.tiles);
  int64_t col = 0;
  for (; col + Lines<Element>::kColumns <= args.n_cols; col += Lines<Element>::kColumns, p += Lines<Element>::kBytes) {
    const Lines<Element> lines(p, row_bytes);
    for (int part = 0; part < Lines<Element>::kParts; ++part) {
      if (ahead != nullptr) {
        OUTPOST_UNROLL
        for (int line = 0; line < kTileRows / Lines<Element>::kParts; ++line, ahead += 64) prefetch_far(ahead);
      }
      F32x16 columns[Element::kColumns];
      lines.columns(part, columns);
      OUTPOST_UNROLL
      for (int i = 0; i < Element::kColumns; ++i)
        add_column<kTokens>(columns[i], x, col + part * Element::kColumns + i, acc);
    }
  }
  if (col < args.n_cols) {
    const Lines<Element> lines(p, row_bytes, args.n_cols - col);
    F32x16 columns[Element::kColumns];
    for (int i = 0; col + i < args.n_cols; ++i) {
      if (i % Element::kColumns == 0) lines.columns(i / Element::kColumns, columns);
      add_column<kTokens>(columns[i % Element::kColumns], x, col + i, acc);
    }
  }
  OUTPOST_UNROLL
  for (int t = 0; t < kTokens; ++t) f32_store(args.y + t * args.y_stride, acc[t]);
}

/// One tile for many tokens, kAtOnce at a time: a part of its columns is f32 in the first-level cache, and serves all
/// of them.
template <typename Element, int kAtOnce>
void matmul_dense_many(const MatmulArgs& args) {
  constexpr int kLineColumns = Lines<Element>::kColumns;
  constexpr int64_t kPanelColumns = 256;  // 16 KiB
  const size_t row_bytes = args.tile_bytes / kTileRows;
  const char* ahead = ahead_of(args, args.tiles);
  alignas(64) float panel[kPanelColumns * kTileRows];
  alignas(64) float sums[(kMaxTileTokens + kAtOnce) * kTileRows];
  for (int64_t begin = 0; begin < args.n_cols; begin += kPanelColumns) {
    const int64_t n = std::min(kPanelColumns, args.n_cols - begin);
    for (int64_t col = 0; col < n; col += kLineColumns) {
      const std::byte* p = args.tiles + static_cast<size_t>((begin + col) / kLineColumns) * Lines<Element>::kBytes;
      if (ahead != nullptr) {
        for (int line = 0; line < kTileRows; ++line, ahead += 64) prefetch_far(ahead);
      }
      const auto lines = col + kLineColumns <= n ? Lines<Element>(p, row_bytes) : Lines<Element>(p, row_bytes, n - col);
      for (int part = 0; part < Lines<Element>::kParts; ++part) {
        F32x16 columns[Element::kColumns];
        lines.columns(part, columns);
        OUTPOST_UNROLL
        for (int i = 0; i < Element::kColumns; ++i)
          f32_store(panel + (col + part * Element::kColumns + i) * kTileRows, columns[i]);
      }
    }
    for (int t0 = 0; t0 < args.n_tokens; t0 += kAtOnce) {
      const float* x[kAtOnce];
      F32x16 acc[kAtOnce];
      OUTPOST_UNROLL
      for (int t = 0; t < kAtOnce; ++t) {  // what is computed for those past the last token is dropped
        x[t] = static_cast<const float*>(args.x) + std::min(t0 + t, args.n_tokens - 1) * args.x_stride + begin;
        acc[t] = begin == 0 ? f32_set1(0.0f) : f32_load(sums + (t0 + t) * kTileRows);
      }
      for (int64_t col = 0; col < n; ++col) add_column<kAtOnce>(f32_load(panel + col * kTileRows), x, col, acc);
      OUTPOST_UNROLL
      for (int t = 0; t < kAtOnce; ++t) f32_store(sums + (t0 + t) * kTileRows, acc[t]);
    }
  }
  for (int t = 0; t < args.n_tokens; ++t) f32_store(args.y + t * args.y_stride, f32_load(sums + t * kTileRows));
}

template <typename Element>
void matmul_dense(const MatmulArgs& args) {
  for (int i = 0; i < args.n_tiles; ++i) {
    const MatmulArgs one = tile_alone(args, i);
    switch (args.n_tokens) {
      case 1: matmul_dense_few<Element, 1>(one); break;
      case 2: matmul_dense_few<Element, 2>(one); break;
      case 3: matmul_dense_few<Element, 3>(one); break;
      case 4: matmul_dense_few<Element, 4>(one); break;
      case 7:
      case 8: matmul_dense_many < Element, kDenseTokensAtOnce<8 ? 4 : kDenseTokensAtOnce>(one); break;
      default: matmul_dense_many<Element, kDenseTokensAtOnce>(one); break;
    }
  }
}

void matmul_f32(const MatmulArgs& args) { matmul_dense<ElementF32>(args); }
void matmul_f16(const MatmulArgs& args) { matmul_dense<ElementF16>(args); }
void matmul_bf16(const MatmulArgs& args) { matmul_dense<ElementBF16>(args); }

}  // namespace
}  // namespace outpost
