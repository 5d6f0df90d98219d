// Pages of the KV cache: how many are held, who shares them, what is reused and what is given up. That a reused
// page holds the right keys and values is checked through logits in kv_reuse_test.cpp and model_llama_test.cpp.
#include "kv/kv_cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "backend/cpu/cpu_backend.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using outpost::test::error_of;

namespace {

/// A cache of `n_page` pages that counts in pages.
struct TestCache {
  explicit TestCache(int32_t n_page)
      : backend(create_cpu_backend(CpuKernels::kScalar, 1)),
        cache(*backend, {1, 1, 16, 16}, n_page),
        page_bytes(cache.total_bytes() / static_cast<size_t>(n_page)) {}

  int32_t n_used() const { return static_cast<int32_t>(cache.used_bytes() / page_bytes); }

  /// As if the tokens had been computed.
  void fill(KvSequence& sequence, std::span<const int32_t> tokens) {
    sequence.tokens.assign(tokens.begin(), tokens.end());
  }

  /// A finished request for `tokens`.
  void run(std::span<const int32_t> tokens) {
    auto sequence = cache.begin(tokens, static_cast<int32_t>(tokens.size()));
    REQUIRE(sequence != nullptr);
    fill(*sequence, tokens);
    cache.retire(std::move(sequence));
  }

  std::unique_ptr<Backend> backend;
  KvCache cache;
  size_t page_bytes;
};

/// Pages of a byte each on a device that is lost when one is copied, or one given up.
struct FailingStorage : KvAllocator {
  struct Pages : KvStorage {
    Pages(int32_t n_page, const bool& fails) : n(n_page), fails_to_drop(fails) {}
    int32_t n_page() const override { return n; }
    size_t size_bytes() const override { return static_cast<size_t>(n); }
    void drop(int32_t, KvForm) override {
      if (fails_to_drop) throw EngineError(ErrorCode::kDeviceLost, "It is gone.");
    }
    bool copy_page(int32_t, int32_t) override { throw EngineError(ErrorCode::kDeviceLost, "It is gone."); }
    int32_t n;
    const bool& fails_to_drop;
  };
  std::unique_ptr<KvStorage> alloc_kv(const KvShape&, int32_t n_page) override {
    return std::make_unique<Pages>(n_page, fails_to_drop);
  }
  std::unique_ptr<KvStorage> alloc_kv(const KvShape&, const KvFormat&, int32_t n_page) override {
    return std::make_unique<Pages>(n_page, fails_to_drop);
  }
  bool fails_to_drop = false;
};

/// n tokens that count up from `first`.
std::vector<int32_t> text(int32_t n, int32_t first = 0) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// The first `n_common` tokens of `start`, then others.
std::vector<int32_t> fork(const std::vector<int32_t>& start, int32_t n_common, int32_t n) {
  std::vector<int32_t> tokens = text(n, 1000000);
  std::copy_n(start.begin(), n_common, tokens.begin());
  return tokens;
}

}  // namespace

TEST_CASE("a page pool hands out each page once and takes it back") {
  PagePool pool(3);
  CHECK(pool.n_page() == 3);
  CHECK(pool.n_free() == 3);
  const int32_t a = pool.take(), b = pool.take(), c = pool.take();
  CHECK(std::set<int32_t>{a, b, c} == std::set<int32_t>{0, 1, 2});
  CHECK(pool.n_free() == 0);
  pool.release(b);
  CHECK(pool.n_free() == 1);
  CHECK(pool.take() == b);
}

TEST_CASE("a prefix tree finds the pages of a text and the page that has most of what follows") {
  PrefixTree tree;
  const auto long_text = text(200);
  KvNode& first = tree.add(*tree.root(), std::span(long_text).first(64), 7);
  KvNode& second = tree.add(first, std::span(long_text).subspan(64, 64), 8);
  KvNode& end = tree.add(second, std::span(long_text).subspan(128, 20), 9);
  const auto other = fork(long_text, 70, 100);
  KvNode& fork_end = tree.add(first, std::span(other).subspan(64, 36), 10);
  CHECK(tree.size() == 4);

  auto match = tree.find(long_text);
  CHECK(match.whole == std::vector<KvNode*>{&first, &second});
  CHECK(match.part == &end);
  CHECK(match.n_part == 20);
  match = tree.find(fork(long_text, 80, 200));
  CHECK(match.whole == std::vector<KvNode*>{&first});
  CHECK(match.part == &second);  // 16 tokens of it, where the fork has 6
  CHECK(match.n_part == 16);
  match = tree.find(other);
  CHECK(match.part == &fork_end);
  match = tree.find(text(100, 5000));
  CHECK(match.whole.empty());
  CHECK(match.part == nullptr);

  std::vector<int32_t> pages;
  tree.for_each([&](KvNode& node) { pages.push_back(node.page); });
  CHECK(std::set<int32_t>(pages.begin(), pages.end()) == std::set<int32_t>{7, 8, 9, 10});
  CHECK(pages.front() == 7);  // parents first
  CHECK_FALSE(second.is_free());
  tree.remove(end);
  CHECK(second.is_free());
  CHECK(tree.child(first, std::span(long_text).subspan(64, 64)) == &second);
}

TEST_CASE("a sequence holds the pages its positions need") {
  struct Case {
    int32_t n_positions, n_page;
  };
  for (const auto& [n_positions, n_page] :
       {Case{1, 1}, Case{63, 1}, Case{64, 1}, Case{65, 2}, Case{128, 2}, Case{129, 3}}) {
    CAPTURE(n_positions);
    TestCache t(4);
    CHECK(t.n_used() == 0);
    const auto sequence = t.cache.begin(text(1), n_positions);
    REQUIRE(sequence != nullptr);
    CHECK(sequence->n_past() == 0);
    CHECK(static_cast<int32_t>(sequence->page_table.size()) == n_page);
    CHECK(t.n_used() == n_page);
  }
}

TEST_CASE("running sequences have pages of their own") {
  TestCache t(6);
  const auto a = t.cache.begin(text(10), 128), b = t.cache.begin(text(10), 192);
  REQUIRE(a != nullptr);
  REQUIRE(b != nullptr);
  std::set<int32_t> pages(a->page_table.begin(), a->page_table.end());
  pages.insert(b->page_table.begin(), b->page_table.end());
  CHECK(pages.size() == 5);
  CHECK(*pages.begin() >= 0);
  CHECK(*pages.rbegin() < 6);
}

TEST_CASE("retiring keeps the pages with tokens and frees those that were only reserved") {
  TestCache t(8);
  auto sequence = t.cache.begin(text(70), 400);
  REQUIRE(sequence != nullptr);
  CHECK(t.n_used() == 7);
  t.fill(*sequence, text(70));
  t.cache.retire(std::move(sequence));
  CHECK(t.n_used() == 2);

  auto unused = t.cache.begin(text(5, 500), 300);
  REQUIRE(unused != nullptr);
  t.cache.retire(std::move(unused));  // nothing was computed
  CHECK(t.n_used() == 2);
}

TEST_CASE("a longer text goes on in the last page of a finished one") {
  TestCache t(8);
  t.run(text(100));
  const auto sequence = t.cache.begin(text(150), 150);
  REQUIRE(sequence != nullptr);
  CHECK(sequence->tokens == text(100));
  CHECK(t.n_used() == 3);
}

TEST_CASE("the last token is always computed again") {
  TestCache t(8);
  t.run(text(100));
  const auto same = t.cache.begin(text(100), 100);
  REQUIRE(same != nullptr);
  CHECK(same->tokens == text(99));
  const auto single = t.cache.begin(text(1), 1);
  REQUIRE(single != nullptr);
  CHECK(single->n_past() == 0);
}

TEST_CASE("a text of whole pages that comes again takes a copy of its last page") {
  TestCache t(8);
  t.run(text(128));
  auto same = t.cache.begin(text(128), 128);
  REQUIRE(same != nullptr);
  CHECK(same->tokens == text(127));
  CHECK(t.n_used() == 3);
  t.fill(*same, text(128));
  t.cache.retire(std::move(same));
  CHECK(t.n_used() == 2);  // the copy was given up for the page that was there
}

TEST_CASE("a text that leaves a long one shares its whole pages, copies rows of the next, and leaves it reusable") {
  TestCache t(16);
  const auto longer = text(500);  // 8 pages
  t.run(longer);
  const auto forked = fork(longer, 200, 260);
  auto sequence = t.cache.begin(forked, 260);
  REQUIRE(sequence != nullptr);
  CHECK(sequence->tokens == text(200));
  CHECK(sequence->n_shared == 3);
  CHECK(t.n_used() == 8 + 2);
  t.fill(*sequence, forked);
  t.cache.retire(std::move(sequence));
  CHECK(t.n_used() == 10);

  const auto again = t.cache.begin(text(600), 600);
  REQUIRE(again != nullptr);
  CHECK(again->n_past() == 500);
}

TEST_CASE("whole pages of a running sequence are shared as soon as they are accepted") {
  TestCache t(16);
  const auto longer = text(300);
  auto first = t.cache.begin(longer, 150);
  REQUIRE(first != nullptr);
  t.fill(*first, std::span(longer).first(150));
  auto early = t.cache.begin(longer, 300);
  REQUIRE(early != nullptr);
  CHECK(early->n_past() == 0);  // they may still be a draft
  t.cache.retire(std::move(early));
  REQUIRE(t.cache.extend(*first, 300));
  auto second = t.cache.begin(longer, 300);
  REQUIRE(second != nullptr);
  CHECK(second->tokens == text(128));
  CHECK(second->page_table[0] == first->page_table[0]);
  CHECK(second->page_table[1] == first->page_table[1]);
  CHECK(second->page_table[2] != first->page_table[2]);

  // Both compute the same third page: one of the two is enough.
  t.fill(*first, longer);
  t.fill(*second, longer);
  REQUIRE(t.cache.extend(*first, 300));
  REQUIRE(t.cache.extend(*second, 300));
  CHECK(second->page_table[3] == first->page_table[3]);
  CHECK(second->page_table[4] != first->page_table[4]);
  t.cache.retire(std::move(first));
  t.cache.retire(std::move(second));
}

TEST_CASE("shared pages are freed when nobody has them any more") {
  TestCache t(10);
  t.run(text(500));                  // 8 pages
  t.run(fork(text(500), 128, 130));  // shares two, has one
  CHECK(t.n_used() == 9);
  // Needs all ten: both texts are evicted, one after the other.
  const auto sequence = t.cache.begin(text(1, 7000000), 640);
  REQUIRE(sequence != nullptr);
  CHECK(t.n_used() == 10);
  CHECK(std::set<int32_t>(sequence->page_table.begin(), sequence->page_table.end()).size() == 10);
}

TEST_CASE("a cut inside a page that others share moves down to its start") {
  TestCache t(16);
  const auto longer = text(500);
  t.run(longer);
  t.run(fork(longer, 128, 130));  // shares pages 0 and 1 with the long text
  auto sequence = t.cache.begin(longer, 500);
  REQUIRE(sequence != nullptr);
  REQUIRE(sequence->n_past() == 499);
  const std::vector<int32_t> pages = sequence->page_table;

  SUBCASE("in a page that nobody else has it stays where it is") {
    t.cache.truncate(*sequence, 460);
    CHECK(sequence->n_past() == 460);
    CHECK(sequence->page_table == pages);
    t.cache.truncate(*sequence, 440);
    CHECK(sequence->n_past() == 440);
    CHECK(sequence->page_table == std::vector<int32_t>(pages.begin(), pages.begin() + 7));
  }
  SUBCASE("in a shared page") {
    t.cache.truncate(*sequence, 100);
    CHECK(sequence->n_past() == 64);
    CHECK(sequence->page_table == std::vector<int32_t>(pages.begin(), pages.begin() + 1));
  }
  SUBCASE("at the end of a shared page nothing of it is written") {
    t.cache.truncate(*sequence, 128);
    CHECK(sequence->n_past() == 128);
    CHECK(sequence->page_table == std::vector<int32_t>(pages.begin(), pages.begin() + 2));
  }
  SUBCASE("to nothing") {
    t.cache.truncate(*sequence, 0);
    CHECK(sequence->n_past() == 0);
    CHECK(sequence->page_table.empty());
  }
  t.cache.retire(std::move(sequence));
  const auto whole = t.cache.begin(text(1, 7000000), 16 * kKvPageSize);
  REQUIRE(whole != nullptr);  // nothing is held any more
}

TEST_CASE("the longest common prefix is taken, whoever was used last") {
  TestCache t(16);
  t.run(text(300));
  t.run(fork(text(300), 20, 100));
  const auto sequence = t.cache.begin(fork(text(300), 250, 280), 280);
  REQUIRE(sequence != nullptr);
  CHECK(sequence->n_past() == 250);
}

TEST_CASE("the pages used longest ago are evicted first, from the end of their text") {
  TestCache t(6);
  const auto a = text(128, 0), b = text(128, 1000), c = text(128, 2000), d = text(64, 3000);
  t.run(a);
  t.run(b);
  t.run(c);
  t.run(a);  // b is now the oldest
  t.run(d);
  CHECK(t.n_used() == 6);
  const auto n_held = [&](const std::vector<int32_t>& tokens) {
    const auto match = t.cache.tree().find(tokens);
    return static_cast<int32_t>(match.whole.size());
  };
  CHECK(n_held(a) == 2);
  CHECK(n_held(b) == 1);
  CHECK(n_held(c) == 2);
  CHECK(n_held(d) == 1);
}

TEST_CASE("pages in use by running sequences are not taken away") {
  TestCache t(4);
  auto running = t.cache.begin(text(10), 192);
  REQUIRE(running != nullptr);
  const std::vector<int32_t> pages = running->page_table;
  CHECK(t.cache.begin(text(10, 500), 128) == nullptr);
  CHECK(running->page_table == pages);
  CHECK(t.n_used() == 3);
  const auto small = t.cache.begin(text(10, 500), 64);
  CHECK(small != nullptr);
  CHECK(t.n_used() == 4);
}

TEST_CASE("a sequence that does not fit costs no finished text its pages") {
  TestCache t(8);
  t.run(text(128));
  auto running = t.cache.begin(text(10, 500), 256);
  REQUIRE(running != nullptr);
  CHECK(t.n_used() == 6);
  // Five pages cannot be had whatever is evicted: 8 less the 4 of the running sequence.
  CHECK(t.cache.begin(text(10, 900), 320) == nullptr);
  CHECK(t.cache.begin(text(300), 320) == nullptr);  // nor beside its own prefix
  CHECK(t.n_used() == 6);
  const auto again = t.cache.begin(text(140), 140);
  REQUIRE(again != nullptr);
  CHECK(again->n_past() == 128);
}

TEST_CASE("what is finished can be forgotten, and what runs stays") {
  TestCache t(12);
  t.run(text(130));
  auto running = t.cache.begin(fork(text(130), 64, 130), 130);
  REQUIRE(running != nullptr);
  t.fill(*running, fork(text(130), 64, 130));
  CHECK(t.n_used() == 5);
  t.cache.forget_finished();
  CHECK(t.n_used() == 3);  // with the page that both began with
  CHECK(t.cache.n_tokens() == 130);
  t.cache.retire(std::move(running));
  t.cache.forget_finished();
  CHECK(t.n_used() == 0);
  CHECK(t.cache.tree().size() == 0);
}

TEST_CASE("a page that cannot be copied ends the text that wanted it, and no other") {
  FailingStorage storage;
  KvCache cache(storage, {1, 1, 16, 16}, 4);
  const auto run = [&](const std::vector<int32_t>& tokens) {
    auto sequence = cache.begin(tokens, static_cast<int32_t>(tokens.size()));
    REQUIRE(sequence != nullptr);
    sequence->tokens = tokens;
    cache.retire(std::move(sequence));
  };
  const std::vector<int32_t> long_text = text(180), leaves_it = fork(long_text, 100, 110);
  run(long_text);
  const uint64_t n_bytes = cache.used_bytes();
  CHECK(error_of([&] { cache.begin(leaves_it, 110); }) == ErrorCode::kDeviceLost);
  CHECK(cache.used_bytes() == n_bytes);
  CHECK(cache.n_tokens() == 180);
  // Nothing holds a page that nobody has: all four can be had.
  const auto whole = cache.begin(text(256, 1000), 256);
  REQUIRE(whole != nullptr);
  CHECK(whole->page_table.size() == 4);
}

TEST_CASE("a sequence that fails while room is made for it holds nothing and runs no more") {
  FailingStorage storage;
  KvCache cache(storage, {1, 1, 16, 16}, 4);
  const std::vector<int32_t> tokens = text(192);
  auto first = cache.begin(tokens, 192);
  REQUIRE(first != nullptr);
  first->tokens = tokens;
  cache.retire(std::move(first));
  // Two pages are shared with the text before, whose third one has to make room.
  const std::vector<int32_t> leaves_it = fork(tokens, 130, 250);
  storage.fails_to_drop = true;
  CHECK(error_of([&] { cache.begin(leaves_it, 250); }) == ErrorCode::kDeviceLost);
  storage.fails_to_drop = false;
  // Neither is counted as running, which it would be up to its end: all four pages can be had.
  const auto whole = cache.begin(text(256, 1000), 256);
  REQUIRE(whole != nullptr);
  CHECK(whole->page_table.size() == 4);
}

TEST_CASE("a fork shares whole pages and has a copy of the last one") {
  TestCache test(6);
  const std::vector<int32_t> tokens = text(kKvPageSize + 10);
  auto sequence = test.cache.begin(tokens, static_cast<int32_t>(tokens.size()));
  test.fill(*sequence, tokens);
  auto fork = test.cache.fork(*sequence);
  REQUIRE(fork != nullptr);
  CHECK(fork->tokens == sequence->tokens);
  CHECK(fork->page_table.size() == 2);
  CHECK(fork->page_table[0] == sequence->page_table[0]);
  CHECK(fork->page_table[1] != sequence->page_table[1]);
  CHECK(test.n_used() == 3);

  // The shared page stays as long as one of them has it; of what a fork has by itself nothing stays.
  test.cache.retire(std::move(sequence));
  CHECK(test.n_used() == 3);
  test.cache.forget_finished();
  CHECK(test.n_used() == 2);
  test.cache.drop(std::move(fork));
  CHECK(test.n_used() == 1);
  test.cache.forget_finished();
  CHECK(test.n_used() == 0);
}

TEST_CASE("a fork for which there is no page, or whose page cannot be copied, changes nothing") {
  TestCache test(2);
  const std::vector<int32_t> tokens = text(kKvPageSize + 10);
  auto sequence = test.cache.begin(tokens, static_cast<int32_t>(tokens.size()));
  test.fill(*sequence, tokens);
  CHECK(test.cache.fork(*sequence) == nullptr);
  CHECK(test.n_used() == 2);
  test.cache.retire(std::move(sequence));
  test.cache.forget_finished();
  CHECK(test.n_used() == 0);

  FailingStorage failing;
  KvCache cache(failing, {1, 1, 16, 16}, 4);
  auto other = cache.begin(tokens, static_cast<int32_t>(tokens.size()));
  other->tokens = tokens;
  CHECK(error_of([&] { cache.fork(*other); }) == ErrorCode::kDeviceLost);
  cache.retire(std::move(other));
  cache.forget_finished();
  CHECK(cache.n_pages_used() == 0);
}

TEST_CASE("a budget that holds no page is refused") {
  const auto backend = create_cpu_backend(CpuKernels::kScalar, 1);
  CHECK_THROWS_WITH_AS(KvCache(*backend, {1, 1, 64, 64}, kv_format(KvPreset::kCompact, 1), 1000),
                       doctest::Contains("a page of 64 positions takes"), EngineError);
}
