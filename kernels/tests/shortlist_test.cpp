// Shortlists against sorting and sums on the host.
#include "kernels/launchers/shortlist_arguments.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

std::vector<Shortlist> shortlists(const std::vector<float>& logits, const ShortlistParams& params,
                                  Schedule schedule = Schedule::kInOrder) {
  const size_t n_rows = logits.size() / static_cast<size_t>(params.n_vocab);
  DeviceArray<float> input("logits", logits), groups("groups", 2 * n_rows * static_cast<size_t>(params.n_groups)),
      lists("lists", n_rows * kShortlistWords);
  run_shortlist(input, groups, lists, static_cast<int32_t>(n_rows), params, schedule);
  std::vector<Shortlist> rows(n_rows);
  std::memcpy(rows.data(), lists.values().data(), n_rows * sizeof(Shortlist));
  return rows;
}

/// Random logits in steps of `step`, so that some are equal.
std::vector<float> stepped(size_t n, float step, uint32_t seed) {
  auto logits = random_f32(n, seed);
  for (float& x : logits) x = std::round(x * 8 / step) * step;
  return logits;
}

/// @return how many tokens are listed
int32_t check_list(const Shortlist& list, std::span<const float> logits, int32_t n_least) {
  REQUIRE(list.n_tokens >= n_least);
  REQUIRE(list.n_tokens <= kShortlistMost);
  float lowest = INFINITY;
  std::vector<bool> is_listed(logits.size());
  for (int32_t i = 0; i < list.n_tokens; ++i) {
    const int32_t id = list.ids[i];
    REQUIRE(id >= 0);
    REQUIRE(static_cast<size_t>(id) < logits.size());
    if (i > 0) CHECK(id > list.ids[i - 1]);
    CHECK(list.logits[i] == logits[static_cast<size_t>(id)]);
    is_listed[static_cast<size_t>(id)] = true;
    lowest = std::min(lowest, list.logits[i]);
  }
  int32_t n_missing = 0;
  for (size_t id = 0; id < logits.size(); ++id) n_missing += !is_listed[id] && logits[id] >= lowest ? 1 : 0;
  CHECK(n_missing == 0);

  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  // Exponents are rounded twice, each time by up to 2^-24 of some 16; the sums of positive numbers have some 20 steps.
  CHECK(std::abs(list.sum - sum) <= (2 * 16 + 20) * std::ldexp(sum, -24));
  return list.n_tokens;
}

}  // namespace

TEST_CASE("gpu shortlist: the best tokens of every row, all that are as good as the last, and the sum") {
  for (const int32_t n_vocab : {1, 31, 33, 257, 2000, 4099, 32000, 32 * kMostGroups + 1}) {
    for (const float step : {1e-6f, 0.01f}) {
      CAPTURE(n_vocab);
      CAPTURE(step);
      const ShortlistParams params = shortlist_params(n_vocab);
      const size_t n = static_cast<size_t>(n_vocab), n_rows = n_vocab < 5000 ? 3 : 1;
      const auto logits = stepped(n_rows * n, step, 1);
      const auto lists = shortlists(logits, params);
      for (size_t row = 0; row < n_rows; ++row)
        check_list(lists[row], std::span(logits).subspan(row * n, n), params.n_least);
      if (n_vocab < 5000) {
        const auto again = shortlists(logits, params, Schedule::kRandom);
        CHECK(std::memcmp(again.data(), lists.data(), n_rows * sizeof(Shortlist)) == 0);
      }
    }
  }
}

TEST_CASE("gpu shortlist: of a usual vocabulary it has what sampling looks at, and little more") {
  const ShortlistParams params = shortlist_params(32768);
  CHECK(params.n_least == kShortlistWanted);
  const auto logits = stepped(32768, 1e-6f, 2);
  CHECK(check_list(shortlists(logits, params)[0], logits, params.n_least) <= kShortlistWanted + 64);
}

TEST_CASE("gpu shortlist: negative logits, both zeros, and the best ones side by side") {
  const ShortlistParams params = shortlist_params(4096);  // 128 groups, 32 wanted
  auto logits = stepped(4096, 1e-6f, 3);
  for (float& x : logits) x = -std::abs(x) - 1;
  SUBCASE("negative") { check_list(shortlists(logits, params)[0], logits, 32); }
  SUBCASE("zeros are equal") {
    // Of the zeros 35 would be a list.
    for (size_t i = 0; i < 40; ++i) logits[i * 100] = i < 35 ? 0.0f : -0.0f;
    CHECK(check_list(shortlists(logits, params)[0], logits, 32) == 40);
  }
  SUBCASE("neighbours") {
    for (size_t id = 1000; id < 1150; ++id) logits[id] += 100;
    check_list(shortlists(logits, params)[0], logits, 32);
  }
}

TEST_CASE("gpu shortlist: where too many are equal there is no list") {
  const ShortlistParams params = shortlist_params(4096);
  // In more groups than a list has room for; and in few, of which each has many.
  const auto wide = shortlist_params(32 * (kShortlistMost + 1));
  auto one_each = stepped(static_cast<size_t>(wide.n_vocab), 1e-6f, 6);
  for (int32_t group = 0; group < wide.n_groups; ++group) one_each[static_cast<size_t>(group * 32 + 7)] = 20;
  CHECK(shortlists(one_each, wide)[0].n_tokens == kShortlistTooLong);
  auto some = stepped(4096, 1e-6f, 4);
  for (size_t id = 0; id < kShortlistMost; ++id) some[id] = 20;
  check_list(shortlists(some, {4096, 32, 128, 1})[0], some, 1);
  some[kShortlistMost] = 20;
  CHECK(shortlists(some, {4096, 32, 128, 1})[0].n_tokens == kShortlistTooLong);
  CHECK(params.n_least == 32);
}

TEST_CASE("gpu shortlist: a number that is not finite is told, wherever it is, of its row alone") {
  const ShortlistParams params = shortlist_params(1001);
  for (const float wrong : {NAN, INFINITY, -INFINITY}) {
    for (const size_t at : {size_t{0}, size_t{500}, size_t{1000}}) {
      auto logits = stepped(2 * 1001, 1e-6f, 5);
      logits[at] = wrong;
      const auto lists = shortlists(logits, params);
      CHECK(lists[0].n_tokens == kShortlistNotFinite);
      check_list(lists[1], std::span(logits).last(1001), params.n_least);
    }
  }
}
