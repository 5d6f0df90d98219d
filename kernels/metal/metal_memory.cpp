#include "kernels/metal/metal_memory.h"

#include <iterator>

namespace outpost::metal {

size_t Memory::n_bytes() {
  std::string reason;
  const DeviceInfo* info = device_info(reason);
  return info == nullptr ? 0 : info->n_bytes;
}

size_t Memory::n_free() {
  const size_t n_all = n_bytes(), n_used = bytes_in_use();
  return n_used < n_all ? n_all - n_used : 0;
}

void* Memory::add(size_t n_bytes, bool is_pinned) {
  std::string reason;
  const DeviceInfo* info = device_info(reason);
  if (info == nullptr || n_bytes > info->n_most_bytes || n_bytes > n_free()) return nullptr;
  std::unique_ptr<Buffer, Deleter> buffer(create_buffer(n_bytes, is_pinned));
  if (buffer == nullptr) return nullptr;
  void* data = buffer->contents;
  Allocation& allocation = allocations_[reinterpret_cast<uintptr_t>(data)];
  allocation.buffer = std::move(buffer);
  allocation.n_bytes = n_bytes;
  return data;
}

Lending Memory::lend(const void* data, size_t n_bytes) {
  constexpr uintptr_t kAlignment = 16;  // of the widest type that kernels read
  std::string reason;
  const DeviceInfo* info = device_info(reason);
  const auto first = reinterpret_cast<uintptr_t>(data);
  if (info == nullptr || n_bytes == 0 || first % kAlignment != 0) return Lending::kImpossible;
  const auto next = allocations_.lower_bound(first);
  const bool overlaps =
      holder(data) != allocations_.end() || (next != allocations_.end() && next->first - first < n_bytes);
  if (overlaps) return Lending::kImpossible;
  const size_t offset = first % info->n_page_bytes;
  const size_t n_pages = (offset + n_bytes + info->n_page_bytes - 1) / info->n_page_bytes;
  const size_t n_buffer_bytes = n_pages * info->n_page_bytes;
  if (n_buffer_bytes > info->n_most_bytes) return Lending::kImpossible;
  if (n_buffer_bytes > n_free()) return Lending::kOutOfMemory;
  std::unique_ptr<Buffer, Deleter> buffer(
      lend_pages(static_cast<const std::byte*>(data) - offset, n_buffer_bytes, offset, n_bytes));
  if (buffer == nullptr) return Lending::kImpossible;
  allocations_[first] = {std::move(buffer), offset, n_bytes, /*is_lent=*/true};
  return Lending::kDone;
}

bool Memory::remove(const void* data) {
  const auto found = allocations_.find(reinterpret_cast<uintptr_t>(data));
  if (found == allocations_.end()) return false;
  addressed_.erase(found->second.addressed);
  allocations_.erase(found);
  return true;
}

Memory::Allocations::const_iterator Memory::holder(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto next = allocations_.upper_bound(at);
  if (next == allocations_.begin()) return allocations_.end();
  const auto found = std::prev(next);
  return at - found->first < found->second.n_bytes ? found : allocations_.end();
}

Place Memory::find(const void* address, size_t n_bytes) const {
  const auto found = holder(address);
  if (found == allocations_.end()) return {};
  const Allocation& allocation = found->second;
  const size_t i = reinterpret_cast<uintptr_t>(address) - found->first;
  if (n_bytes > allocation.n_bytes - i) return {};
  return {allocation.buffer.get(), allocation.offset + i, allocation.is_lent};
}

uint64_t Memory::device_address(const void* address) {
  const auto found = holder(address);
  if (found == allocations_.end()) return 0;
  Allocation& allocation = allocations_[found->first];
  if (allocation.addressed == 0) {
    allocation.addressed = ++n_addressed_;
    addressed_[n_addressed_] = allocation.buffer.get();
  }
  return allocation.buffer->address + allocation.offset + (reinterpret_cast<uintptr_t>(address) - found->first);
}

uint64_t Memory::visit_addressed(uint64_t n_known, const std::function<void(const Buffer&)>& visit) const {
  for (auto it = addressed_.upper_bound(n_known); it != addressed_.end(); ++it) visit(*it->second);
  return n_addressed_;
}

}  // namespace outpost::metal
