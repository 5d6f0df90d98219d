// The expert cache against a model of it that is written down as the rules read, and the reason for them.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "backend/cpu/expert_cache.h"

using namespace outpost;

namespace {

using Key = std::pair<size_t, int32_t>;  // layer, expert

/// Every rule in its plainest form; heat by replaying a layer's passes.
class ModelCache {
 public:
  ModelCache(uint64_t budget, std::vector<std::pair<int32_t, uint64_t>> layers)
      : budget_(budget), layers_(std::move(layers)), passes_(layers_.size()) {}

  bool preload(Key key) {
    if (resident_bytes() + bytes_of(key) > budget_) return false;
    resident_[key] = 0;
    return true;
  }

  void begin_pass(size_t layer, const std::vector<int32_t>& experts) { passes_[layer].push_back(experts); }

  /// @return nullopt if it does not fit, else whether it had to be prepared
  std::optional<bool> pin(Key key) {
    const bool is_new = !resident_.contains(key);
    uint64_t pinned_bytes = 0;
    for (const Key& other : pinned_) pinned_bytes += bytes_of(other);
    if (is_new && !pinned_.empty() && pinned_bytes + bytes_of(key) > budget_) return std::nullopt;
    while (is_new && resident_bytes() + bytes_of(key) > budget_) {
      const auto victim = find_victim();
      if (!victim.has_value()) break;
      resident_.erase(*victim);
      ++n_evictions;
    }
    ++(is_new ? n_misses : n_hits);
    resident_[key] = ++clock_;
    pinned_.insert(key);
    return is_new;
  }

  void unpin(Key key, bool is_prepared) {
    pinned_.erase(key);
    if (is_prepared && resident_bytes() <= budget_) return;
    resident_.erase(key);
    ++n_evictions;
  }

  bool is_resident(Key key) const { return resident_.contains(key); }
  const std::set<Key>& pinned() const { return pinned_; }
  uint64_t bytes_of(Key key) const { return layers_[key.first].second; }
  uint64_t resident_bytes() const {
    uint64_t sum = 0;
    for (const auto& [key, use] : resident_) sum += bytes_of(key);
    return sum;
  }

  uint64_t n_hits = 0, n_misses = 0, n_evictions = 0;

 private:
  uint64_t heat_of(Key key) const {
    uint64_t heat = 0, n = 0;
    for (const auto& pass : passes_[key.first]) {
      if (++n % ExpertCache::kHalfLife == 0) heat /= 2;
      heat += static_cast<uint64_t>(std::count(pass.begin(), pass.end(), key.second));
    }
    return heat;
  }

  std::optional<Key> find_victim() const {
    std::map<size_t, double> mean;
    const auto is_hot = [&](Key key) {
      if (!mean.contains(key.first)) {
        double sum = 0;
        for (int32_t expert = 0; expert < layers_[key.first].first; ++expert)
          sum += static_cast<double>(heat_of({key.first, expert}));
        mean[key.first] = sum / layers_[key.first].first;
      }
      return static_cast<double>(heat_of(key)) > mean[key.first];
    };
    std::vector<Key> cold, hot;
    for (const auto& [key, use] : resident_) {
      if (!pinned_.contains(key)) (is_hot(key) ? hot : cold).push_back(key);
    }
    const auto by_use = [&](Key a, Key b) { return resident_.at(a) < resident_.at(b); };
    if (!cold.empty()) return *std::min_element(cold.begin(), cold.end(), by_use);
    if (hot.empty()) return std::nullopt;
    return *std::min_element(hot.begin(), hot.end(), [&](Key a, Key b) {
      return heat_of(a) != heat_of(b) ? heat_of(a) < heat_of(b) : by_use(a, b);
    });
  }

  uint64_t budget_;
  std::vector<std::pair<int32_t, uint64_t>> layers_;  // experts, bytes of one
  std::vector<std::vector<std::vector<int32_t>>> passes_;
  std::map<Key, uint64_t> resident_;  // with the last use
  std::set<Key> pinned_;
  uint64_t clock_ = 0;
};

/// One pass of a layer that uses these experts one after the other. @return how many were found
int pass(ExpertCache& cache, size_t layer, const std::vector<int32_t>& experts) {
  cache.begin_pass(layer, experts);
  int n_found = 0;
  for (const int32_t expert : experts) {
    n_found += cache.pin(layer, expert)->is_new ? 0 : 1;
    cache.unpin(layer, expert, true);
  }
  return n_found;
}

std::vector<int32_t> residents(const ExpertCache& cache, size_t layer, int32_t n_expert) {
  std::vector<int32_t> experts;
  for (int32_t expert = 0; expert < n_expert; ++expert) {
    if (cache.is_resident(layer, expert)) experts.push_back(expert);
  }
  return experts;
}

}  // namespace

TEST_CASE("the expert cache does what its rules say, to the byte, under random use") {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](uint64_t n) { return random() % n; };
    std::vector<std::pair<int32_t, uint64_t>> layers;
    uint64_t total = 0;
    for (uint64_t i = 0; i < 1 + seed % 3; ++i) {
      layers.push_back({static_cast<int32_t>(1 + below(12)), 1 + below(3) * 4096 + below(2)});
      total += static_cast<uint64_t>(layers.back().first) * layers.back().second;
    }
    const uint64_t budget = std::vector<uint64_t>{1, 4097, total / 3, total / 2, total - 1, total}[seed % 6];
    ExpertCache cache(budget);
    ModelCache model(budget, layers);
    for (const auto& [n_expert, n_bytes] : layers) cache.add_layer(n_expert, n_bytes);
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      for (int32_t expert = 0; expert < layers[layer].first && seed % 2 == 0; ++expert)
        CHECK((cache.preload(layer, expert) != nullptr) == model.preload({layer, expert}));
    }

    std::map<Key, bool> is_new;  // of those that are pinned
    for (int step = 0; step < 600; ++step) {
      const size_t layer = below(layers.size());
      const auto n_expert = static_cast<uint64_t>(layers[layer].first);
      const Key key{layer, static_cast<int32_t>(std::min(below(n_expert), below(n_expert)))};
      if (below(3) == 0) {
        std::vector<int32_t> used;
        for (int32_t expert = 0; expert < layers[layer].first; ++expert) {
          if (below(static_cast<uint64_t>(expert) + 1) == 0) used.push_back(expert);
        }
        cache.begin_pass(layer, used);
        model.begin_pass(layer, used);
      } else if (model.pinned().contains(key)) {
        const bool is_prepared = !is_new[key] || below(8) != 0;
        cache.unpin(key.first, key.second, is_prepared);
        model.unpin(key, is_prepared);
      } else {
        const auto lease = cache.pin(key.first, key.second);
        const auto expected = model.pin(key);
        REQUIRE(lease.has_value() == expected.has_value());
        if (lease.has_value()) {
          CHECK(lease->is_new == *expected);
          is_new[key] = lease->is_new;
          // Its own memory, all of it.
          std::fill_n(lease->data, model.bytes_of(key), static_cast<std::byte>(key.second));
        }
      }
      for (size_t i = 0; i < layers.size(); ++i) {
        for (int32_t expert = 0; expert < layers[i].first; ++expert)
          CHECK(cache.is_resident(i, expert) == model.is_resident({i, expert}));
      }
      const ExpertCacheStats stats = cache.stats();
      CHECK(stats.n_hits == model.n_hits);
      CHECK(stats.n_misses == model.n_misses);
      CHECK(stats.n_evictions == model.n_evictions);
      CHECK(stats.resident_bytes == model.resident_bytes());
      CHECK(stats.total_bytes == total);
      CHECK(stats.budget_bytes == budget);
      if (stats.resident_bytes > budget) CHECK(model.pinned().size() == 1);
    }
  }
}

TEST_CASE("an expert's memory keeps its contents while it is resident") {
  ExpertCache cache(3 * 4096);
  const size_t layer = cache.add_layer(8, 4096);
  std::mt19937 random(1);
  for (int step = 0; step < 500; ++step) {
    const auto expert = static_cast<int32_t>(random() % 8);
    const auto lease = cache.pin(layer, expert);
    const auto value = static_cast<std::byte>(expert + 1);
    if (lease->is_new) std::fill_n(lease->data, 4096, value);
    CHECK(std::all_of(lease->data, lease->data + 4096, [&](std::byte b) { return b == value; }));
    cache.unpin(layer, expert, true);
  }
}

TEST_CASE("without favourites the least recently used expert goes") {
  ExpertCache cache(3 * 100);
  const size_t layer = cache.add_layer(5, 100);
  // Every expert is used once: no heat is above the mean.
  cache.begin_pass(layer, std::vector<int32_t>{0, 1, 2, 3, 4});
  for (const int32_t expert : {2, 0, 1, 3}) {
    cache.pin(layer, expert);
    cache.unpin(layer, expert, true);
  }
  CHECK(residents(cache, layer, 5) == std::vector<int32_t>{0, 1, 3});
  cache.pin(layer, 0);
  cache.unpin(layer, 0, true);
  cache.pin(layer, 4);
  CHECK(residents(cache, layer, 5) == std::vector<int32_t>{0, 3, 4});
}

TEST_CASE("a prompt that touches every expert does not drive out the favourites") {
  // Room for 6 of 16 experts. A reply used four of them in each step.
  ExpertCache cache(6 * 100);
  const size_t layer = cache.add_layer(16, 100);
  const std::vector<int32_t> favourites = {2, 3, 5, 7};
  std::vector<int32_t> all;
  for (int32_t expert = 0; expert < 16; ++expert) all.push_back(expert);
  for (int step = 0; step < 20; ++step) pass(cache, layer, favourites);
  CHECK(cache.stats().n_misses == 4);

  // Twenty slices of a long prompt, each of which needs all. Two places serve the others; 0, 1, 4, 6, 8 to 15 come and
  // go in order, so none of them is found again.
  for (int slice = 0; slice < 20; ++slice) CHECK(pass(cache, layer, all) == 4);
  CHECK(residents(cache, layer, 16) == std::vector<int32_t>{2, 3, 5, 7, 14, 15});
  CHECK(cache.stats().n_misses == 4 + 20 * 12);
  CHECK(cache.stats().n_evictions == 4 + 20 * 12 - 6);
  CHECK(pass(cache, layer, favourites) == 4);
}

TEST_CASE("favourites fade when others take their place") {
  ExpertCache cache(4 * 100);
  const size_t layer = cache.add_layer(16, 100);
  const std::vector<int32_t> old = {0, 1, 2, 3}, recent = {8, 9, 10, 11};
  for (int step = 0; step < 100; ++step) pass(cache, layer, old);
  int n_steps = 0;
  while (pass(cache, layer, recent) < 4) ++n_steps;
  // The old ones have heat 100, halved to 50 after 28 steps. The mean is (400 + 4 * 28) / 16 = 32 before and below
  // 16 + step / 4 after, so they stay hot, and new ones push each other out, until their heat is above the old.
  CHECK(n_steps > 28);
  CHECK(n_steps < 2 * static_cast<int>(ExpertCache::kHalfLife));
  CHECK(residents(cache, layer, 16) == recent);
}

TEST_CASE("heat is relative to the layer, recency to all") {
  ExpertCache cache(2 * 100);
  const size_t a = cache.add_layer(4, 100), b = cache.add_layer(4, 100);
  pass(cache, a, {0});  // hot: 1 above the mean of 1/4
  pass(cache, b, {1});  // hot as well
  pass(cache, b, {2});  // all are hot and equally so: a's 0 is the oldest
  CHECK(residents(cache, a, 4).empty());
  CHECK(residents(cache, b, 4) == std::vector<int32_t>{1, 2});
  pass(cache, b, {1});
  pass(cache, a, {3});  // 1 has heat 2
  CHECK(residents(cache, b, 4) == std::vector<int32_t>{1});
}

TEST_CASE("pinned experts stay, and a pin that finds no room evicts nothing") {
  ExpertCache cache(2 * 100);
  const size_t layer = cache.add_layer(4, 100);
  CHECK(cache.pin(layer, 0).has_value());
  CHECK(cache.pin(layer, 1).has_value());
  CHECK_FALSE(cache.pin(layer, 2).has_value());
  CHECK(cache.stats().n_misses == 2);
  cache.unpin(layer, 1, true);
  CHECK(cache.pin(layer, 2).has_value());
  CHECK(residents(cache, layer, 4) == std::vector<int32_t>{0, 2});
}

TEST_CASE("an expert larger than the budget is alone in memory and leaves after use") {
  ExpertCache cache(100);
  const size_t small = cache.add_layer(2, 50), large = cache.add_layer(2, 300);
  pass(cache, small, {0, 1});
  CHECK(cache.preload(large, 0) == nullptr);
  CHECK(cache.pin(large, 0).has_value());
  CHECK(cache.stats().resident_bytes == 300);
  CHECK_FALSE(cache.pin(small, 0).has_value());
  CHECK_FALSE(cache.pin(large, 1).has_value());
  cache.unpin(large, 0, true);
  CHECK(cache.stats().resident_bytes == 0);
  CHECK(cache.stats().n_evictions == 3);
}

TEST_CASE("preloading fills the budget and evicts nothing; a removed layer gives its memory back") {
  ExpertCache cache(250);
  const size_t a = cache.add_layer(2, 100), b = cache.add_layer(3, 50);
  CHECK(cache.preload(a, 0) != nullptr);
  CHECK(cache.preload(a, 1) != nullptr);
  CHECK(cache.preload(b, 0) != nullptr);
  CHECK(cache.preload(b, 1) == nullptr);
  CHECK(cache.stats().resident_bytes == 250);
  CHECK(cache.stats().total_bytes == 350);
  CHECK(cache.stats().n_misses == 0);
  cache.remove_layer(a);
  CHECK(cache.stats().resident_bytes == 50);
  CHECK(cache.stats().total_bytes == 150);
  CHECK(cache.preload(b, 1) != nullptr);
  CHECK(pass(cache, b, {0, 1, 2}) == 2);
}
