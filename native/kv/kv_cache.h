// Keys and values of many sequences in one pool of pages, with reuse of common prefixes.
//
// A finished sequence stays as a reusable prefix until its pages are needed; the least recently used goes
// first. Owned by the decode thread; not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "kv/page_pool.h"

namespace outpost {

/// The tokens whose keys and values are in the cache, and the pages they are in.
struct KvSequence {
  std::vector<int32_t> tokens;
  std::vector<int32_t> page_table;

  int32_t n_past() const { return static_cast<int32_t>(tokens.size()); }
};

class KvCache {
 public:
  /// @throws EngineError kOutOfMemory
  KvCache(Backend& backend, const KvShape& shape, int32_t n_page);

  KvStorage& storage() { return *storage_; }
  size_t used_bytes() const;
  size_t total_bytes() const { return storage_->size_bytes(); }

  /// A sequence that holds the longest cached prefix of `tokens` (never all of them: the last one must be
  /// computed to have logits) and pages for `n_positions` in all. Idle sequences are evicted if need be.
  /// @return null if the pages in use by other running sequences leave too few: expected, the caller waits.
  ///         Nothing has changed then.
  std::unique_ptr<KvSequence> begin(std::span<const int32_t> tokens, int32_t n_positions);

  /// Forgets every position >= n_keep. A page shared with another sequence is never written again, so the
  /// cut moves down to its start: look at n_past() afterwards.
  /// @pre 0 <= n_keep <= sequence.n_past()
  void truncate(KvSequence& sequence, int32_t n_keep);

  /// Adds pages for positions up to n_positions in all. Idle sequences are evicted if need be.
  /// @return false if the pages in use by other running sequences leave too few; nothing has changed then
  bool extend(KvSequence& sequence, int32_t n_positions);

  /// Forgets the positions >= n_keep of a running sequence and keeps its pages: they are written again at once.
  /// @pre every position >= n_keep was computed since `begin`, so that no other sequence has its page
  void roll_back(KvSequence& sequence, int32_t n_keep) { sequence.tokens.resize(static_cast<size_t>(n_keep)); }

  /// Gives a sequence back: its whole pages stay reusable.
  void retire(std::unique_ptr<KvSequence> sequence);

 private:
  /// True if evicting every idle sequence would leave room for `n_positions`, of which `kept` pages are there.
  bool can_hold(std::span<const int32_t> kept, int32_t n_positions) const;
  /// The largest number of positions <= n_keep after which the sequence may be written to.
  int32_t writable_cut(const KvSequence& sequence, int32_t n_keep) const;
  /// @pre can_hold(sequence.page_table, n_positions)
  void add_pages(KvSequence& sequence, int32_t n_positions);
  void release(KvSequence& sequence);

  std::unique_ptr<KvStorage> storage_;
  PagePool pool_;
  std::list<std::unique_ptr<KvSequence>> idle_;  // most recently used first
};

}  // namespace outpost
