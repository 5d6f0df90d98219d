#include "kv/prefix_tree.h"

#include <algorithm>
#include <cassert>

namespace outpost {
namespace {

/// FNV-1a over tokens, continued.
uint64_t hash_on(uint64_t hash, std::span<const int32_t> tokens) {
  if (hash == 0) hash = 0xcbf29ce484222325u;
  for (const int32_t token : tokens) hash = (hash ^ static_cast<uint32_t>(token)) * 0x100000001b3u;
  return hash;
}

int32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

KvNode* PrefixTree::child(KvNode& parent, std::span<const int32_t> tokens) {
  const uint64_t hash = hash_on(parent.hash, tokens);
  for (const auto& node : parent.children) {
    if (node->hash == hash && std::equal(tokens.begin(), tokens.end(), node->tokens.begin(), node->tokens.end()))
      return node.get();
  }
  return nullptr;
}

PrefixTree::Match PrefixTree::find(std::span<const int32_t> tokens) {
  Match match;
  KvNode* at = &root_;
  while (tokens.size() >= size_t{kKvPageSize}) {
    KvNode* next = child(*at, tokens.first(kKvPageSize));
    if (next == nullptr) break;
    match.whole.push_back(next);
    tokens = tokens.subspan(kKvPageSize);
    at = next;
  }
  for (const auto& node : at->children) {
    const int32_t n = common_prefix(tokens, node->tokens);
    if (n <= match.n_part) continue;
    match.part = node.get();
    match.n_part = n;
  }
  return match;
}

KvNode& PrefixTree::add(KvNode& parent, std::span<const int32_t> tokens, int32_t page) {
  assert((&parent == &root_ || parent.is_whole()) && child(parent, tokens) == nullptr);
  auto node = std::make_unique<KvNode>();
  node->parent = &parent;
  node->tokens.assign(tokens.begin(), tokens.end());
  node->hash = hash_on(parent.hash, tokens);
  node->page = page;
  node->depth = &parent == &root_ ? 0 : parent.depth + 1;
  node->last_used = now_;
  ++n_nodes_;
  parent.children.push_back(std::move(node));
  return *parent.children.back();
}

void PrefixTree::remove(KvNode& node) {
  assert(node.is_free());
  auto& siblings = node.parent->children;
  siblings.erase(
      std::find_if(siblings.begin(), siblings.end(), [&](const auto& other) { return other.get() == &node; }));
  --n_nodes_;
}

void PrefixTree::touch(KvNode& node) {
  ++now_;
  for (KvNode* at = &node; at != &root_; at = at->parent) at->last_used = now_;
}

void PrefixTree::for_each(const std::function<void(KvNode&)>& visit) const {
  std::vector<KvNode*> left;
  const auto push = [&](const KvNode& node) {
    for (const auto& child : node.children) left.push_back(child.get());
  };
  push(root_);
  while (!left.empty()) {
    KvNode& node = *left.back();
    left.pop_back();
    visit(node);
    push(node);
  }
}

}  // namespace outpost
