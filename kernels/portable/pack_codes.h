// Pages of the KV cache from 8-bit codes into fewer bits, once they have grown old, and any of their forms into f16 for
// kernels that take nothing else.
#pragma once

#include "kernels/portable/kv_codes.h"

namespace outpost {
namespace gpu {

OUTPOST_CONSTANT int kPackThreads = 128;
OUTPOST_CONSTANT int kMaxKvDim = 576;

/// Of a code, as kv_levels.h has them.
template <int kBits>
GPU_FN float level_of(int32_t code) {
  const uint32_t word = kBits == 2   ? kLevels2
                        : kBits == 3 ? (code < 4 ? kLevels3Low : kLevels3High)
                                     : (code < 4    ? kLevels4A
                                        : code < 8  ? kLevels4B
                                        : code < 12 ? kLevels4C
                                                    : kLevels4D);
  return float(int8_t(word >> (8 * (code % 4))));
}

/// Four codes in bytes as four levels in bytes.
template <int kBits>
GPU_FN uint32_t levels_of(uint32_t codes) {
  const uint32_t selector = nibbles(codes, 0);
  return kBits == 2   ? pick_bytes(kLevels2, kLevels2, selector)
         : kBits == 3 ? pick_bytes(kLevels3Low, kLevels3High, selector)
                      : levels4(selector);
}

/// The codes nearest to four signed bytes times `factor`: as many as there are borders below.
template <int kBits>
GPU_FN uint32_t nearest_codes(uint32_t bytes, float unit, float inverse) {
  uint32_t codes = 0;
  GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
    const float x = unit * float(int8_t(bytes >> (8 * i))) * inverse;
    uint32_t code = 0;
    GPU_UNROLL for (int32_t border = 0; border < (1 << kBits) - 1; ++border) {
      if (x > 0.5f * (level_of<kBits>(border) + level_of<kBits>(border + 1))) ++code;
    }
    codes |= code << (8 * i);
  }
  return codes;
}

/// By the four threads of a position.
GPU_FN int32_t quad_sum(int32_t x) {
  x += shuffle_xor(x, 1);
  return x + shuffle_xor(x, 2);
}

/// A unit of levels of a distribution of deviation 1: kv_unit.
template <int kBits>
GPU_FN float level_unit() {
  return kBits == 2 ? 0.030208352f : kBits == 3 ? 0.034636078f : 0.044796550f;
}

/// Turns a position's signed bytes into codes, in place, by four threads. The scale for the codes of the first scale
/// has the least squared error, and the codes are chosen again for it (native/backend/cpu/kv_codec.cpp). Sums are
/// integers.
/// @param row [n_words] @param unit of the bytes @return the scale's code
template <int kBits>
GPU_FN uint32_t encode_position(SharedPtr<uint32_t> row, int32_t n_words, float unit, int32_t part) {
  if (kBits == 8) return scale_code<false>(unit);
  int32_t squares = 0;
  for (int32_t j = part; j < n_words; j += 4) squares = dot4(int32_t(row[j]), int32_t(row[j]), squares);
  const float deviation = unit * sqrt32(float(quad_sum(squares)) / float(4 * n_words));
  const float first = 1.0f / scale_of(scale_code<false>(deviation * level_unit<kBits>()));
  int32_t products = 0, level_squares = 0;
  for (int32_t j = part; j < n_words; j += 4) {
    const uint32_t bytes = row[j];
    const int32_t levels = int32_t(levels_of<kBits>(nearest_codes<kBits>(bytes, unit, first)));
    products = dot4(levels, int32_t(bytes), products);
    level_squares = dot4(levels, levels, level_squares);
  }
  const uint32_t scale = scale_code<false>(unit * float(quad_sum(products)) / float(quad_sum(level_squares)));
  for (int32_t j = part; j < n_words; j += 4) row[j] = nearest_codes<kBits>(row[j], unit, 1.0f / scale_of(scale));
  return scale;
}

/// Rows of codes, [32, pitch] words of four dimensions, as words of keys or values.
template <int kBits>
GPU_FN void write_keys(DevicePtr<uint32_t> keys, SharedPtr<uint32_t> rows, int32_t pitch, int32_t n_words, int32_t side,
                       int32_t thread_id) {
  for (int32_t i = thread_id; i < (n_words + 7) / 8 * kCodes; i += kPackThreads) {
    const int32_t group = i / kCodes, position = i % kCodes;
    uint32_t codes[8], words[kBits];
    GPU_UNROLL for (int32_t j = 0; j < 8; ++j) codes[j] =
        8 * group + j < n_words ? uint32_t(rows[position * pitch + 8 * group + j]) : 0u;
    pack_codes<kBits>(codes, words);
    GPU_UNROLL for (int32_t w = 0; w < kBits; ++w) keys[(group * kBits + w) * kPage + side * kCodes + position] =
        words[w];
  }
}

template <int kBits>
GPU_FN void write_values(DevicePtr<uint32_t> values, SharedPtr<uint32_t> rows, int32_t pitch, int32_t dim, int32_t side,
                         int32_t thread_id) {
  for (int32_t d = thread_id; d < dim; d += kPackThreads) {
    uint32_t codes[8], words[kBits];
    GPU_UNROLL for (int32_t j = 0; j < 8; ++j) {
      codes[j] = 0;
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) codes[j] |=
          ((uint32_t(rows[(4 * j + i) * pitch + d / 4]) >> (8 * (d % 4))) & 255u) << (8 * i);
    }
    pack_codes<kBits>(codes, words);
    GPU_UNROLL for (int32_t w = 0; w < kBits; ++w) values[(side * kBits + w) * dim + d] = words[w];
  }
}

template <int kBits>
GPU_FN void pack_rows(DevicePtr<uint32_t> to, SharedPtr<uint32_t> rows, SharedPtr<uint32_t> scales, float unit,
                      int32_t pitch, int32_t dim, int32_t side, bool is_value, int32_t thread_id) {
  const int32_t n_words = dim / 4, position = thread_id / 4, part = thread_id % 4;
  const uint32_t scale = encode_position<kBits>(rows + position * pitch, n_words, unit, part);
  if (part == 0) scales[position] = scale;
  block_barrier();
  if (is_value) {
    write_values<kBits>(to, rows, pitch, dim, side, thread_id);
  } else {
    write_keys<kBits>(to, rows, pitch, n_words, side, thread_id);
  }
  const int32_t scales_at = is_value ? 2 * kBits * dim : key_groups(dim) * kBits * kPage;
  if (thread_id < kCodes / 4) {
    const SharedPtr<uint32_t> four = scales + 4 * thread_id;
    to[scales_at + side * (kCodes / 4) + thread_id] = four[0] | four[1] << 8 | four[2] << 16 | four[3] << 24;
  }
}

/// The packed form of whole pages from their fresh form. Grid: (2 * pages, 2 * n_head_kv): a block does 32 positions of
/// a head's keys or values.
/// @param pages [grid x / 2] numbers of pages; forms and arena as codes_place
GPU_KERNEL(kPackThreads)
pack_pages(GPU_IN(0, int32_t, pages), GPU_IN(1, int64_t, forms), GPU_IO(2, uint32_t, arena),
           GPU_PARAMS(3, CodesLayout, kv) GPU_GRID) {
  GPU_SHARED(uint32_t, rows, kCodes * (kMaxKvDim / 4 + 1));
  GPU_SHARED(uint32_t, scales, kCodes);
  const Here here = GPU_HERE;
  const int32_t page = pages[here.block_x / 2], side = here.block_x % 2, head = here.block_y / 2;
  const bool is_value = here.block_y % 2 != 0;
  const int32_t dim = is_value ? kv.head_dim_v : kv.head_dim_k, n_words = dim / 4, pitch = n_words + 1;
  const CodesPlace<uint32_t> fresh = codes_place(arena, forms, page, kFreshForm, kv, head);
  const CodesPlace<uint32_t> packed = codes_place(arena, forms, page, kPackedForm, kv, head);
  const DevicePtr<uint32_t> from = is_value ? fresh.values : fresh.keys;
  for (int32_t i = here.thread_id; i < kCodes * n_words; i += kPackThreads) {
    const int32_t position = is_value ? i / n_words : i % kCodes, word = is_value ? i % n_words : i / kCodes;
    const int32_t slot = side * kCodes + position;
    rows[position * pitch + word] = from[is_value ? slot * n_words + word : word * kPage + slot];
  }
  const int32_t from_scales = is_value ? kPage * n_words : key_groups(dim) * 8 * kPage;
  const float unit = float_of_bits(from[from_scales + side * kCodes + here.thread_id / 4]);
  block_barrier();
  const DevicePtr<uint32_t> to = is_value ? packed.values : packed.keys;
  switch (is_value ? kv.v_bits : kv.k_bits) {
    case 2: return pack_rows<2>(to, rows, scales, unit, pitch, dim, side, is_value, here.thread_id);
    case 3: return pack_rows<3>(to, rows, scales, unit, pitch, dim, side, is_value, here.thread_id);
    case 4: return pack_rows<4>(to, rows, scales, unit, pitch, dim, side, is_value, here.thread_id);
    default: return pack_rows<8>(to, rows, scales, unit, pitch, dim, side, is_value, here.thread_id);
  }
}

/// A page to be read as f16: `to` is a page of the result, of which n_slots positions are written.
struct UnpackedPage {
  int32_t page, form, to, n_slots;
  int32_t index;  ///< in its sequence
};

/// Pages of one layer as f16, in the layout of kv_layout.h. Grid: (entries, 2 * n_head_kv).
GPU_KERNEL(kPackThreads)
unpack_pages(GPU_IN(0, UnpackedPage, entries), GPU_IN(1, int64_t, forms), GPU_RESULT(2, uint32_t, arena),
             GPU_IO(3, uint16_t, pages), GPU_PARAMS(4, CodesLayout, kv), GPU_PARAMS(5, KvLayout, result) GPU_GRID) {
  const Here here = GPU_HERE;
  GPU_BLOCK_REF(UnpackedPage) entry = entries[here.block_x];
  const int32_t head = here.block_y / 2;
  const CodesPage page = codes_page(arena, forms, entry.page, entry.form, kv, head, entry.index, 0, entry.n_slots - 1);
  const bool is_value = here.block_y % 2 != 0;
  const int32_t dim = is_value ? kv.head_dim_v : kv.head_dim_k;
  const DevicePtr<uint16_t> to =
      pages + (is_value ? value_at(result, entry.to, head, 0) : key_at(result, entry.to, head, 0));
  uint32_t levels[8];
  if (is_value) {
    for (int32_t i = here.thread_id; i < 2 * dim; i += kPackThreads) {
      const int32_t side = i / dim, d = i % dim;
      load_values(levels, page, dim, side, d);
      GPU_UNROLL for (int32_t j = 0; j < kCodes; ++j) {
        const int32_t slot = side * kCodes + j;
        if (has_codes(page, slot))
          to[slot * dim + d] = half_of_float(slot_scale(page.value_scales, slot, page.v_bits == 0) *
                                             float(int8_t(levels[j / 4] >> (8 * (j % 4)))));
      }
    }
  } else {
    for (int32_t i = here.thread_id; i < key_groups(dim) * kPage; i += kPackThreads) {
      const int32_t group = i / kPage, slot = i % kPage;
      if (has_codes(page, slot)) {
        load_keys(levels, page, group, slot);
        const float scale = slot_scale(page.key_scales, slot, page.k_bits == 0);
        GPU_UNROLL for (int32_t j = 0; j < kCodes; ++j) {
          const int32_t d = group * kCodes + j;
          if (d < dim) to[slot * dim + d] = half_of_float(scale * float(int8_t(levels[j / 4] >> (8 * (j % 4)))));
        }
      }
    }
  }
  const DevicePtr<const uint32_t> sinks = is_value ? page.sink_values : page.sink_keys;
  for (int32_t i = here.thread_id; i < page.begin * (dim / 2); i += kPackThreads) {
    if (i / (dim / 2) < entry.n_slots) {
      to[2 * i] = uint16_t(sinks[i]);
      to[2 * i + 1] = uint16_t(sinks[i] >> 16);
    }
  }
}

}  // namespace gpu
}  // namespace outpost
