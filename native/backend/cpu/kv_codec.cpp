#include "backend/cpu/kv_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "backend/backend.h"
#include "kernels/common/kv_levels.h"

namespace outpost {
namespace {

static_assert(sizeof(KvEncoded::codes) == kMaxHeadDim);

/// The code whose level is nearest to x: as many as there are borders below it.
template <int kBits>
void nearest_codes(const float* x, int32_t n, float inverse, uint8_t* codes) {
  constexpr int kLevels = 1 << kBits;
  const int8_t(&levels)[16] = kv_levels(kBits);
  float scaled[kMaxHeadDim];
  for (int32_t i = 0; i < n; ++i) scaled[i] = x[i] * inverse;
  int32_t counts[kMaxHeadDim] = {};
  for (int border = 0; border + 1 < kLevels; ++border) {
    const float middle = 0.5f * static_cast<float>(levels[border] + levels[border + 1]);
    for (int32_t i = 0; i < n; ++i) counts[i] += scaled[i] > middle ? 1 : 0;
  }
  for (int32_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(counts[i]);
}

template <int kBits>
void encode(const float* x, int32_t n, KvEncoded& out) {
  const int8_t(&levels)[16] = kv_levels(kBits);
  float sum_sq = 0;
  for (int32_t i = 0; i < n; ++i) sum_sq += x[i] * x[i];
  float scale = std::sqrt(sum_sq / static_cast<float>(n)) * kv_unit(kBits);
  // The scale for these codes, then the codes for that scale.
  for (int round = 0; round < 2; ++round) {
    out.scale = kv_nearest_scale(scale);
    nearest_codes<kBits>(x, n, 1.0f / kv_scale(out.scale), out.codes);
    if (round == 1) break;
    float product = 0;
    int32_t square = 0;
    for (int32_t i = 0; i < n; ++i) {
      const int32_t level = levels[out.codes[i]];
      product += x[i] * static_cast<float>(level);
      square += level * level;
    }
    scale = product / static_cast<float>(square);
  }
}

constexpr float kSmallestScale = 0x1p-20f, kLargestScale = 0x1.ep11f;
static_assert(kKvScaleBias == 20);

}  // namespace

size_t kv_key_bytes(int32_t n, int32_t bits) {
  if (bits == 16) return static_cast<size_t>(n) * kKvPageSize * 2;
  return static_cast<size_t>((n + 7) / 8) * kv_block_bytes(bits) + kKvPageSize;
}

size_t kv_value_bytes(int32_t n, int32_t bits) {
  const auto n_columns = static_cast<size_t>((n + 15) / 16);
  if (bits == 16) return n_columns * 16 * kKvPageSize * 2;
  return n_columns * 2 * kv_block_bytes(bits) + kKvPageSize;
}

float kv_scale(uint8_t code) {
  return std::bit_cast<float>((static_cast<uint32_t>(code) << 20) + (uint32_t{127 - kKvScaleBias} << 23));
}

uint8_t kv_nearest_scale(float scale) {
  if (!(scale > kSmallestScale)) return 0;  // NaN too
  if (scale >= kLargestScale) return 255;
  const uint32_t bits = std::bit_cast<uint32_t>(scale) - (uint32_t{127 - kKvScaleBias} << 23);
  return static_cast<uint8_t>(std::min<uint32_t>(255, (bits + (1u << 19)) >> 20));
}

uint8_t kv_scale_above(float scale) {
  if (!(scale > kSmallestScale)) return 0;
  if (scale >= kLargestScale) return 255;
  const uint32_t bits = std::bit_cast<uint32_t>(scale) - (uint32_t{127 - kKvScaleBias} << 23);
  return static_cast<uint8_t>(std::min<uint32_t>(255, (bits + (1u << 20) - 1) >> 20));
}

void kv_encode8(const float* x, int32_t n, KvEncoded& out) {
  float largest = 0;
  for (int32_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  out.scale = kv_scale_above(largest / 127.0f);
  const float inverse = 1.0f / kv_scale(out.scale);
  for (int32_t i = 0; i < n; ++i) {
    const float scaled = std::clamp(x[i] * inverse, -127.0f, 127.0f);
    // NaN becomes 0: it has no place among integers.
    out.codes[i] = scaled == scaled ? static_cast<uint8_t>(static_cast<int8_t>(std::nearbyint(scaled))) : uint8_t{0};
  }
}

void kv_encode(const float* x, int32_t n, int32_t bits, KvEncoded& out) {
  switch (bits) {
    case 2: return encode<2>(x, n, out);
    case 3: return encode<3>(x, n, out);
    case 4: return encode<4>(x, n, out);
    default: return kv_encode8(x, n, out);
  }
}

void kv_pack_block(const uint8_t* codes, int32_t bits, uint8_t* out) {
  std::memset(out, 0, kv_block_bytes(bits));
  for (int group = 0; group < 8; ++group) {
    const uint8_t* from = codes + 64 * group;
    if (bits == 4) {
      for (int i = 0; i < 64; ++i) out[64 * (group / 2) + i] |= static_cast<uint8_t>(from[i] << 4 * (group % 2));
    } else {
      for (int i = 0; i < 64; ++i) out[64 * (group / 4) + i] |= static_cast<uint8_t>((from[i] & 3) << 2 * (group % 4));
    }
    if (bits == 3) {
      for (int i = 0; i < 64; ++i) out[128 + i] |= static_cast<uint8_t>((from[i] >> 2) << group);
    }
  }
}

uint8_t kv_unpack(const uint8_t* block, int32_t bits, int32_t i) {
  const int group = i / 64, byte = i % 64;
  if (bits == 8) return block[i];
  if (bits == 4) return block[64 * (group / 2) + byte] >> 4 * (group % 2) & 15;
  const int low = block[64 * (group / 4) + byte] >> 2 * (group % 4) & 3;
  return static_cast<uint8_t>(bits == 2 ? low : low | (block[128 + byte] >> group & 1) << 2);
}

}  // namespace outpost
