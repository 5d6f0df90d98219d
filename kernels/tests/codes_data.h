// Pages of codes that the host writes and reads, element by element, from the description in kv_codes.h.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/half.h"
#include "kernels/common/kv_levels.h"
#include "kernels/tests/codes_operations.h"

namespace outpost::test {

using gpu::CodesLayout;
using gpu::kPage;

/// Places of a code's bits, from the lowest to the highest. Not a vector: every element of the textbook asks for them.
template <typename Place>
class BitPlaces {
 public:
  void push_back(Place place) { places_[n_++] = place; }
  const Place* begin() const { return places_.data(); }
  const Place* end() const { return places_.data() + n_; }

 private:
  std::array<Place, 8> places_;
  size_t n_ = 0;
};

/// Where one of 32 codes lies: bits of words.
struct CodeBits {
  int32_t word, shift;
};
inline BitPlaces<CodeBits> code_bits(int32_t bits, int32_t i) {
  BitPlaces<CodeBits> result;
  for (int32_t b = 0; b < bits; ++b) {
    if (bits == 8) result.push_back({i / 4, 8 * (i % 4) + b});
    if (bits == 4) result.push_back({i / 8, 4 * (i % 8) + b});
    if (bits == 2) result.push_back({i / 16, 4 * (i % 8) + 2 * (i % 16 / 8) + b});
    if (bits == 3) result.push_back(i < 24 ? CodeBits{i / 8, 4 * (i % 8) + b} : CodeBits{b, 4 * (i - 24) + 3});
  }
  return result;
}

/// Keys or values of one head and layer in one form of one page.
class CodesPart {
 public:
  CodesPart(std::vector<uint32_t>& arena, int64_t at, const CodesLayout& kv, int32_t form, bool is_value)
      : arena_(arena),
        at_(static_cast<size_t>(at)),
        dim_(is_value ? kv.head_dim_v : kv.head_dim_k),
        bits_(form == gpu::kFreshForm ? 8
              : is_value              ? kv.v_bits
                                      : kv.k_bits),
        is_fresh_(form == gpu::kFreshForm),
        is_value_(is_value) {}

  int32_t dim() const { return dim_; }
  int32_t bits() const { return bits_; }

  uint32_t code(int32_t slot, int32_t d) const {
    uint32_t code = 0;
    int32_t b = 0;
    for (const auto& [word, shift] : places(slot, d)) code |= (arena_[word] >> shift & 1) << b++;
    return code;
  }
  void set_code(int32_t slot, int32_t d, uint32_t code) {
    int32_t b = 0;
    for (const auto& [word, shift] : places(slot, d)) {
      arena_[word] = (arena_[word] & ~(1u << shift)) | (code >> b & 1) << shift;
      ++b;
    }
  }
  float scale(int32_t slot) const {
    if (is_fresh_) return std::bit_cast<float>(arena_[scales_at() + at(slot)]);
    const uint32_t code = arena_[scales_at() + at(slot / 4)] >> 8 * (slot % 4) & 255;
    return std::ldexp(1.0f + static_cast<float>(code % 8) / 8, static_cast<int>(code / 8) - kKvScaleBias);
  }
  void set_scale(int32_t slot, uint8_t code) {
    if (is_fresh_) {
      arena_[scales_at() + at(slot)] =
          std::bit_cast<uint32_t>(std::ldexp(1.0f + static_cast<float>(code % 8) / 8, code / 8 - kKvScaleBias));
      return;
    }
    uint32_t& word = arena_[scales_at() + at(slot / 4)];
    word = (word & ~(255u << 8 * (slot % 4))) | uint32_t{code} << 8 * (slot % 4);
  }
  /// @pre the form is fresh
  void set_scale_bits(int32_t slot, uint32_t bits) { arena_[scales_at() + at(slot)] = bits; }
  double value(int32_t slot, int32_t d) const {
    const uint32_t found = code(slot, d);
    const int32_t level = bits_ == 8 ? static_cast<int8_t>(found) : kv_levels(bits_)[found];
    return double{scale(slot)} * level;
  }

 private:
  struct Place {
    size_t word;
    int32_t shift;
  };
  static size_t at(int32_t i) { return static_cast<size_t>(i); }
  size_t scales_at() const {
    const int32_t n = is_value_ ? (is_fresh_ ? kPage * dim_ / 4 : 2 * bits_ * dim_) : (dim_ + 31) / 32 * bits_ * kPage;
    return at_ + at(n);
  }
  BitPlaces<Place> places(int32_t slot, int32_t d) const {
    BitPlaces<Place> result;
    if (is_value_ && is_fresh_) {
      for (int32_t b = 0; b < 8; ++b) result.push_back({at_ + at(slot * (dim_ / 4) + d / 4), 8 * (d % 4) + b});
      return result;
    }
    for (const auto& [word, shift] : code_bits(bits_, is_value_ ? slot % 32 : d % 32)) {
      const int32_t row = (is_value_ ? slot / 32 : d / 32) * bits_ + word;
      result.push_back({at_ + at(is_value_ ? row * dim_ + d : row * kPage + slot), shift});
    }
    return result;
  }

  std::vector<uint32_t>& arena_;
  size_t at_;
  int32_t dim_, bits_;
  bool is_fresh_, is_value_;
};

/// Pages of two layers, of which `kv` is the second. The blocks lie in any order, with gaps; words that nobody wrote
/// are `empty`.
struct CodesPages {
  CodesLayout kv;
  int32_t n_page;
  std::vector<int64_t> forms;
  std::vector<uint32_t> arena;

  CodesPages(int32_t n_head_kv, int32_t dim_k, int32_t dim_v, int32_t k_bits, int32_t v_bits, int32_t n_pages,
             uint32_t seed, uint32_t empty)
      : n_page(n_pages) {
    const int32_t layers[] = {n_head_kv * gpu::fresh_head_words(dim_k, dim_v),
                              n_head_kv * gpu::packed_head_words(dim_k, dim_v, k_bits, v_bits),
                              n_head_kv * gpu::sinks_head_words(dim_k, dim_v)};
    kv = {n_head_kv, dim_k, dim_v, k_bits, v_bits, layers[0], layers[1], layers[2]};
    std::vector<int32_t> order(static_cast<size_t>(n_page * gpu::kForms));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    forms.resize(order.size());
    int64_t end = 16;
    for (const int32_t i : order) {
      forms[static_cast<size_t>(i)] = end;
      end += 2 * layers[i % gpu::kForms] + 16;
    }
    arena.assign(static_cast<size_t>(end), empty);
  }

  CodesPart part(int32_t page, int32_t form, int32_t head, bool is_value) {
    const bool is_fresh = form == gpu::kFreshForm;
    const int64_t block = forms[static_cast<size_t>(page * gpu::kForms + form)];
    const int32_t head_words = is_fresh ? gpu::fresh_head_words(kv.head_dim_k, kv.head_dim_v)
                                        : gpu::packed_head_words(kv.head_dim_k, kv.head_dim_v, kv.k_bits, kv.v_bits);
    const int64_t keys = block + (is_fresh ? kv.fresh_at : kv.packed_at) + int64_t{head} * head_words;
    const int32_t values =
        is_fresh ? gpu::fresh_values_at(kv.head_dim_k) : gpu::packed_values_at(kv.head_dim_k, kv.k_bits);
    return {arena, is_value ? keys + values : keys, kv, form, is_value};
  }
  /// The f16 of a sink.
  uint16_t sink(int32_t page, int32_t head, int32_t slot, bool is_value, int32_t d) const {
    const auto [word, shift] = sink_place(page, head, slot, is_value, d);
    return static_cast<uint16_t>(arena[word] >> shift);
  }
  void set_sink(int32_t page, int32_t head, int32_t slot, bool is_value, int32_t d, float x) {
    const auto [word, shift] = sink_place(page, head, slot, is_value, d);
    arena[word] = (arena[word] & ~(0xffffu << shift)) | uint32_t{float_to_half(x)} << shift;
  }

 private:
  struct SinkPlace {
    size_t word;
    int32_t shift;
  };
  SinkPlace sink_place(int32_t page, int32_t head, int32_t slot, bool is_value, int32_t d) const {
    const int32_t dim = is_value ? kv.head_dim_v : kv.head_dim_k;
    const int64_t i = int64_t{slot} * dim + d;
    const int64_t at = forms[static_cast<size_t>(page * gpu::kForms + gpu::kSinksForm)] + kv.sinks_at +
                       int64_t{head} * gpu::sinks_head_words(kv.head_dim_k, kv.head_dim_v) +
                       (is_value ? gpu::kSinkPositions * kv.head_dim_k / 2 : 0);
    return {static_cast<size_t>(at + i / 2), static_cast<int32_t>(16 * (i % 2))};
  }
};

}  // namespace outpost::test
