// How the keys and values of each layer are kept: in how many bits, and which positions are kept better than that.
//
// A query at position t, in page T = t / kKvPageSize, reads position p of page P = p / kKvPageSize
//   as f16          if p < kKvSinks: every query looks there, so an error there would be everywhere,
//   as 8 bit        if T - P <= kKvRecentPages: what was said last counts most, and a draft may take it back,
//   as packed       otherwise: 8, 4, 3 or 2 bit.
// That is a function of (p, t) alone. However a prompt was cut into passes, and whoever shares its pages, a query reads
// the same bits: this is how batch invariance survives compression.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace outpost {

inline constexpr int32_t kKvSinks = 16;
inline constexpr int32_t kKvRecentPages = 1;
/// Positions behind the end of a sequence that may be taken back without computing older ones again.
inline constexpr int32_t kKvRollback = 32;

/// Bits of an element, of packed pages: 16 (f16, never packed), 8, 4, 3 or 2.
struct KvBits {
  int32_t k = 16, v = 16;

  bool operator==(const KvBits&) const = default;
};

struct KvCalibration;
class KvStatistics;

struct KvFormat {
  std::vector<KvBits> layers;
  /// Bases of this model's keys and values (kv_calibration.h), or null. Means nothing to f16.
  std::shared_ptr<const KvCalibration> calibration = nullptr;

  // For measurements, with f16 only:
  /// Keys and values are what ggml's q4_0 leaves of them, each block of 32 of a head: the cache that llama.cpp offers.
  bool is_rounded_to_q4_0 = false;
  /// Where to add what attention sees, or null.
  KvStatistics* statistics = nullptr;

  /// f16 everywhere: nothing is rotated, nothing is packed.
  bool is_exact() const {
    for (const KvBits& bits : layers) {
      if (bits != KvBits{}) return false;
    }
    return true;
  }
};

inline bool is_kv_bits(int32_t bits) { return bits == 16 || bits == 8 || bits == 4 || bits == 3 || bits == 2; }

/// The format that a preset stands for in a model of n_layer layers.
KvFormat kv_format(KvPreset preset, int32_t n_layer);
/// "compact", bits such as "k4v2", or "q4_0", which is for comparison only; behind these other bits for some layers, as
/// often as wanted: "k4v2/0-3:k3v2/8-11:k4v4". @throws EngineError kInvalidArgument
KvFormat parse_kv_format(const std::string& name, int32_t n_layer);

}  // namespace outpost
