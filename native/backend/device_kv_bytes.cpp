#include "backend/device_kv_bytes.h"

namespace outpost {

DeviceKvBytes device_kv_bytes(const KvShape& shape, KvBits bits) {
  constexpr uint64_t kPage = kKvPageSize, kF16 = sizeof(uint16_t), kScale = sizeof(float);
  const auto n_head = static_cast<uint64_t>(shape.n_head_kv);
  const auto dim_k = static_cast<uint64_t>(shape.head_dim_k), dim_v = static_cast<uint64_t>(shape.head_dim_v);
  if (bits == KvBits{}) return {n_head * kPage * kF16 * (dim_k + dim_v), 0, 0};
  // Codes of keys come in groups of 32 dimensions. A position has a scale for its key and one for its value: f32 while
  // it is fresh, a byte when it is packed.
  const uint64_t dim_k_padded = (dim_k + 31) / 32 * 32;
  const auto packed =
      kPage * (dim_k_padded * static_cast<uint64_t>(bits.k) + dim_v * static_cast<uint64_t>(bits.v)) / 8;
  return {n_head * kPage * (dim_k_padded + dim_v + 2 * kScale), n_head * (packed + 2 * kPage),
          n_head * kKvSinks * kF16 * (dim_k + dim_v)};
}

}  // namespace outpost
