#include "backend/cpu/cpu_kv_storage.h"

#include <cassert>
#include <cstring>

#include "backend/cpu/kv_codec.h"

namespace outpost {

CpuKvStorage::CpuKvStorage(const KvShape& shape, const KvFormat& format, int32_t n_page)
    : shape_(shape),
      is_exact_(format.is_exact()),
      is_rounded_to_q4_0_(format.is_rounded_to_q4_0),
      statistics_(format.statistics),
      pages_(static_cast<size_t>(n_page)) {
  assert(format.layers.size() == static_cast<size_t>(shape.n_layer));
  forms_[static_cast<size_t>(KvForm::kFresh)] = lay_out(KvForm::kFresh, format);
  if (is_exact_) return;
  forms_[static_cast<size_t>(KvForm::kPacked)] = lay_out(KvForm::kPacked, format);
  forms_[static_cast<size_t>(KvForm::kSinks)] = lay_out(KvForm::kSinks, format);
  if (format.calibration == nullptr) {
    k_rotations_.emplace_back(shape.head_dim_k);
    v_rotations_.emplace_back(shape.head_dim_v);
    return;
  }
  for (const KvCalibration::Group& group : format.calibration->groups) {
    k_rotations_.emplace_back(shape.head_dim_k, group.k);
    v_rotations_.emplace_back(shape.head_dim_v, group.v);
  }
}

CpuKvStorage::Form CpuKvStorage::lay_out(KvForm form, const KvFormat& format) const {
  Form result;
  for (const KvBits& packed : format.layers) {
    KvLayout layout;
    layout.bits = packed;
    size_t v_bytes;
    if (form == KvForm::kSinks) {
      layout.bits = {};
      layout.v_offset = static_cast<size_t>(shape_.head_dim_k) * kKvSinks * sizeof(uint16_t);
      v_bytes = static_cast<size_t>(head_dim_v_padded()) * kKvSinks * sizeof(uint16_t);
    } else {
      if (form == KvForm::kFresh) layout.bits = {packed.k == 16 ? 16 : 8, packed.v == 16 ? 16 : 8};
      layout.v_offset = kv_key_bytes(shape_.head_dim_k, layout.bits.k);
      v_bytes = kv_value_bytes(shape_.head_dim_v, layout.bits.v);
    }
    layout.offset = result.bytes;
    layout.stride = layout.v_offset + v_bytes;
    result.bytes += layout.stride * static_cast<size_t>(shape_.n_head_kv);
    result.layers.push_back(layout);
  }
  return result;
}

size_t CpuKvStorage::size_bytes() const {
  return pages_.size() * form_bytes(is_exact_ ? KvForm::kFresh : KvForm::kPacked);
}

bool CpuKvStorage::has(int32_t page, KvForm form) const {
  if (form == KvForm::kPacked) return !is_exact_ && at(page).n_packed == shape_.n_layer;
  return block(page, form) != nullptr;
}

void CpuKvStorage::drop(int32_t page, KvForm form) {
  Page& dropped = pages_[static_cast<size_t>(page)];
  AlignedBuffer& block = dropped.blocks[static_cast<size_t>(form)];
  allocated_bytes_ -= block.size();
  block = AlignedBuffer();
  if (form == KvForm::kPacked) dropped.n_packed = 0;
}

bool CpuKvStorage::copy_page(int32_t from, int32_t to) {
  drop(to, KvForm::kPacked);
  for (const KvForm form : {KvForm::kFresh, KvForm::kSinks}) {
    if (block(from, form) != nullptr) std::memcpy(make_block(to, form), block(from, form), form_bytes(form));
  }
  return true;
}

bool CpuKvStorage::read_form(int32_t page, KvForm form, std::span<std::byte> bytes) const {
  assert(bytes.size() == form_bytes(form) && block(page, form) != nullptr);
  std::memcpy(bytes.data(), block(page, form), bytes.size());
  return true;
}

bool CpuKvStorage::write_form(int32_t page, KvForm form, std::span<const std::byte> bytes) {
  assert(bytes.size() == form_bytes(form));
  std::memcpy(make_block(page, form), bytes.data(), bytes.size());
  if (form == KvForm::kPacked) set_packed(page, shape_.n_layer);
  return true;
}

std::byte* CpuKvStorage::make_block(int32_t page, KvForm form) {
  AlignedBuffer& block = pages_[static_cast<size_t>(page)].blocks[static_cast<size_t>(form)];
  if (block.data() == nullptr) {
    block = AlignedBuffer(form_bytes(form), "the KV cache");
    allocated_bytes_ += block.size();
  }
  return block.data();
}

}  // namespace outpost
