// Keys and values as codes of 2, 3, 4 or 8 bit: where they lie in a page, and how 32 codes become bytes of levels. What
// a code stands for, and which positions are kept how, is the same on every device (kernels/common/kv_levels.h,
// native/backend/kv_format.h); the order of the codes is this device's own.
//
// 32 codes of b bits are b words. 4 bit: a word has eight, the first four in its lower half, so that a half is the
// selector of a byte permutation that looks up four levels at once. 3 bit: three words hold 24 codes in the lower bits
// of their nibbles, and the upper bits of the three words' nibbles are the other eight. 2 bit: a nibble holds code i
// and code i + 8 of a word's sixteen.
#pragma once

#include "kernels/portable/kv_layout.h"

namespace outpost {
namespace gpu {

// The levels of kv_levels.h, four signed bytes to a word (the tests compare them).
OUTPOST_CONSTANT uint32_t kLevels2 = 0x320ff1ceu;
OUTPOST_CONSTANT uint32_t kLevels3Low = 0xf9ead9c2u, kLevels3High = 0x3e271607u;
OUTPOST_CONSTANT uint32_t kLevels4A = 0xe4dcd2c3u, kLevels4B = 0xfdf7f1ebu, kLevels4C = 0x150f0903u,
                          kLevels4D = 0x3d2e241cu;

/// Positions of a page that are packed by one block, and codes that are unpacked at once.
OUTPOST_CONSTANT int kCodes = 32;
OUTPOST_CONSTANT int kSinkPositions = 16;

/// Which form of a page: the order of KvForm.
OUTPOST_CONSTANT int kFreshForm = 0;
OUTPOST_CONSTANT int kPackedForm = 1;
OUTPOST_CONSTANT int kSinksForm = 2;
OUTPOST_CONSTANT int kForms = 3;

/// Where one layer lies in the blocks of a page. A block of a form holds all layers; in a layer KV heads follow each
/// other, each with keys, scales of keys, values, scales of values, in words:
///   fresh   keys [head_dim_k / 4 padded to a multiple of 8 with zeros, 64], four signed bytes each; scales f32 [64];
///           values [64, head_dim_v / 4]; scales f32 [64]
///   packed  keys [groups of 32 dimensions, k_bits, 64]; scales, a byte each, [64]; values [2 groups of 32 positions,
///           v_bits, head_dim_v]; scales [64]
///   sinks   keys f16 [16, head_dim_k], values f16 [16, head_dim_v]
/// Head dimensions are multiples of 4.
struct CodesLayout {
  int32_t n_head_kv, head_dim_k, head_dim_v;
  int32_t k_bits, v_bits;                 ///< of the packed form: 2, 3, 4 or 8
  int32_t fresh_at, packed_at, sinks_at;  ///< words to this layer in a block of each form
};

GPU_FN constexpr int32_t key_groups(int32_t head_dim_k) { return (head_dim_k + kCodes - 1) / kCodes; }

// ---- offsets of a head's parts within a layer, in words

GPU_FN constexpr int32_t fresh_values_at(int32_t head_dim_k) { return key_groups(head_dim_k) * 8 * kPage + kPage; }
GPU_FN constexpr int32_t fresh_head_words(int32_t head_dim_k, int32_t head_dim_v) {
  return fresh_values_at(head_dim_k) + kPage * head_dim_v / 4 + kPage;
}
GPU_FN constexpr int32_t packed_values_at(int32_t head_dim_k, int32_t k_bits) {
  return key_groups(head_dim_k) * k_bits * kPage + kPage / 4;
}
GPU_FN constexpr int32_t packed_head_words(int32_t head_dim_k, int32_t head_dim_v, int32_t k_bits, int32_t v_bits) {
  return packed_values_at(head_dim_k, k_bits) + 2 * v_bits * head_dim_v + kPage / 4;
}
GPU_FN constexpr int32_t sinks_head_words(int32_t head_dim_k, int32_t head_dim_v) {
  return kSinkPositions * (head_dim_k + head_dim_v) / 2;
}

/// Keys and values of one head of a page, in one of its forms. Word is uint32_t, or const.
template <typename Word>
struct CodesPlace {
  DevicePtr<Word> keys, values;
};

/// @param forms [n_page, kForms] words from the beginning of `arena` to each block; with a null arena, and on Metal,
///   their addresses in words
template <typename Word>
GPU_FN CodesPlace<Word> codes_place(DevicePtr<Word> arena, DevicePtr<const int64_t> forms, int32_t page, int32_t form,
                                    GPU_PARAMS_REF(CodesLayout) kv, int32_t head) {
  const DevicePtr<Word> block = element_at(arena, forms[int64_t(page) * kForms + form]);
  const int32_t dim_k = kv.head_dim_k, dim_v = kv.head_dim_v;
  if (form == kFreshForm) {
    const DevicePtr<Word> keys = block + (kv.fresh_at + int64_t(head) * fresh_head_words(dim_k, dim_v));
    return {keys, keys + fresh_values_at(dim_k)};
  }
  if (form == kPackedForm) {
    const DevicePtr<Word> keys =
        block + (kv.packed_at + int64_t(head) * packed_head_words(dim_k, dim_v, kv.k_bits, kv.v_bits));
    return {keys, keys + packed_values_at(dim_k, kv.k_bits)};
  }
  const DevicePtr<Word> keys = block + (kv.sinks_at + int64_t(head) * sinks_head_words(dim_k, dim_v));
  return {keys, keys + kSinkPositions * dim_k / 2};
}

// ---- scales: a byte of 5 bits of exponent and 3 of fraction, 2^(e - 20) * (1 + f / 8)

GPU_FN float scale_of(uint32_t code) { return float_of_bits((code << 20) + ((127u - 20u) << 23)); }

/// Of the nearest scale, or with kIsAbove the first that is not below x.
template <bool kIsAbove>
GPU_FN uint32_t scale_code(float x) {
  if (!(x > 9.5367431640625e-07f)) return 0;  // 2^-20, and NaN
  const uint32_t bits = bits_of_float(x) - ((127u - 20u) << 23);
  const uint32_t code = (bits + (kIsAbove ? (1u << 20) - 1 : 1u << 19)) >> 20;
  return code < 255 ? code : 255;
}

// ---- codes and levels

/// Level words of 32 codes: four signed bytes each, in order.
GPU_FN uint32_t levels4(uint32_t selector) {
  // Bit 3 of a nibble chooses among the two halves of the table: as a permutation of bytes 0 and 255 it becomes a mask.
  const uint32_t is_high = pick_bytes(0u, 0xffffffffu, (selector >> 1) & 0x4444u);
  return (pick_bytes(kLevels4A, kLevels4B, selector) & ~is_high) |
         (pick_bytes(kLevels4C, kLevels4D, selector) & is_high);
}

template <int kBits>
GPU_FN void expand_codes(GPU_LOCAL const uint32_t (&words)[kBits], GPU_LOCAL uint32_t (&levels)[8]) {
  if (kBits == 8) {
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) levels[i] = words[i < kBits ? i : 0];
  } else if (kBits == 4) {
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
      const uint32_t word = words[i < kBits ? i : 0];
      levels[2 * i] = levels4(word);
      levels[2 * i + 1] = levels4(word >> 16);
    }
  } else if (kBits == 3) {
    GPU_UNROLL for (int32_t i = 0; i < 3; ++i) {
      const uint32_t word = words[i < kBits ? i : 0];
      levels[2 * i] = pick_bytes(kLevels3Low, kLevels3High, word);
      levels[2 * i + 1] = pick_bytes(kLevels3Low, kLevels3High, word >> 16);
    }
    const uint32_t others = ((words[0] >> 3) & 0x11111111u) | ((words[1 % kBits] >> 2) & 0x22222222u) |
                            ((words[2 % kBits] >> 1) & 0x44444444u);
    levels[6] = pick_bytes(kLevels3Low, kLevels3High, others);
    levels[7] = pick_bytes(kLevels3Low, kLevels3High, others >> 16);
  } else {
    GPU_UNROLL for (int32_t i = 0; i < 2; ++i) {
      // The table twice: bit 2 of a nibble belongs to another code.
      const uint32_t word = words[i < kBits ? i : 0];
      levels[4 * i] = pick_bytes(kLevels2, kLevels2, word);
      levels[4 * i + 1] = pick_bytes(kLevels2, kLevels2, word >> 16);
      levels[4 * i + 2] = pick_bytes(kLevels2, kLevels2, word >> 2);
      levels[4 * i + 3] = pick_bytes(kLevels2, kLevels2, word >> 18);
    }
  }
}

/// Eight codes below 16, in two words of four bytes, as eight nibbles.
GPU_FN uint32_t nibbles(uint32_t first, uint32_t second) {
  const uint32_t pairs[2] = {first | first >> 4, second | second >> 4};  // bytes 0 and 2 are done
  uint32_t result = 0;
  GPU_UNROLL for (int32_t i = 0; i < 2; ++i) result |= ((pairs[i] & 0xffu) | ((pairs[i] >> 8) & 0xff00u)) << (16 * i);
  return result;
}

/// The inverse of expand_codes, with codes in place of levels. @param codes bytes below 2^kBits
template <int kBits>
GPU_FN void pack_codes(GPU_LOCAL const uint32_t (&codes)[8], GPU_LOCAL uint32_t (&words)[kBits]) {
  if (kBits == 8) {
    GPU_UNROLL for (int32_t i = 0; i < kBits; ++i) words[i] = codes[i];
  } else if (kBits == 2) {
    GPU_UNROLL for (int32_t i = 0; i < kBits; ++i) words[i] =
        nibbles(codes[4 * i % 8], codes[(4 * i + 1) % 8]) | nibbles(codes[(4 * i + 2) % 8], codes[(4 * i + 3) % 8])
                                                                << 2;
  } else {
    GPU_UNROLL for (int32_t i = 0; i < kBits; ++i) words[i] = nibbles(codes[2 * i % 8], codes[(2 * i + 1) % 8]);
    if (kBits == 3) {
      const uint32_t others = nibbles(codes[6], codes[7]);
      GPU_UNROLL for (int32_t i = 0; i < kBits; ++i) words[i] |= ((others >> i) & 0x11111111u) << 3;
    }
  }
}

/// 32 codes at words[0], words[stride] and so on, as levels.
template <int kBits>
GPU_FN void load_codes(DevicePtr<const uint32_t> words, int32_t stride, GPU_LOCAL uint32_t (&levels)[8]) {
  uint32_t loaded[kBits];
  GPU_UNROLL for (int32_t i = 0; i < kBits; ++i) loaded[i] = words[int64_t(i) * stride];
  expand_codes<kBits>(loaded, levels);
}

// ---- reading

/// What a query reads of one head of a page.
struct CodesPage {
  DevicePtr<const uint32_t> keys, values;
  DevicePtr<const uint32_t> sink_keys, sink_values;  ///< if begin is 16
  int32_t k_bits, v_bits;                            ///< 0: fresh
  int32_t first, last;                               ///< slots that are read
  int32_t begin;                                     ///< the first slot that is read as codes: 16 of page 0
  DevicePtr<const uint32_t> key_scales, value_scales;
};

/// Scales of keys or values of a slot.
GPU_FN float slot_scale(DevicePtr<const uint32_t> scales, int32_t slot, bool is_fresh) {
  return is_fresh ? float_of_bits(scales[slot]) : scale_of((scales[slot / 4] >> (8 * (slot % 4))) & 255u);
}

/// @param index of the page in its sequence
GPU_FN CodesPage codes_page(DevicePtr<const uint32_t> arena, DevicePtr<const int64_t> forms, int32_t page, int32_t form,
                            GPU_PARAMS_REF(CodesLayout) kv, int32_t head, int32_t index, int32_t first, int32_t last) {
  const CodesPlace<const uint32_t> place = codes_place(arena, forms, page, form, kv, head);
  const CodesPlace<const uint32_t> sinks = index == 0 ? codes_place(arena, forms, page, kSinksForm, kv, head) : place;
  const bool is_fresh = form == kFreshForm;
  const int32_t k_words = key_groups(kv.head_dim_k) * (is_fresh ? 8 : kv.k_bits) * kPage;
  const int32_t v_words = is_fresh ? kPage * (kv.head_dim_v / 4) : 2 * kv.v_bits * kv.head_dim_v;
  return {place.keys,
          place.values,
          sinks.keys,
          sinks.values,
          is_fresh ? 0 : kv.k_bits,
          is_fresh ? 0 : kv.v_bits,
          first,
          last,
          index == 0 ? kSinkPositions : 0,
          place.keys + k_words,
          place.values + v_words};
}

GPU_FN bool has_codes(GPU_LOCAL const CodesPage& page, int32_t slot) {
  return slot >= page.first && slot <= page.last && slot >= page.begin;
}

/// Levels of 32 dimensions of a key.
GPU_FN void load_keys(GPU_LOCAL uint32_t (&levels)[8], GPU_LOCAL const CodesPage& page, int32_t group, int32_t slot) {
  switch (page.k_bits) {
    case 2: return load_codes<2>(page.keys + (group * 2 * kPage + slot), kPage, levels);
    case 3: return load_codes<3>(page.keys + (group * 3 * kPage + slot), kPage, levels);
    case 4: return load_codes<4>(page.keys + (group * 4 * kPage + slot), kPage, levels);
    default: return load_codes<8>(page.keys + (group * 8 * kPage + slot), kPage, levels);
  }
}

/// Levels of dimension d of the 32 positions of a half of a page, `side` 0 or 1.
GPU_FN void load_values(GPU_LOCAL uint32_t (&levels)[8], GPU_LOCAL const CodesPage& page, int32_t dim_v, int32_t side,
                        int32_t d) {
  switch (page.v_bits) {
    case 2: return load_codes<2>(page.values + (side * 2 * dim_v + d), dim_v, levels);
    case 3: return load_codes<3>(page.values + (side * 3 * dim_v + d), dim_v, levels);
    case 4: return load_codes<4>(page.values + (side * 4 * dim_v + d), dim_v, levels);
    case 8: return load_codes<8>(page.values + (side * 8 * dim_v + d), dim_v, levels);
    default: break;
  }
  // Fresh: a word is four dimensions of a position.
  GPU_UNROLL for (int32_t j = 0; j < 8; ++j) {
    levels[j] = 0;
    GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
      const int32_t slot = side * kCodes + 4 * j + i;
      if (has_codes(page, slot))
        levels[j] |= ((page.values[slot * (dim_v / 4) + d / 4] >> (8 * (d % 4))) & 255u) << (8 * i);
    }
  }
}

}  // namespace gpu
}  // namespace outpost
