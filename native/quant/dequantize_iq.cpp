// I-quants: runs of four or eight elements taken from a codebook. Every index has as many bits as its codebook has
// entries, so no bytes lead outside.
#include <array>
#include <cstring>

#include "core/half.h"
#include "kernels/common/iq1_grid.h"
#include "kernels/common/iq2_grids.h"
#include "kernels/common/iq2_xxs_grid.h"
#include "kernels/common/iq3_grids.h"
#include "quant/dequantize_block.h"

namespace outpost {
namespace {

/// Patterns of `kRun` elements, spelled out from codes of `kBits` bits that index `values`.
template <int kRun, int kBits, typename T, size_t kPatterns, size_t kValues>
constexpr auto spell_out(const uint16_t (&grid)[kPatterns], const T (&values)[kValues]) {
  std::array<std::array<T, kRun>, kPatterns> patterns{};
  for (size_t i = 0; i < kPatterns; ++i) {
    for (size_t p = 0; p < kRun; ++p) patterns[i][p] = values[(grid[i] >> (kBits * p)) & ((1 << kBits) - 1)];
  }
  return patterns;
}

constexpr int8_t kTernary[3] = {-1, 0, 1};
constexpr auto kIq2XxsPatterns = spell_out<8, 2>(kIq2XxsGrid, kIq2Magnitudes);
constexpr auto kIq2XsPatterns = spell_out<8, 2>(kIq2XsGrid, kIq2Magnitudes);
constexpr auto kIq2SPatterns = spell_out<8, 2>(kIq2SGrid, kIq2Magnitudes);
constexpr auto kIq3XxsPatterns = spell_out<4, 3>(kIq3XxsGrid, kIq3XxsMagnitudes);
constexpr auto kIq3SPatterns = spell_out<4, 3>(kIq3SGrid, kIq3SMagnitudes);
constexpr auto kIq1Patterns = spell_out<8, 2>(kIq1Grid, kTernary);

/// scale * magnitude * sign; bit p of `signs` belongs to element p.
template <size_t kRun>
void write_signed(const std::array<uint8_t, kRun>& pattern, uint32_t signs, float scale, float* out) {
  for (size_t p = 0; p < kRun; ++p) {
    const int sign = 1 - 2 * static_cast<int>((signs >> p) & 1);
    out[p] = scale * static_cast<float>(pattern[p]) * static_cast<float>(sign);
  }
}

/// scale * (value + delta), delta -1/8 or 1/8
void write_shifted(const std::array<int8_t, 8>& pattern, bool is_down, float scale, float* out) {
  const float delta = is_down ? -0.125f : 0.125f;
  for (size_t p = 0; p < 8; ++p) out[p] = scale * (static_cast<float>(pattern[p]) + delta);
}

uint32_t load_word(const void* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, 4);
  return word;
}

/// The scale of IQ2 and IQ3_XXS, `unit` 0.25 and 0.5.
float half_step_scale(float d, uint32_t s, float unit) { return d * (0.5f + static_cast<float>(s)) * unit; }

float odd_scale(float d, int s) { return d * static_cast<float>(2 * s + 1); }

}  // namespace

void dequantize_block(const BlockIQ2_XXS& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 8; ++group) {
    const uint32_t indices = load_word(&block.qs[4 * group]);
    const uint32_t signs_and_scale = load_word(&block.qs[4 * group + 2]);
    const float scale = half_step_scale(d, signs_and_scale >> 28, 0.25f);
    for (int run = 0; run < 4; ++run, out += 8) {
      const uint8_t signs = iq2_signs((signs_and_scale >> (7 * run)) & 127);
      write_signed(kIq2XxsPatterns[(indices >> (8 * run)) & 255], signs, scale, out);
    }
  }
}

void dequantize_block(const BlockIQ2_XS& block, float* out) {
  const float d = half_to_float(block.d);
  for (int run = 0; run < 32; ++run, out += 8) {
    const uint32_t s = (block.scales[run / 4] >> (4 * (run / 2 % 2))) & 15u;
    const uint16_t word = block.qs[run];
    write_signed(kIq2XsPatterns[word & 511], iq2_signs(word >> 9), half_step_scale(d, s, 0.25f), out);
  }
}

void dequantize_block(const BlockIQ2_S& block, float* out) {
  const float d = half_to_float(block.d);
  for (int run = 0; run < 32; ++run, out += 8) {
    const uint32_t s = (block.scales[run / 4] >> (4 * (run / 2 % 2))) & 15u;
    const int high = (block.qh[run / 4] >> (2 * (run % 4))) & 3;
    const auto index = static_cast<size_t>(block.qs[run] | high << 8);
    write_signed(kIq2SPatterns[index], block.signs[run], half_step_scale(d, s, 0.25f), out);
  }
}

void dequantize_block(const BlockIQ3_XXS& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 8; ++group) {
    const uint32_t signs_and_scale = load_word(block.signs_and_scales + 4 * group);
    const float scale = half_step_scale(d, signs_and_scale >> 28, 0.5f);
    for (int run = 0; run < 4; ++run, out += 8) {
      const uint8_t signs = iq2_signs((signs_and_scale >> (7 * run)) & 127);
      const uint8_t* indices = block.qs + 8 * group + 2 * run;
      write_signed(kIq3XxsPatterns[indices[0]], signs, scale, out);
      write_signed(kIq3XxsPatterns[indices[1]], signs >> 4u, scale, out + 4);
    }
  }
}

void dequantize_block(const BlockIQ3_S& block, float* out) {
  const float d = half_to_float(block.d);
  for (int run = 0; run < 64; ++run, out += 4) {
    const float scale = odd_scale(d, (block.scales[run / 16] >> (4 * (run / 8 % 2))) & 15);
    const int high = (block.qh[run / 8] >> (run % 8)) & 1;
    const auto index = static_cast<size_t>(block.qs[run] | high << 8);
    write_signed(kIq3SPatterns[index], static_cast<uint32_t>(block.signs[run / 2] >> (4 * (run % 2))), scale, out);
  }
}

void dequantize_block(const BlockIQ1_S& block, float* out) {
  const float d = half_to_float(block.d);
  for (int run = 0; run < 32; ++run, out += 8) {
    const int high = block.qh[run / 4];
    const auto index = static_cast<size_t>(block.qs[run] | ((high >> (3 * (run % 4))) & 7) << 8);
    write_shifted(kIq1Patterns[index], (high >> 15) != 0, odd_scale(d, (high >> 12) & 7), out);
  }
}

void dequantize_block(const BlockIQ1_M& block, float* out) {
  uint16_t words[4];
  std::memcpy(words, block.scales, sizeof(words));
  uint32_t d_bits = 0;
  for (int i = 0; i < 4; ++i) d_bits |= static_cast<uint32_t>(words[i] >> 12) << (4 * i);
  const float d = half_to_float(static_cast<uint16_t>(d_bits));
  for (int run = 0; run < 32; ++run, out += 8) {
    const int s = (words[run / 8] >> (3 * (run / 2 % 4))) & 7;
    const int high = (block.qh[run / 2] >> (4 * (run % 2))) & 15;
    const auto index = static_cast<size_t>(block.qs[run] | (high & 7) << 8);
    write_shifted(kIq1Patterns[index], (high & 8) != 0, odd_scale(d, s), out);
  }
}

}  // namespace outpost
