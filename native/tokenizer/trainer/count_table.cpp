#include "tokenizer/trainer/count_table.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace outpost {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

size_t shard_of(uint64_t hash) { return hash >> 58; }
static_assert(SharedCounts::kShards == size_t{1} << (64 - 58));

}  // namespace

uint64_t hash_text(std::string_view text) {
  // FNV-1a, then the finalizer of MurmurHash3: shards and slots use different bits.
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

void CountTable::add(std::string_view text, uint64_t hash, const Tally& tally) {
  if ((entries_.size() + 1) * 4 > slots_.size() * 3) grow();
  const size_t mask = slots_.size() - 1;
  const auto short_hash = static_cast<uint32_t>(hash);
  size_t slot = short_hash & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    Entry& entry = entries_[slots_[slot] - 1];
    if (entry.hash != short_hash || entry.text() != text) continue;
    entry.tally.count += tally.count;
    entry.tally.sources |= tally.sources;
    return;
  }
  entries_.push_back({store(text), static_cast<uint32_t>(text.size()), short_hash, tally});
  slots_[slot] = static_cast<uint32_t>(entries_.size());
  n_bytes_ += text.size() + sizeof(Entry);
}

const char* CountTable::store(std::string_view text) {
  if (blocks_.empty() || n_block_used_ + text.size() > kBlockBytes) {
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlockBytes));
    n_block_used_ = 0;
  }
  char* const data = blocks_.back().get() + n_block_used_;
  if (!text.empty()) std::memcpy(data, text.data(), text.size());
  n_block_used_ += text.size();
  return data;
}

void CountTable::grow() {
  n_bytes_ -= slots_.size() * sizeof(uint32_t);
  slots_.assign(std::max<size_t>(slots_.size() * 2, 1024), 0);
  n_bytes_ += slots_.size() * sizeof(uint32_t);
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = entries_[i].hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

void CountTable::drop_rare(uint64_t max_count) {
  CountTable kept;
  for (const Entry& entry : entries_) {
    if (entry.tally.count > max_count) kept.add(entry.text(), hash_text(entry.text()), entry.tally);
  }
  *this = std::move(kept);
}

void SharedCounts::add(const CountTable& table) {
  // Grouped by shard, so that each lock is taken once.
  std::array<std::vector<std::pair<std::string_view, const Tally*>>, kShards> groups;
  table.for_each(
      [&](std::string_view text, const Tally& tally) { groups[shard_of(hash_text(text))].emplace_back(text, &tally); });
  for (size_t i = 0; i < kShards; ++i) {
    const std::lock_guard lock(shards_[i].mutex);
    for (const auto& [text, tally] : groups[i]) shards_[i].table.add(text, hash_text(text), *tally);
  }
}

size_t SharedCounts::size() const {
  size_t n = 0;
  for (const Shard& shard : shards_) n += shard.table.size();
  return n;
}

size_t SharedCounts::bytes() const {
  size_t n = 0;
  for (const Shard& shard : shards_) n += shard.table.bytes();
  return n;
}

uint64_t SharedCounts::limit_bytes(size_t max_bytes, const std::function<void(uint64_t max_count)>& on_drop) {
  const size_t n_bytes = bytes();
  if (n_bytes <= max_bytes) return 0;
  // Each text is charged an equal share of what the table costs beside its text.
  std::map<uint64_t, size_t> bytes_by_count;
  size_t n_text_bytes = 0;
  for (const Shard& shard : shards_) {
    shard.table.for_each([&](std::string_view text, const Tally&) { n_text_bytes += text.size(); });
  }
  const size_t overhead = (n_bytes - n_text_bytes) / size();
  for (const Shard& shard : shards_) {
    shard.table.for_each(
        [&](std::string_view text, const Tally& tally) { bytes_by_count[tally.count] += text.size() + overhead; });
  }
  size_t n_left = n_bytes;
  uint64_t max_count = 0;
  for (const auto& [count, bytes] : bytes_by_count) {
    if (n_left <= max_bytes / 2) break;
    n_left -= std::min(n_left, bytes);
    max_count = count;
  }
  if (on_drop) on_drop(max_count);
  for (Shard& shard : shards_) shard.table.drop_rare(max_count);
  return max_count;
}

}  // namespace outpost
