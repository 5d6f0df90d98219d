#include "backend/cpu/kv_pages.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/cpu/kv_codec.h"
#include "core/half.h"

namespace outpost {
namespace {

struct Head {
  std::byte* keys;
  std::byte* values;
  KvBits bits;
};

Head head_of(const CpuKvStorage& storage, int32_t page, KvForm form, int32_t il, int32_t head) {
  const KvLayout& layout = storage.layout(form, il);
  std::byte* keys = storage.block(page, form) + layout.offset + layout.stride * static_cast<size_t>(head);
  return {keys, keys + layout.v_offset, layout.bits};
}

/// Keys are [n, n_positions].
void store_f16_keys(std::byte* keys, int32_t n_positions, int32_t slot, const float* x, int32_t n) {
  auto* halfs = reinterpret_cast<uint16_t*>(keys) + slot;
  for (int32_t d = 0; d < n; ++d) halfs[d * n_positions] = float_to_half(x[d]);
}

/// Values are [n_positions, n_padded].
void store_f16_values(std::byte* values, int32_t n_padded, int32_t slot, const float* x, int32_t n) {
  auto* halfs = reinterpret_cast<uint16_t*>(values) + slot * n_padded;
  for (int32_t d = 0; d < n; ++d) halfs[d] = float_to_half(x[d]);
}

/// Codes of 8 bit: those of keys are stored 128 higher, as kernels multiply them.
void store_codes8(std::byte* bytes, int32_t slot, const float* x, int32_t n, bool is_key) {
  KvEncoded encoded;
  kv_encode8(x, n, encoded);
  auto* codes = reinterpret_cast<uint8_t*>(bytes);
  for (int32_t d = 0; d < n; ++d) {
    const KvPlace place = is_key ? kv_key_place(slot, d) : kv_value_place(slot, d);
    codes[place.block * kKvBlockCodes + place.i] = is_key ? encoded.codes[d] ^ 0x80 : encoded.codes[d];
  }
  const size_t n_bytes = is_key ? kv_key_bytes(n, 8) : kv_value_bytes(n, 8);
  codes[n_bytes - kKvPageSize + static_cast<size_t>(slot)] = encoded.scale;
}

void pack(const std::byte* from, std::byte* to, int32_t n, int32_t bits, bool is_key) {
  const size_t n_from = is_key ? kv_key_bytes(n, 8) : kv_value_bytes(n, 8);
  const size_t n_to = is_key ? kv_key_bytes(n, bits) : kv_value_bytes(n, bits);
  if (bits >= 8) {
    std::memcpy(to, from, n_to);  // as it is: a page in f16 or 8 bit has the same form when it is old
    return;
  }
  const auto* fresh = reinterpret_cast<const uint8_t*>(from);
  auto* packed = reinterpret_cast<uint8_t*>(to);
  const size_t n_blocks = (n_to - kKvPageSize) / kv_block_bytes(bits);
  std::vector<uint8_t> codes(n_blocks * kKvBlockCodes, uint8_t{0});
  float x[kMaxHeadDim];
  KvEncoded encoded;
  for (int32_t slot = 0; slot < kKvPageSize; ++slot) {
    const float scale = kv_scale(fresh[n_from - kKvPageSize + static_cast<size_t>(slot)]);
    const auto place_of = [&](int32_t d) {
      const KvPlace place = is_key ? kv_key_place(slot, d) : kv_value_place(slot, d);
      return static_cast<size_t>(place.block * kKvBlockCodes + place.i);
    };
    for (int32_t d = 0; d < n; ++d) {
      const uint8_t code = fresh[place_of(d)];
      x[d] = scale * static_cast<float>(static_cast<int8_t>(is_key ? code ^ 0x80 : code));
    }
    kv_encode(x, n, bits, encoded);
    for (int32_t d = 0; d < n; ++d) codes[place_of(d)] = encoded.codes[d];
    packed[n_to - kKvPageSize + static_cast<size_t>(slot)] = encoded.scale;
  }
  for (size_t block = 0; block < n_blocks; ++block)
    kv_pack_block(codes.data() + block * kKvBlockCodes, bits, packed + block * kv_block_bytes(bits));
}

}  // namespace

void kv_store(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head, int32_t position, const float* k,
              const float* v) {
  const int32_t n_k = storage.shape().head_dim_k, n_v = storage.shape().head_dim_v;
  const int32_t slot = position % kKvPageSize;
  const Head fresh = head_of(storage, page, KvForm::kFresh, il, head);
  if (fresh.bits.k == 16) {
    store_f16_keys(fresh.keys, kKvPageSize, slot, k, n_k);
  } else {
    store_codes8(fresh.keys, slot, k, n_k, true);
  }
  if (fresh.bits.v == 16) {
    store_f16_values(fresh.values, storage.head_dim_v_padded(), slot, v, n_v);
  } else {
    store_codes8(fresh.values, slot, v, n_v, false);
  }
  if (position >= kKvSinks || !storage.is_compressed()) return;
  const Head sinks = head_of(storage, page, KvForm::kSinks, il, head);
  store_f16_keys(sinks.keys, kKvSinks, slot, k, n_k);
  store_f16_values(sinks.values, storage.head_dim_v_padded(), slot, v, n_v);
}

void kv_pack_keys(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head) {
  const Head from = head_of(storage, page, KvForm::kFresh, il, head);
  const Head to = head_of(storage, page, KvForm::kPacked, il, head);
  pack(from.keys, to.keys, storage.shape().head_dim_k, to.bits.k, true);
}

void kv_pack_values(const CpuKvStorage& storage, int32_t page, int32_t il, int32_t head) {
  const Head from = head_of(storage, page, KvForm::kFresh, il, head);
  const Head to = head_of(storage, page, KvForm::kPacked, il, head);
  pack(from.values, to.values, storage.shape().head_dim_v, to.bits.v, false);
}

}  // namespace outpost
