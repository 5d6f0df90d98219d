// Which experts are in memory, in the form that the kernels take, when not all of them fit.
//
// A budget of bytes holds whole experts of all layers. When room is needed, an expert that is not in use goes:
//   1. of the cold ones the least recently used;
//   2. if all are hot, the one with the least heat, of several the least recently used.
// Heat counts the passes that used an expert, resident or not: one per pass however many tokens chose it, since its
// weights are read once. Every kHalfLife passes of a layer its heats are halved, so that old favourites fade. An expert
// is hot if its heat is above the mean of its layer. A long prompt that touches every expert adds the same to all and
// leaves the hot ones hot: it flows through the room of the cold ones, where plain least-recently-used eviction would
// lose everything just before it is used again.
// Counting all that is asked for, not only what is kept, and ageing by halving are from TinyLFU (arXiv:1512.00727).
//
// One thread at a time, except `stats`. The order of calls alone decides what is resident.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/aligned_buffer.h"

namespace outpost {

class ExpertCache {
 public:
  /// Passes of a layer after which a use counts half: long enough that the favourites among 128 experts, 8 of which
  /// are used per token, stand out from the noise of counting, and about the length of a paragraph.
  static constexpr uint64_t kHalfLife = 128;

  explicit ExpertCache(uint64_t budget_bytes) : budget_bytes_(budget_bytes) {}

  /// @param expert_bytes memory of one expert, at least 1
  /// @return the layer's number in this cache
  size_t add_layer(int32_t n_expert, size_t expert_bytes);
  /// Drops the layer's experts. None of them is pinned.
  void remove_layer(size_t layer);

  bool is_resident(size_t layer, int32_t expert) const { return entry(layer, expert).memory.data() != nullptr; }

  /// Memory to prepare an expert in before anyone asks for it; null if that would take an eviction.
  /// @throws EngineError kOutOfMemory
  std::byte* preload(size_t layer, int32_t expert);

  /// A pass of the layer begins and will use these experts, each named once.
  void begin_pass(size_t layer, std::span<const int32_t> experts);

  struct Lease {
    std::byte* data;
    bool is_new;  ///< the memory's contents are arbitrary: the expert must be prepared
  };
  /// Keeps an expert in memory until `unpin`, evicting others for it.
  /// @return nothing if it does not fit beside those that are pinned. If none is, it always fits: an expert that is
  ///         larger than the whole budget is alone in memory, and leaves it with `unpin`.
  /// @throws EngineError kOutOfMemory; nothing was pinned
  std::optional<Lease> pin(size_t layer, int32_t expert);
  /// @param is_prepared whether the memory holds the expert now; if not, it is given back
  void unpin(size_t layer, int32_t expert, bool is_prepared);

  /// On any thread.
  ExpertCacheStats stats() const;

 private:
  struct Entry {
    AlignedBuffer memory;   // none: not resident
    uint64_t last_use = 0;  // of `clock_`; 0: not since it was loaded
    uint32_t heat = 0;
    bool is_pinned = false;
  };
  struct Layer {
    size_t expert_bytes;
    std::vector<Entry> experts;
    uint64_t n_passes = 0;
    uint64_t total_heat = 0;
  };

  const Entry& entry(size_t layer, int32_t expert) const { return layers_[layer].experts[static_cast<size_t>(expert)]; }
  Entry& entry(size_t layer, int32_t expert) { return layers_[layer].experts[static_cast<size_t>(expert)]; }
  /// The expert that goes first; null if none can.
  Entry* find_victim();
  /// Takes an expert's memory out of the account. @return the memory, for whoever needs as much
  AlignedBuffer evict(Entry& entry);

  uint64_t budget_bytes_;
  std::vector<Layer> layers_;
  uint64_t clock_ = 0;
  uint64_t pinned_bytes_ = 0;
  // Atomic for `stats`.
  std::atomic<uint64_t> n_hits_{0}, n_misses_{0}, n_evictions_{0}, resident_bytes_{0}, total_bytes_{0};
};

}  // namespace outpost
