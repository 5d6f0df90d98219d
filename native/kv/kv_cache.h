// Keys and values of many sequences in one pool of pages, with reuse of common prefixes, within a budget of bytes.
//
// A finished sequence stays as a reusable prefix until its memory is needed; the least recently used goes first. Of a
// compressed cache the fresh forms of old pages stay as well while there is room for them: nobody reads them, but a
// text that leaves another one in the middle begins with queries that would (kv_format.h). They go before any text
// does. Owned by the decode thread; not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "kv/kv_pages.h"
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
  /// `n_page` pages in f16. @throws EngineError kOutOfMemory
  KvCache(Backend& backend, const KvShape& shape, int32_t n_page);
  /// As many pages as `n_bytes` hold. @param n_chunk most tokens of a pass, for the room that fresh pages take
  /// @throws EngineError kOutOfMemory; kModelUnsupported if the backend has not this format
  KvCache(Backend& backend, const KvShape& shape, const KvFormat& format, uint64_t n_bytes, int32_t n_chunk);

  KvStorage& storage() { return *storage_; }
  /// What running sequences have been promised and finished ones hold.
  size_t used_bytes() const;
  size_t total_bytes() const { return budget_; }
  /// Fresh forms that are kept only because there is room, beside used_bytes.
  size_t spare_bytes() const;

  /// A sequence that holds the longest cached prefix of `tokens` (never all of them: the last one must be
  /// computed to have logits) and pages for `n_positions` in all. Idle sequences are evicted if need be.
  /// @return null if the pages in use by other running sequences leave too few: expected, the caller waits.
  ///         Nothing has changed then.
  std::unique_ptr<KvSequence> begin(std::span<const int32_t> tokens, int32_t n_positions);

  /// Makes room for a pass over the next n_tokens of a running sequence, which cannot fail. To be called before it.
  void prepare(const KvSequence& sequence, int32_t n_tokens);

  /// Forgets every position >= n_keep. A page shared with another sequence is never written again, and the next
  /// query must find fresh what it reads fresh, so the cut may move down: look at n_past() afterwards. Of a sequence's
  /// own last kKvRollback positions it does not move.
  /// @pre 0 <= n_keep <= sequence.n_past()
  void truncate(KvSequence& sequence, int32_t n_keep);

  /// Gives a sequence back: its pages stay reusable.
  void retire(std::unique_ptr<KvSequence> sequence);

 private:
  uint64_t page_bytes() const;  ///< of a page of a long text: packed, where pages are
  /// Promised or held bytes, with `kept` pages as if they were running, without the last n_evicted idle sequences.
  uint64_t used_bytes(std::span<const int32_t> kept, size_t n_evicted) const;
  /// The largest number of positions <= n_keep after which the sequence may go on: what the next query reads fresh is
  /// there, and the page it writes to is its own.
  int32_t usable_cut(const KvSequence& sequence, int32_t n_keep) const;
  int32_t writable_cut(const KvSequence& sequence, int32_t n_keep) const;
  /// Drops spare fresh forms, of the least recently used first, until the storage holds at most n_bytes.
  void drop_spares(uint64_t n_bytes);
  void release(KvSequence& sequence);
  void release_page(int32_t page);

  std::unique_ptr<KvStorage> storage_;
  PagePool pool_;
  uint64_t budget_;
  int32_t n_chunk_ = 1;
  std::vector<const KvSequence*> running_;
  std::list<std::unique_ptr<KvSequence>> idle_;  // most recently used first
};

}  // namespace outpost
