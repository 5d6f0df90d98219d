// Code that the check of the KV cache reads: parts of Outpost itself, which no model was trained on. One text for the
// calibration, another for the measurement, so that nothing is measured on what it was fitted to.

export const calibrationText = `#include "kv/prefix_tree.h"

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
// Values pushed by one part of a process and read by any number of streams.
import { EventPublisher } from '@orpc/server';

export class EventStream<T> {
  readonly #publisher = new EventPublisher<{ event: T }>();
  readonly #readers = new Set<object>();

  /** Streams that were neither left nor aborted. */
  get nReaders(): number {
    return this.#readers.size;
  }

  push(event: T): void {
    this.#publisher.publish('event', event);
  }

  /**
   * \`first\`, then everything pushed from this call on, until the signal aborts; reading throws its reason then.
   * Nothing is dropped for a slow reader: the events are few and each matters. Not a generator: one would start to
   * listen with the first read, and could not be left before it.
   */
  subscribe(signal: AbortSignal | undefined, first: readonly T[] = []): AsyncGenerator<T, void, void> {
    const events = this.#publisher.subscribe('event', { signal, maxBufferedEvents: Infinity });
    const waiting = [...first];
    this.#readers.add(waiting);
    const leave = () => {
      this.#readers.delete(waiting);
      waiting.length = 0;
      signal?.removeEventListener('abort', leave);
    };
    signal?.addEventListener('abort', leave);
    const end = async (): Promise<IteratorResult<T, void>> => {
      leave();
      await events.return();
      return { done: true, value: undefined };
    };
    return {
      next: async () => (waiting.length > 0 ? { done: false, value: waiting.shift() as T } : events.next()),
      return: end,
      throw: async (error: unknown) => {
        await end();
        throw error;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
      [Symbol.asyncDispose]: async () => void (await end()),
    };
  }
}
`;

export const measuredText = `#include "draft/suffix_index.h"

#include <algorithm>
#include <bit>

namespace outpost {
namespace {

/// A draft that less than this share of the places agrees with is not worth a row.
constexpr float kLeastShare = 0.1f;

}  // namespace

SuffixIndex::SuffixIndex(int32_t n_most)
    : mask_(std::bit_ceil(static_cast<uint64_t>(std::max(n_most, 16))) - 1),
      tokens_(mask_ + 1),
      long_{4, std::vector<uint64_t>(mask_ + 1), std::vector<uint32_t>(mask_ + 1)},
      short_{2, std::vector<uint64_t>(mask_ + 1), std::vector<uint32_t>(mask_ + 1)} {}

void SuffixIndex::append(int32_t token) {
  tokens_[end_++ & mask_] = token;
  link(long_);
  link(short_);
}

void SuffixIndex::end_text() {
  if (end_ == text_begin_) return;
  tokens_[end_ & mask_] = kTextEnd;
  long_.to_older[end_ & mask_] = short_.to_older[end_ & mask_] = 0;
  text_begin_ = ++end_;
}

uint64_t SuffixIndex::slot(const Chain& chain, std::span<const int32_t> gram) const {
  uint64_t hash = 0;
  for (const int32_t token : gram.last(static_cast<size_t>(chain.n_gram)))
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15u;
  return (hash >> 20) & mask_;
}

/// Makes the newest place known by its last tokens.
void SuffixIndex::link(Chain& chain) {
  const uint64_t place = end_ - 1;
  uint32_t& to_older = chain.to_older[place & mask_];
  to_older = 0;
  if (end_ - text_begin_ < static_cast<uint64_t>(chain.n_gram)) return;
  int32_t gram[4];
  for (int32_t i = 0; i < chain.n_gram; ++i) gram[i] = at(end_ - static_cast<uint64_t>(chain.n_gram - i));
  uint64_t& newest = chain.newest[slot(chain, {gram, static_cast<size_t>(chain.n_gram)})];
  if (newest > 0 && is_kept(newest - 1)) to_older = static_cast<uint32_t>(place - (newest - 1));
  newest = place + 1;
}

int32_t SuffixIndex::match_length(uint64_t place, std::span<const int32_t> tail) const {
  const auto n_most = std::min<uint64_t>({kMaxMatch, tail.size(), place + 1});
  int32_t n = 0;
  while (static_cast<uint64_t>(n) < n_most) {
    const uint64_t compared = place - static_cast<uint64_t>(n);
    if (!is_kept(compared) || at(compared) != tail[tail.size() - 1 - static_cast<size_t>(n)]) break;
    ++n;
  }
  return n;
}

void SuffixIndex::find(const Chain& chain, std::span<const int32_t> tail, std::vector<Place>& places) const {
  places.clear();
  if (tail.size() < static_cast<size_t>(chain.n_gram)) return;
  const uint64_t newest = chain.newest[slot(chain, tail)];
  if (newest == 0) return;
  uint64_t place = newest - 1;
  for (int n_seen = 0; n_seen < kMaxPlaces && is_kept(place); ++n_seen) {
    const int32_t n = match_length(place, tail);
    // The place where the tail itself stands has nothing behind it; another tail may have the same hash.
    if (n >= chain.n_gram && is_kept(place + 1) && at(place + 1) != kTextEnd) places.push_back({place + 1, n});
    const uint32_t to_older = chain.to_older[place & mask_];
    if (to_older == 0 || to_older > place) return;
    place -= to_older;
  }
}

void SuffixIndex::propose(std::span<const int32_t> tail, int32_t n_most, Proposal& out) const {
  out = {DraftSource::kSuffix, 0, {}, {}};
  find(long_, tail, places_);
  if (places_.empty()) find(short_, tail, places_);
  if (places_.empty()) return;
  for (const Place& place : places_) out.n_matched = std::max(out.n_matched, place.n_matched);
  // Longer matches know more. The newest of them comes first, and stays first below.
  std::erase_if(places_, [&](const Place& place) { return 2 * place.n_matched < out.n_matched; });

  float certainty = 1;
  while (static_cast<int32_t>(out.tokens.size()) < n_most) {
    int32_t best = kTextEnd, best_weight = 0, total = 0;
    for (const Place& place : places_) {
      const int32_t token = is_kept(place.next) ? at(place.next) : kTextEnd;
      total += place.n_matched;
      if (token == kTextEnd) continue;
      int32_t weight = 0;
      for (const Place& other : places_) weight += is_kept(other.next) && at(other.next) == token ? other.n_matched : 0;
      if (weight > best_weight) {
        best = token;
        best_weight = weight;
      }
    }
    if (best == kTextEnd) return;
    const float share = static_cast<float>(best_weight) / static_cast<float>(tot// The most bytes per second that all downloads together may take; 0 for no limit.

export class RateLimit {
  readonly #bytesPerSecond: () => number;
  readonly #nowMs: () => number;
  #freeAtMs = 0;

  constructor(bytesPerSecond: () => number, nowMs: () => number = () => performance.now()) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#nowMs = nowMs;
  }

  /** Waits until \`n\` bytes that arrived are paid for: the connection fills up meanwhile, and its sender slows down. */
  async take(n: number, signal: AbortSignal): Promise<void> {
    const rate = this.#bytesPerSecond();
    if (rate <= 0) return;
    const nowMs = this.#nowMs();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (n / rate) * 1000;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs >= 5) await sleep(waitMs, signal);
  }
}

/** @throws the signal's reason as soon as it aborts */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}
`;
