// The texts whose keys and values are in the cache, as a tree of pages: a page's way from the root spells the tokens
// before it. Texts that begin alike share pages up to the one in which they part.
//
// Only whole pages have children; the end of a text is a leaf of fewer tokens. Tokens decide, not hashes: these only
// make looking quick. Owned by the decode thread; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace outpost {

struct KvNode {
  KvNode* parent = nullptr;
  std::vector<int32_t> tokens;  ///< of its page
  uint64_t hash = 0;            ///< of these and of all before them
  int32_t page = -1;
  int32_t depth = 0;    ///< pages before it
  int32_t n_users = 0;  ///< running sequences whose last whole page this is
  uint64_t last_used = 0;
  std::vector<std::unique_ptr<KvNode>> children;

  bool is_whole() const { return static_cast<int32_t>(tokens.size()) == kKvPageSize; }
  /// Nobody would miss anything but this page.
  bool is_free() const { return children.empty() && n_users == 0; }
};

class PrefixTree {
 public:
  /// What the tree holds of a text.
  struct Match {
    std::vector<KvNode*> whole;  ///< its first pages
    KvNode* part = nullptr;      ///< the child of the last one that has most in common with what follows; may be null
    int32_t n_part = 0;          ///< tokens that it has in common
  };

  KvNode* root() { return &root_; }
  Match find(std::span<const int32_t> tokens);
  /// The child with exactly these tokens, or null.
  KvNode* child(KvNode& parent, std::span<const int32_t> tokens);
  KvNode& add(KvNode& parent, std::span<const int32_t> tokens, int32_t page);
  /// @pre node.is_free()
  void remove(KvNode& node);

  /// The node and all before it were used now.
  void touch(KvNode& node);
  uint64_t now() const { return now_; }

  /// Parents before their children.
  void for_each(const std::function<void(KvNode&)>& visit) const;
  size_t size() const { return n_nodes_; }

 private:
  KvNode root_;  // holds no page
  size_t n_nodes_ = 0;
  uint64_t now_ = 0;
};

}  // namespace outpost
