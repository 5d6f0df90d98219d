#include "backend/cpu/expert_cache.h"

#include <cassert>
#include <tuple>
#include <utility>

namespace outpost {

size_t ExpertCache::add_layer(int32_t n_expert, size_t expert_bytes) {
  assert(n_expert > 0 && expert_bytes > 0);
  Layer& layer = layers_.emplace_back();
  layer.expert_bytes = expert_bytes;
  layer.experts.resize(static_cast<size_t>(n_expert));
  total_bytes_ += layer.experts.size() * expert_bytes;
  return layers_.size() - 1;
}

void ExpertCache::remove_layer(size_t i) {
  Layer& layer = layers_[i];
  for (Entry& entry : layer.experts) {
    assert(!entry.is_pinned);
    resident_bytes_ -= entry.memory.size();
  }
  total_bytes_ -= layer.experts.size() * layer.expert_bytes;
  layer.experts.clear();
}

std::byte* ExpertCache::preload(size_t layer, int32_t expert) {
  const size_t n_bytes = layers_[layer].expert_bytes;
  assert(!is_resident(layer, expert));
  if (resident_bytes_ > budget_bytes_ || n_bytes > budget_bytes_ - resident_bytes_) return nullptr;
  AlignedBuffer& memory = entry(layer, expert).memory;
  memory = AlignedBuffer(n_bytes, "an expert");
  resident_bytes_ += n_bytes;
  return memory.data();
}

void ExpertCache::begin_pass(size_t i, std::span<const int32_t> experts) {
  Layer& layer = layers_[i];
  if (++layer.n_passes % kHalfLife == 0) {
    layer.total_heat = 0;
    for (Entry& entry : layer.experts) layer.total_heat += entry.heat /= 2;
  }
  for (const int32_t expert : experts) ++entry(i, expert).heat;
  layer.total_heat += experts.size();
}

std::optional<ExpertCache::Lease> ExpertCache::pin(size_t layer, int32_t expert) {
  Entry& wanted = entry(layer, expert);
  assert(!wanted.is_pinned);
  const size_t n_bytes = layers_[layer].expert_bytes;
  const bool is_new = wanted.memory.data() == nullptr;
  if (is_new) {
    // Said before anything is evicted for nothing. Pinned bytes pass the budget only with an oversized expert.
    if (pinned_bytes_ > 0 && pinned_bytes_ + n_bytes > budget_bytes_) return std::nullopt;
    AlignedBuffer memory;
    while (resident_bytes_ + n_bytes > budget_bytes_) {
      Entry* victim = find_victim();
      if (victim == nullptr) break;  // nothing is left: an expert larger than the budget
      memory = evict(*victim);
    }
    // An evicted expert's memory saves asking the system for zeroed pages.
    if (memory.size() != n_bytes) {
      memory = AlignedBuffer();
      memory = AlignedBuffer(n_bytes, "an expert");
    }
    wanted.memory = std::move(memory);
    resident_bytes_ += n_bytes;
  }
  ++(is_new ? n_misses_ : n_hits_);
  wanted.is_pinned = true;
  wanted.last_use = ++clock_;
  pinned_bytes_ += n_bytes;
  return Lease{wanted.memory.data(), is_new};
}

void ExpertCache::unpin(size_t layer, int32_t expert, bool is_prepared) {
  Entry& pinned = entry(layer, expert);
  assert(pinned.is_pinned);
  pinned.is_pinned = false;
  pinned_bytes_ -= layers_[layer].expert_bytes;
  if (!is_prepared || resident_bytes_ > budget_bytes_) evict(pinned);
}

ExpertCache::Entry* ExpertCache::find_victim() {
  // Hot or not, heat of the hot, last use: the smallest goes.
  using Rank = std::tuple<bool, uint32_t, uint64_t>;
  Entry* victim = nullptr;
  Rank victim_rank;
  for (Layer& layer : layers_) {
    for (Entry& entry : layer.experts) {
      if (entry.memory.data() == nullptr || entry.is_pinned) continue;
      const bool is_hot = entry.heat * layer.experts.size() > layer.total_heat;
      const Rank rank{is_hot, is_hot ? entry.heat : 0, entry.last_use};
      if (victim != nullptr && victim_rank <= rank) continue;
      victim = &entry;
      victim_rank = rank;
    }
  }
  return victim;
}

AlignedBuffer ExpertCache::evict(Entry& entry) {
  ++n_evictions_;
  resident_bytes_ -= entry.memory.size();
  return std::exchange(entry.memory, AlignedBuffer());
}

ExpertCacheStats ExpertCache::stats() const {
  return {n_hits_, n_misses_, n_evictions_, resident_bytes_, total_bytes_, budget_bytes_};
}

}  // namespace outpost
