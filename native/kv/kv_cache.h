// Keys and values of many sequences in pages, with reuse of common prefixes, within a budget of bytes.
//
// Whole pages of accepted tokens belong to the prefix tree and are never written again, whoever computed them: another
// request with the same beginning shares them, also while the first one runs. What a sequence still writes to is its
// own. A finished text stays in the tree until its memory is needed; the pages used longest ago go first, a text's last
// page before those it follows.
//
// Of a compressed cache the fresh forms of old pages stay as well while there is room for them: nobody reads them, but
// a text that leaves another one in the middle begins with queries that would (kv_format.h). They go before any page
// does. Owned by the decode thread; not thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "kv/kv_pages.h"
#include "kv/page_pool.h"
#include "kv/prefix_tree.h"

namespace outpost {

/// The tokens whose keys and values are in the cache, and the pages they are in.
struct KvSequence {
  std::vector<int32_t> tokens;
  std::vector<int32_t> page_table;
  KvNode* node = nullptr;  ///< the last of its pages that are in the tree; these are shared and not written to
  int32_t n_shared = 0;    ///< how many these are

  int32_t n_past() const { return static_cast<int32_t>(tokens.size()); }
};

class KvCache {
 public:
  /// `n_page` pages in f16. @throws EngineError kOutOfMemory
  KvCache(KvAllocator& allocator, const KvShape& shape, int32_t n_page);
  /// As many pages as `n_bytes` hold.
  /// @throws EngineError kOutOfMemory; kInvalidArgument if they hold none; kModelUnsupported if the backend has not
  /// this
  ///         format
  KvCache(KvAllocator& allocator, const KvShape& shape, const KvFormat& format, uint64_t n_bytes);

  KvStorage& storage() { return *storage_; }
  const KvShape& shape() const { return shape_; }
  const KvFormat& format() const { return format_; }
  PrefixTree& tree() { return tree_; }
  /// Positions whose keys and values are there; those that texts share count once.
  int64_t n_tokens() const;
  /// What pages in use hold, and what running sequences were promised; without spare_bytes.
  uint64_t used_bytes() const { return count().used - spare_bytes(); }
  uint64_t total_bytes() const { return budget_; }
  /// Fresh forms that are kept only because there is room.
  uint64_t spare_bytes() const;
  /// Pages whose fresh form is read when a running sequence, or a finished text at its end, goes on.
  std::vector<bool> needed_fresh() const;
  int32_t n_pages_used() const { return pool_.n_page() - pool_.n_free(); }

  /// A sequence that holds the longest cached prefix of `tokens` (never all of them: the last one must be
  /// computed to have logits) and pages for `n_positions` in all. Finished texts are evicted if need be.
  /// @pre n_positions >= tokens.size()
  /// @param n_next of a compressed cache: pages for so many positions after those that it holds do at first; `extend`
  ///   adds others, when what lies before them has been packed. All at once would need them all fresh.
  /// @return null if running sequences leave too little: expected, the caller waits. Nothing has changed then.
  /// @throws EngineError kDeviceLost, kOutOfMemory of a page that cannot be copied; no sequence has begun then
  std::unique_ptr<KvSequence> begin(std::span<const int32_t> tokens, int32_t n_positions,
                                    int32_t n_next = std::numeric_limits<int32_t>::max());

  /// Adds pages for positions up to n_positions in all: a pass over them cannot fail then. What the sequence holds now
  /// counts as accepted, and its whole pages are shared from here on. Finished texts are evicted if need be.
  /// @return false if running sequences leave too little; no pages have changed then
  bool extend(KvSequence& sequence, int32_t n_positions);

  /// A running sequence with the tokens of another, from which they go on apart. Whole pages are shared, one that is
  /// not is copied. Finished texts are evicted if need be.
  /// @return null if running sequences leave no page for it, or pages cannot be copied; nothing has changed then
  /// @throws EngineError kDeviceLost, kOutOfMemory of a page that cannot be copied; no sequence has begun then
  std::unique_ptr<KvSequence> fork(KvSequence& sequence);

  /// Forgets the positions >= n_keep of a running sequence and keeps its pages: they are written again at once.
  /// @pre every position >= n_keep was computed since the last `begin` or `extend`
  void roll_back(KvSequence& sequence, int32_t n_keep);

  /// Forgets every position >= n_keep. A page that others may share is not written again, and the next query must find
  /// fresh what it reads fresh, so the cut may move down: look at n_past() afterwards.
  /// @pre 0 <= n_keep <= sequence.n_past()
  void truncate(KvSequence& sequence, int32_t n_keep);

  /// Gives a sequence back: its tokens stay reusable.
  void retire(std::unique_ptr<KvSequence> sequence);

  /// Gives a sequence back of which nobody will need the end: of what it has by itself nothing stays.
  void drop(std::unique_ptr<KvSequence> sequence);

  /// Gives up every page that no running sequence holds.
  void forget_finished() { evict_pages(std::numeric_limits<uint64_t>::max()); }

  /// A page for a text that was saved, in the tree behind `parent`, to be filled in at once; null if there is none
  /// left.
  /// @pre there is no child with these tokens, and as many bytes as its forms will have are free
  KvNode* restore(KvNode& parent, std::span<const int32_t> tokens);
  /// Takes back what `restore` gave, with what has been filled in. @pre it has no child
  void give_up(KvNode& node) { evict(node); }

 private:
  /// A way to begin: whole pages, and rows to be taken from one more.
  struct Start {
    std::vector<KvNode*> whole;
    KvNode* part = nullptr;
    int32_t n_part = 0;
  };
  /// Bytes of pages in use with what they are going to hold, and what would be left of them if everything went that
  /// running sequences do not need.
  struct Count {
    uint64_t used = 0, least = 0;
  };

  Start find_start(std::span<const int32_t> tokens);
  std::unique_ptr<KvSequence> begin(const Start& start, std::span<const int32_t> tokens, int32_t n_positions,
                                    int32_t n_next);
  void take_part(KvSequence& sequence, const Start& start, std::span<const int32_t> tokens);
  Count count() const;
  bool make_room(uint64_t n_bytes);
  void drop_spares(uint64_t n_bytes);
  void evict_pages(uint64_t n_bytes);
  uint64_t evict(KvNode& node);

  bool add_pages(KvSequence& sequence, int32_t n_positions);
  void share(KvSequence& sequence);
  bool share_page(KvSequence& sequence);
  void share_rest(KvSequence& sequence);
  void hold(KvSequence& sequence, KvNode& node);
  void let_go(KvSequence& sequence);
  void release_page(int32_t page);
  bool is_fresh(int32_t page) const { return !storage_->is_compressed() || storage_->has(page, KvForm::kFresh); }

  KvShape shape_;
  KvFormat format_;
  std::unique_ptr<KvStorage> storage_;
  PagePool pool_;
  uint64_t budget_;
  PrefixTree tree_;
  std::vector<KvSequence*> running_;
};

}  // namespace outpost
