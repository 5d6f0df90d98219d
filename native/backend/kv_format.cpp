#include "backend/kv_format.h"

#include <cstdio>
#include <iterator>

#include "backend/backend.h"
#include "core/strings.h"

namespace outpost {

std::unique_ptr<KvStorage> Backend::alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) {
  if (format.is_exact() && !format.is_rounded_to_q4_0 && format.statistics == nullptr) return alloc_kv(shape, n_page);
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat("The backend ", name(), " keeps keys and values in f16 only. Choose the preset exact."));
}

namespace {

/// Layers do not mind alike (KVTuner, arXiv:2502.04420): an error in the middle third of a model's depth changes what
/// it says several times as much as one in the first. docs/kv-cache.md has what was measured.
struct BitsByDepth {
  KvBits first, middle, last;
};

BitsByDepth preset_bits(KvPreset preset) {
  switch (preset) {
    case KvPreset::kSafe: return {{8, 4}, {8, 4}, {8, 4}};
    case KvPreset::kCompact: return {{3, 2}, {4, 3}, {4, 2}};
    case KvPreset::kMax: return {{2, 2}, {3, 2}, {2, 2}};
    case KvPreset::kExact: break;
  }
  return {{16, 16}, {16, 16}, {16, 16}};
}

}  // namespace

KvFormat kv_format(KvPreset preset, int32_t n_layer) {
  const BitsByDepth bits = preset_bits(preset);
  KvFormat format;
  // The middle has as many layers as the first third, where compact saves what it spends there.
  const int32_t n_third = (n_layer + 2) / 3;
  for (int32_t il = 0; il < n_layer; ++il)
    format.layers.push_back(il < n_third ? bits.first : il < 2 * n_third ? bits.middle : bits.last);
  return format;
}

KvFormat parse_kv_format(const std::string& name, int32_t n_layer) {
  if (const size_t slash = name.rfind('/'); slash != std::string::npos) {
    const std::string part = name.substr(slash + 1);
    int first = 0, last = 0, n_read = 0;
    const bool is_range = std::sscanf(part.c_str(), "%3d-%3d:%n", &first, &last, &n_read) == 2 && n_read > 0;
    if (!is_range || first < 0 || first > last || last >= n_layer) {
      throw EngineError(ErrorCode::kInvalidArgument,
                        concat("The layers of the KV format are ", in_quotes(part),
                               "; expected FIRST-LAST:BITS within 0-", n_layer - 1, ", such as 0-1:k3v2."));
    }
    KvFormat format = parse_kv_format(name.substr(0, slash), n_layer);
    const KvFormat other = parse_kv_format(part.substr(static_cast<size_t>(n_read)), n_layer);
    if (format.is_rounded_to_q4_0 || other.is_rounded_to_q4_0)
      throw EngineError(ErrorCode::kInvalidArgument, "The KV format q4_0 is for all layers or none.");
    for (auto il = static_cast<size_t>(first); il <= static_cast<size_t>(last); ++il)
      format.layers[il] = other.layers[il];
    return format;
  }
  for (size_t i = 0; i < std::size(kKvPresetNames); ++i) {
    if (name == kKvPresetNames[i]) return kv_format(static_cast<KvPreset>(i), n_layer);
  }
  if (name == "q4_0") {
    KvFormat format = kv_format(KvPreset::kExact, n_layer);
    format.is_rounded_to_q4_0 = true;
    return format;
  }
  int k = 0, v = 0, n_read = 0;
  if (std::sscanf(name.c_str(), "k%2dv%2d%n", &k, &v, &n_read) == 2 && static_cast<size_t>(n_read) == name.size() &&
      is_kv_bits(k) && is_kv_bits(v)) {
    return {std::vector<KvBits>(static_cast<size_t>(n_layer), KvBits{k, v})};
  }
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The KV format is ", in_quotes(name),
                           "; expected exact, safe, compact, max, or bits such as k4v3 (16, 8, 4, 3 or 2 each)."));
}

}  // namespace outpost
