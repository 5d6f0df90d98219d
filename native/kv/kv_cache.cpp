#include "kv/kv_cache.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

#include "core/strings.h"

namespace outpost {
namespace {

/// Pages are numbered, not allocated: as many numbers as the budget could ever serve.
int32_t count_pages(KvAllocator& allocator, const KvShape& shape, const KvFormat& format, uint64_t n_bytes) {
  const auto one = allocator.alloc_kv(shape, format, 1);
  const uint64_t n = n_bytes / one->size_bytes();
  if (n < 1 || n > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
    throw EngineError(ErrorCode::kInvalidArgument, concat("A KV cache of ", n_bytes, " bytes is no use: a page of ",
                                                          kKvPageSize, " positions takes ", one->size_bytes(), "."));
  }
  return static_cast<int32_t>(n);
}

size_t at(int32_t i) { return static_cast<size_t>(i); }

/// A pass over a sequence's pages packs those before this one.
int32_t n_packed_pages(const KvSequence& sequence) {
  const auto n_pages = static_cast<int32_t>(sequence.page_table.size());
  return n_pages == 0 ? 0 : kv_first_fresh_page(n_pages * kKvPageSize - 1);
}

/// The first page that is needed fresh after taking back what a draft may have added.
int32_t first_needed_page(const KvSequence& sequence) {
  return kv_first_fresh_page(std::max(0, sequence.n_past() - kKvRollback));
}

}  // namespace

KvCache::KvCache(KvAllocator& allocator, const KvShape& shape, int32_t n_page)
    : shape_(shape),
      format_(kv_format(KvPreset::kExact, shape.n_layer)),
      storage_(allocator.alloc_kv(shape, n_page)),
      pool_(n_page),
      budget_(storage_->size_bytes()) {}

KvCache::KvCache(KvAllocator& allocator, const KvShape& shape, const KvFormat& format, uint64_t n_bytes)
    : shape_(shape),
      format_(format),
      storage_(allocator.alloc_kv(shape, format, count_pages(allocator, shape, format, n_bytes))),
      pool_(storage_->n_page()),
      budget_(storage_->is_compressed() ? n_bytes : storage_->size_bytes()) {}

// ---- bytes

KvCache::Count KvCache::count() const {
  const uint64_t fresh = storage_->form_bytes(KvForm::kFresh), packed = storage_->form_bytes(KvForm::kPacked);
  const uint64_t sinks = storage_->form_bytes(KvForm::kSinks);
  std::vector<bool> is_needed(at(pool_.n_page())), is_running(at(pool_.n_page()));
  std::vector<bool> is_packed(at(pool_.n_page()));  // or will be
  for (const KvSequence* sequence : running_) {
    for (int32_t p = 0; p < static_cast<int32_t>(sequence->page_table.size()); ++p) {
      const size_t page = at(sequence->page_table[at(p)]);
      if (p >= first_needed_page(*sequence)) is_needed[page] = true;
      if (p < n_packed_pages(*sequence)) is_packed[page] = true;
    }
  }
  Count bytes;
  const auto add = [&](int32_t page, bool is_first) {
    const bool was_packed = storage_->has(page, KvForm::kPacked);
    const uint64_t others = (was_packed || is_packed[at(page)] ? packed : 0) + (is_first ? sinks : 0);
    // What is not there yet will be written.
    bytes.used += others + (is_fresh(page) || !was_packed ? fresh : 0);
    if (is_running[at(page)]) bytes.least += others + (is_needed[at(page)] || !was_packed ? fresh : 0);
  };
  for (const KvSequence* sequence : running_) {
    for (size_t p = 0; p < sequence->page_table.size(); ++p) {
      const int32_t page = sequence->page_table[p];
      if (is_running[at(page)]) continue;
      is_running[at(page)] = true;
      add(page, p == 0);
    }
  }
  tree_.for_each([&](KvNode& node) {
    if (!is_running[at(node.page)]) add(node.page, node.depth == 0);
  });
  return bytes;
}

int64_t KvCache::n_tokens() const {
  int64_t n = 0;
  for (const KvSequence* sequence : running_) n += sequence->n_past() - sequence->n_shared * kKvPageSize;
  tree_.for_each([&](const KvNode& node) { n += static_cast<int64_t>(node.tokens.size()); });
  return n;
}

std::vector<bool> KvCache::needed_fresh() const {
  std::vector<bool> is_needed(at(pool_.n_page()));
  for (const KvSequence* sequence : running_) {
    for (size_t p = at(first_needed_page(*sequence)); p < sequence->page_table.size(); ++p)
      is_needed[at(sequence->page_table[p])] = true;
  }
  tree_.for_each([&](KvNode& node) {
    if (!node.is_free()) return;
    const int32_t n_past = node.depth * kKvPageSize + static_cast<int32_t>(node.tokens.size());
    // One before its end: the same text again computes its last token.
    for (KvNode* n = &node; n->page >= 0 && n->depth >= kv_first_fresh_page(n_past - 1); n = n->parent)
      is_needed[at(n->page)] = true;
  });
  return is_needed;
}

uint64_t KvCache::spare_bytes() const {
  if (!storage_->is_compressed()) return 0;
  const std::vector<bool> is_needed = needed_fresh();
  uint64_t bytes = 0;
  tree_.for_each([&](KvNode& node) {
    if (!is_needed[at(node.page)] && kv_has_spare(*storage_, node.page)) bytes += storage_->form_bytes(KvForm::kFresh);
  });
  return bytes;
}

bool KvCache::make_room(uint64_t n_bytes) {
  const Count bytes = count();
  if (bytes.used + n_bytes <= budget_) return true;
  if (bytes.least + n_bytes > budget_) return false;
  const auto missing = [&] {
    const uint64_t wanted = count().used + n_bytes;
    return wanted > budget_ ? wanted - budget_ : 0;
  };
  drop_spares(bytes.used + n_bytes - budget_);
  evict_pages(missing());
  drop_spares(missing());  // of running sequences, that finished texts ended behind
  return missing() == 0;
}

/// Those used longest ago first; of one text those farthest from its end, where the next one is likely to leave it.
void KvCache::drop_spares(uint64_t n_bytes) {
  if (!storage_->is_compressed() || n_bytes == 0) return;
  const std::vector<bool> is_needed = needed_fresh();
  std::vector<KvNode*> spares;
  tree_.for_each([&](KvNode& node) {
    if (!is_needed[at(node.page)] && kv_has_spare(*storage_, node.page)) spares.push_back(&node);
  });
  const auto key = [](const KvNode* node) { return std::tuple(node->last_used, node->depth, node->page); };
  std::sort(spares.begin(), spares.end(), [&](const KvNode* a, const KvNode* b) { return key(a) < key(b); });
  uint64_t n_freed = 0;
  for (const KvNode* node : spares) {
    if (n_freed >= n_bytes) return;
    storage_->drop(node->page, KvForm::kFresh);
    n_freed += storage_->form_bytes(KvForm::kFresh);
  }
}

void KvCache::evict_pages(uint64_t n_bytes) {
  if (n_bytes == 0) return;
  const auto is_later = [](const KvNode* a, const KvNode* b) {
    return std::tuple(a->last_used, -a->depth, a->page) > std::tuple(b->last_used, -b->depth, b->page);
  };
  std::priority_queue<KvNode*, std::vector<KvNode*>, decltype(is_later)> free(is_later);
  tree_.for_each([&](KvNode& node) {
    if (node.is_free()) free.push(&node);
  });
  uint64_t n_freed = 0;
  while (!free.empty() && n_freed < n_bytes) {
    KvNode* node = free.top();
    free.pop();
    KvNode* parent = node->parent;
    n_freed += evict(*node);
    if (parent != tree_.root() && parent->is_free()) free.push(parent);
  }
}

// ---- sequences

KvCache::Start KvCache::find_start(std::span<const int32_t> tokens) {
  PrefixTree::Match match = tree_.find(tokens.first(tokens.size() - 1));
  Start start{std::move(match.whole), match.part, match.n_part};
  const auto can_go_on = [&] {
    const auto n_pages = static_cast<int32_t>(start.whole.size());
    for (int32_t p = kv_first_fresh_page(n_pages * kKvPageSize); p < n_pages; ++p) {
      if (!is_fresh(start.whole[at(p)]->page)) return false;
    }
    return true;
  };
  while (!can_go_on()) {
    start.whole.pop_back();
    start.part = nullptr;
  }
  if (start.part != nullptr && !is_fresh(start.part->page)) start.part = nullptr;
  return start;
}

std::unique_ptr<KvSequence> KvCache::begin(std::span<const int32_t> tokens, int32_t n_positions, int32_t n_next) {
  Start start = find_start(tokens);
  auto sequence = begin(start, tokens, n_positions, n_next);
  if (sequence == nullptr && start.part != nullptr) {
    // Its rows are not worth that nothing runs: the page that holds them may be the one that is missing.
    start.part = nullptr;
    sequence = begin(start, tokens, n_positions, n_next);
  }
  return sequence;
}

std::unique_ptr<KvSequence> KvCache::begin(const Start& start, std::span<const int32_t> tokens, int32_t n_positions,
                                           int32_t n_next) {
  const auto n_held = static_cast<int32_t>(start.whole.size()) * kKvPageSize + start.n_part;
  if (storage_->is_compressed() && n_next < n_positions - n_held) n_positions = n_held + n_next;
  auto sequence = std::make_unique<KvSequence>();
  for (KvNode* node : start.whole) {
    hold(*sequence, *node);
    sequence->page_table.push_back(node->page);
  }
  sequence->tokens.assign(tokens.begin(), tokens.begin() + static_cast<int64_t>(start.whole.size()) * kKvPageSize);
  if (start.part != nullptr) ++start.part->n_users;
  running_.push_back(sequence.get());
  bool has_pages = false;
  const auto let_go = [&] {
    if (start.part != nullptr) --start.part->n_users;
    if (has_pages) return;
    running_.pop_back();
    if (sequence->node != nullptr) --sequence->node->n_users;
  };
  try {
    has_pages = add_pages(*sequence, n_positions);
  } catch (...) {
    let_go();
    throw;
  }
  let_go();
  if (!has_pages) return nullptr;
  if (sequence->node != nullptr) tree_.touch(*sequence->node);
  // To make room its fresh form may have been given up.
  if (start.part != nullptr && is_fresh(start.part->page)) {
    try {
      take_part(*sequence, start, tokens);
    } catch (...) {
      retire(std::move(sequence));
      throw;
    }
  }
  return sequence;
}

/// A text that goes on where another one ended takes its last page; what only begins like it takes a copy.
void KvCache::take_part(KvSequence& sequence, const Start& start, std::span<const int32_t> tokens) {
  int32_t& own = sequence.page_table[start.whole.size()];
  const bool goes_on = !start.part->is_whole() && start.part->is_free() &&
                       start.n_part + 1 >= static_cast<int32_t>(start.part->tokens.size());
  if (goes_on) {
    std::swap(own, start.part->page);
    evict(*start.part);
  } else if (!storage_->copy_page(start.part->page, own)) {
    return;
  }
  const auto first = tokens.begin() + static_cast<int64_t>(sequence.tokens.size());
  sequence.tokens.insert(sequence.tokens.end(), first, first + start.n_part);
}

bool KvCache::extend(KvSequence& sequence, int32_t n_positions) {
  share(sequence);
  return add_pages(sequence, n_positions);
}

bool KvCache::add_pages(KvSequence& sequence, int32_t n_positions) {
  const auto n_before = static_cast<int32_t>(sequence.page_table.size());
  const int32_t n_missing = kv_pages_for(n_positions) - n_before;
  if (n_missing <= 0) return true;
  uint64_t n_bytes = static_cast<uint64_t>(n_missing) * storage_->form_bytes(KvForm::kFresh);
  if (n_before == 0) n_bytes += storage_->form_bytes(KvForm::kSinks);
  const int32_t n_packed = kv_first_fresh_page((n_before + n_missing) * kKvPageSize - 1);
  for (int32_t p = n_packed_pages(sequence); p < n_packed; ++p) {
    if (p >= n_before || !storage_->has(sequence.page_table[at(p)], KvForm::kPacked))
      n_bytes += storage_->form_bytes(KvForm::kPacked);
  }
  if (!make_room(n_bytes)) return false;
  for (int32_t i = 0; i < n_missing; ++i) sequence.page_table.push_back(pool_.take());
  return true;
}

void KvCache::roll_back(KvSequence& sequence, int32_t n_keep) {
  sequence.tokens.resize(at(n_keep));
  if (!storage_->is_compressed()) return;
  // A query of the draft may have packed a page that is written again.
  for (size_t p = at(n_keep / kKvPageSize); p < sequence.page_table.size(); ++p)
    storage_->drop(sequence.page_table[p], KvForm::kPacked);
}

void KvCache::truncate(KvSequence& sequence, int32_t n_keep) {
  if (n_keep == sequence.n_past()) return;
  const auto can_go_on = [&](int32_t n) {
    for (int32_t p = kv_first_fresh_page(n); p < kv_pages_for(n); ++p) {
      if (!is_fresh(sequence.page_table[at(p)])) return false;
    }
    return true;
  };
  while (!can_go_on(n_keep)) n_keep = (n_keep - 1) / kKvPageSize * kKvPageSize;
  while (sequence.n_shared * kKvPageSize > n_keep) {
    KvNode& node = *sequence.node;
    const bool cuts_it = n_keep > node.depth * kKvPageSize;
    const bool is_own = node.children.empty() && node.n_users == 1;
    if (cuts_it && !is_own) {
      n_keep = node.depth * kKvPageSize;
      while (!can_go_on(n_keep)) n_keep = (n_keep - 1) / kKvPageSize * kKvPageSize;
    }
    --node.n_users;
    --sequence.n_shared;
    sequence.node = node.parent == tree_.root() ? nullptr : node.parent;
    if (sequence.node != nullptr) ++sequence.node->n_users;
    if (cuts_it && is_own) {
      tree_.remove(node);  // the page is the sequence's again
    } else {
      sequence.page_table[at(sequence.n_shared)] = -1;  // the tree's
    }
  }
  while (static_cast<int32_t>(sequence.page_table.size()) > kv_pages_for(n_keep)) {
    if (sequence.page_table.back() >= 0) release_page(sequence.page_table.back());
    sequence.page_table.pop_back();
  }
  roll_back(sequence, n_keep);
}

std::unique_ptr<KvSequence> KvCache::fork(KvSequence& sequence) {
  share(sequence);
  auto copy = std::make_unique<KvSequence>();
  const auto first_own = sequence.page_table.begin() + sequence.n_shared;
  copy->page_table.assign(sequence.page_table.begin(), first_own);
  copy->n_shared = sequence.n_shared;
  copy->node = sequence.node;
  if (copy->node != nullptr) ++copy->node->n_users;
  running_.push_back(copy.get());
  bool is_whole = false;
  try {
    is_whole = add_pages(*copy, sequence.n_past());
    // Not all pages can be shared: of two with the same tokens the tree's may lack the form that is needed.
    for (size_t p = at(copy->n_shared); is_whole && p < copy->page_table.size(); ++p)
      is_whole = storage_->copy_page(sequence.page_table[p], copy->page_table[p]);
  } catch (...) {
    let_go(*copy);
    throw;
  }
  if (!is_whole) {
    let_go(*copy);
    return nullptr;
  }
  copy->tokens = sequence.tokens;
  return copy;
}

void KvCache::retire(std::unique_ptr<KvSequence> sequence) {
  share(*sequence);
  share_rest(*sequence);
  let_go(*sequence);
}

void KvCache::drop(std::unique_ptr<KvSequence> sequence) { let_go(*sequence); }

/// Pages that it has by itself go.
void KvCache::let_go(KvSequence& sequence) {
  std::erase(running_, &sequence);
  if (sequence.node != nullptr) {
    --sequence.node->n_users;
    tree_.touch(*sequence.node);
  }
  for (size_t p = at(sequence.n_shared); p < sequence.page_table.size(); ++p) {
    if (sequence.page_table[p] >= 0) release_page(sequence.page_table[p]);
  }
}

// ---- sharing

void KvCache::share(KvSequence& sequence) {
  while (share_page(sequence)) {
  }
}

/// Gives the next whole page to the tree; if another sequence was faster, the page in the tree takes its place.
bool KvCache::share_page(KvSequence& sequence) {
  const int32_t p = sequence.n_shared;
  if ((p + 1) * kKvPageSize > sequence.n_past()) return false;
  KvNode& parent = sequence.node == nullptr ? *tree_.root() : *sequence.node;
  const auto tokens = std::span<const int32_t>(sequence.tokens).subspan(at(p * kKvPageSize), at(kKvPageSize));
  int32_t& own = sequence.page_table[at(p)];
  KvNode* node = tree_.child(parent, tokens);
  if (node == nullptr) {
    node = &tree_.add(parent, tokens, own);
  } else if (p < first_needed_page(sequence) || is_fresh(node->page)) {
    release_page(own);
    own = node->page;
  } else if (node->is_free()) {
    release_page(node->page);
    node->page = own;
  } else {
    return false;  // two pages further on its fresh form is not needed
  }
  hold(sequence, *node);
  return true;
}

/// Keeps the end of a finished text that fills no page.
void KvCache::share_rest(KvSequence& sequence) {
  const int32_t n_rest = sequence.n_past() - sequence.n_shared * kKvPageSize;
  if (n_rest <= 0 || n_rest >= kKvPageSize) return;
  KvNode& parent = sequence.node == nullptr ? *tree_.root() : *sequence.node;
  const auto rest = std::span<const int32_t>(sequence.tokens).last(at(n_rest));
  std::vector<KvNode*> shorter;
  for (const auto& child : parent.children) {
    const auto n_common =
        std::mismatch(rest.begin(), rest.end(), child->tokens.begin(), child->tokens.end()).first - rest.begin();
    if (n_common == n_rest && is_fresh(child->page)) return tree_.touch(*child);  // it is there already
    if (n_common == static_cast<int64_t>(child->tokens.size()) && child->is_free()) shorter.push_back(child.get());
  }
  for (KvNode* node : shorter) evict(*node);
  KvNode& node = tree_.add(parent, rest, sequence.page_table[at(sequence.n_shared)]);
  sequence.page_table[at(sequence.n_shared)] = -1;
  tree_.touch(node);
}

void KvCache::hold(KvSequence& sequence, KvNode& node) {
  if (sequence.node != nullptr) --sequence.node->n_users;
  ++node.n_users;
  sequence.node = &node;
  ++sequence.n_shared;
}

KvNode* KvCache::restore(KvNode& parent, std::span<const int32_t> tokens) {
  return pool_.n_free() == 0 ? nullptr : &tree_.add(parent, tokens, pool_.take());
}

/// @return bytes that its page no longer takes
uint64_t KvCache::evict(KvNode& node) {
  const bool was_packed = storage_->has(node.page, KvForm::kPacked);  // bytes as `count` has them
  const uint64_t n_bytes = (was_packed ? storage_->form_bytes(KvForm::kPacked) : 0) +
                           (node.depth == 0 ? storage_->form_bytes(KvForm::kSinks) : 0) +
                           (is_fresh(node.page) || !was_packed ? storage_->form_bytes(KvForm::kFresh) : 0);
  release_page(node.page);
  tree_.remove(node);
  return n_bytes;
}

void KvCache::release_page(int32_t page) {
  for (const KvForm form : {KvForm::kFresh, KvForm::kPacked, KvForm::kSinks}) storage_->drop(page, form);
  pool_.release(page);
}

}  // namespace outpost
