// What keys and values take in the memory of a GPU, before there is one that has them.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kv_format.h"

namespace outpost {

/// Most memory for what splits of attention over f16 leave before they are merged; where it would be more, a block does
/// all splits of a tile. Codes have a quarter as many splits, and no other way.
inline constexpr uint64_t kMostSplitBytes = uint64_t{512} << 20;

/// Bytes of a page, by its forms.
struct DeviceKvBytes {
  uint64_t fresh = 0;   ///< as it was written: 8 bit, or f16 where nothing is packed
  uint64_t packed = 0;  ///< 0 where nothing is
  uint64_t sinks = 0;   ///< of the first page of a text; 0 where nothing is packed

  DeviceKvBytes& operator+=(const DeviceKvBytes& other) {
    fresh += other.fresh;
    packed += other.packed;
    sinks += other.sinks;
    return *this;
  }
  friend DeviceKvBytes operator-(DeviceKvBytes a, const DeviceKvBytes& b) {
    return {a.fresh - b.fresh, a.packed - b.packed, a.sinks - b.sinks};
  }
};

/// Of one layer. @param shape its n_layer means nothing here
DeviceKvBytes device_kv_bytes(const KvShape& shape, KvBits bits);

}  // namespace outpost
