// Attention over pages against the textbook softmax in double precision, and its independence from splits, tiles,
// chunks, page order and neighbours in the batch.
#include "kernels/portable/attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/attention_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

struct PlainUnits {
  static constexpr bool kIsMatrix = false;
};
struct MatrixUnits {
  static constexpr bool kIsMatrix = true;
};

/// The tokens `first` to first + n - 1 of a sequence, as one batch.
template <typename Units>
std::vector<float> attend(const Sequence& s, int32_t first, int32_t n, bool is_split, int32_t n_rows_of_tile = 8,
                          Schedule schedule = Schedule::kInOrder, DeviceActivations* codes = nullptr) {
  const AttentionCase& c = s.shape;
  const int32_t most_rows = is_split ? most_rows_on_units(c.dim_k, c.dim_v) : 8;
  const int32_t n_rows_there = Units::kIsMatrix ? std::min(n_rows_of_tile, most_rows) : tile_rows(n_rows_of_tile);
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, n, first, 0, c.n_head / c.n_head_kv, n_rows_there);
  std::vector<int32_t> positions(static_cast<size_t>(n));
  std::iota(positions.begin(), positions.end(), first);
  const auto width = static_cast<size_t>(c.n_head * c.dim_k);
  const std::vector<float> q_part(s.q.begin() + static_cast<int64_t>(static_cast<size_t>(first) * width),
                                  s.q.begin() + static_cast<int64_t>(static_cast<size_t>(first + n) * width));
  const int32_t n_splits = (first + n - 1) / kKvSplit + 1;
  const auto n_rows = static_cast<size_t>(n * c.n_head);
  DeviceArray<float> q("q", q_part), sinks("sinks", s.sinks), y("y", n_rows * static_cast<size_t>(c.dim_v));
  DeviceArray<uint16_t> pages("pages", s.pages);
  DeviceArray<int32_t> page_table("page_table", s.page_table), device_positions("positions", positions);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles);
  DeviceArray<float> partial("partial",
                             is_split ? static_cast<size_t>(n_splits) * n_rows * static_cast<size_t>(c.dim_v) : 0);
  DeviceArray<float> states("states", is_split ? static_cast<size_t>(n_splits) * n_rows * 2 : 0);
  const AttentionKernelParams params{
      s.kv, c.n_head, n, c.n_window, c.has_sinks, 1.0f / std::sqrt(static_cast<float>(c.dim_k)), c.softcap};
  const auto n_tiles = static_cast<int32_t>(tiles.size());
  run_attention({q, pages, page_table, device_tiles, device_positions, sinks, y, partial, states, n_tiles, n_splits,
                 is_split, codes, Units::kIsMatrix},
                params, n_rows_there, schedule);
  return y.values();
}

void check_close(const std::vector<float>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    // A score of magnitude 4 * sqrt(576) at most is off by dim_k roundings of 2^-24 relative to the sum of magnitudes,
    // below 1e-4; so is its weight, and with it the mean of values of magnitude 1.
    if (!(std::abs(got[i] - expected[i]) <= 2e-4)) FAIL_CHECK("element ", i, ": ", got[i], ", expected ", expected[i]);
  }
}

/// The tokens at the ends of tiles, pages and splits, one at a time.
template <typename Units>
void check_case(const AttentionCase& c, int32_t n_tokens, uint32_t seed) {
  CAPTURE(c.n_head);
  CAPTURE(c.dim_k);
  const Sequence s = make_sequence(c, n_tokens, seed);
  for (const int32_t t : {0, 1, 31, 32, 63, 64, 255, 256, 300}) {
    if (t >= n_tokens) break;
    CAPTURE(t);
    const std::vector<float> y = attend<Units>(s, t, 1, /*is_split=*/true);
    check_close(y, reference(s, t));
    CHECK(attend<Units>(s, t, 1, /*is_split=*/false) == y);
    if (Units::kIsMatrix) {
      CHECK(attend<Units>(s, t, 1, /*is_split=*/true, 16) == y);
      CHECK(attend<Units>(s, t, 1, /*is_split=*/true, 32) == y);
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("gpu attention: equals the textbook softmax for every way of sharing heads", Units, PlainUnits,
                   MatrixUnits) {
  check_case<Units>({4, 4, 64, 64}, 70, 1);                          // a KV head for each query head
  check_case<Units>({8, 2, 64, 64}, 301, 2);                         // four share one
  check_case<Units>({24, 1, 64, 32}, 40, 3);                         // all share one: more than a tile has rows
  if (!Units::kIsMatrix) check_case<Units>({6, 2, 100, 84}, 70, 4);  // three; dimensions that fill nothing
  check_case<Units>({6, 2, 104, 88}, 70, 4);
  check_case<Units>({4, 2, 40, 24}, 70, 18);
  check_case<Units>({2, 1, 256, 256}, 40, 5);
  check_case<Units>({16, 1, 576, 512}, 34, 6);  // latent attention
}

TEST_CASE_TEMPLATE("gpu attention: queries beyond what f16 holds, and keys that make up for it", Units, PlainUnits,
                   MatrixUnits) {
  check_case<Units>({4, 2, 64, 64, 0, 0, false, /*magnitude=*/0x1p18f}, 66, 20);
  check_case<Units>({4, 2, 64, 64, 0, 0, false, /*magnitude=*/0x1p-14f}, 66, 21);
}

TEST_CASE_TEMPLATE("gpu attention: windows, soft caps and sinks follow their definitions", Units, PlainUnits,
                   MatrixUnits) {
  check_case<Units>({4, 2, 64, 64, /*n_window=*/1}, 66, 7);
  check_case<Units>({4, 2, 64, 64, /*n_window=*/48}, 301, 8);
  check_case<Units>({4, 2, 64, 64, /*n_window=*/300, 0, true}, 301, 9);
  check_case<Units>({4, 2, 64, 64, 0, /*softcap=*/2.5f}, 66, 10);
  check_case<Units>({4, 2, 64, 64, 0, 0, /*has_sinks=*/true}, 301, 11);
  check_case<Units>({4, 1, 64, 64, 33, 30, true}, 101, 12);
}

TEST_CASE_TEMPLATE("gpu attention: bits do not depend on chunks, tiles, splits or the order of blocks", Units,
                   PlainUnits, MatrixUnits) {
  for (const AttentionCase& c : {AttentionCase{4, 2, 32, 32}, AttentionCase{4, 1, 32, 32, /*n_window=*/40, 0, true}}) {
    const int32_t n_tokens = 290;
    const Sequence s = make_sequence(c, n_tokens, 13);
    const auto width = static_cast<int64_t>(c.n_head * c.dim_v);
    const int32_t first = 250, n = n_tokens - first;
    const std::vector<float> all = attend<Units>(s, first, n, false);
    CHECK(attend<Units>(s, first, n, true, 8, Schedule::kRandom) == all);
    CHECK(attend<Units>(s, first, n, false, 16, Schedule::kReverse) == all);
    for (const int32_t t : {250, 255, 256, 257, 289}) {
      const std::vector<float> alone = attend<Units>(s, t, 1, true);
      CHECK(std::equal(alone.begin(), alone.end(), all.begin() + (t - first) * width));
    }
    for (const int32_t n_rows : {16, Units::kIsMatrix ? 32 : 8}) {
      const std::vector<float> three = attend<Units>(s, 254, 3, true, n_rows);
      CHECK(std::equal(three.begin(), three.end(), all.begin() + 4 * width));
    }
  }
}

TEST_CASE_TEMPLATE("gpu attention: more splits than a block has threads are merged to the bits of one block", Units,
                   PlainUnits, MatrixUnits) {
  const int32_t n_tokens = 130 * kKvSplit + 5;  // 131 splits
  for (const AttentionCase& c :
       {AttentionCase{2, 1, 32, 32, 0, 0, true}, AttentionCase{2, 2, 136, 136, n_tokens - 70}}) {
    Sequence s = make_sequence(c, n_tokens, 19);
    const int32_t t = n_tokens - 1;
    const std::vector<float> y = attend<Units>(s, t, 1, /*is_split=*/true);
    check_close(y, reference(s, t));
    CHECK(attend<Units>(s, t, 1, /*is_split=*/false) == y);
    // Keys without a product: splits that nobody sees, a score of minus infinity or NaN, then others again.
    const auto spoil = [&](int32_t position, uint16_t bits) {
      const int32_t page = s.page_table[static_cast<size_t>(position / kPage)];
      for (int32_t d = 0; d < c.dim_k; ++d)
        s.pages[static_cast<size_t>(key_at(s.kv, page, 0, position % kPage) + d)] = d == 0 ? bits : 0;
    };
    for (int32_t position = 64 * 70; position < 64 * 71; ++position) spoil(position, 0x7c00);
    const std::vector<float> without = attend<Units>(s, t, 1, /*is_split=*/true);
    const std::vector<float> in_one = attend<Units>(s, t, 1, /*is_split=*/false);
    CHECK(std::equal(without.begin(), without.end(), in_one.begin(), [](float a, float b) {
      return a == b || (std::isnan(a) && std::isnan(b));  // what matrix units make of an infinite key
    }));
    spoil(64 * 100, 0x7e00);
    for (const bool is_split : {false, true}) {
      const std::vector<float> spoiled = attend<Units>(s, t, 1, is_split);
      CHECK(std::all_of(spoiled.begin(), spoiled.begin() + c.dim_v, [](float x) { return !std::isfinite(x); }));
    }
  }
}

TEST_CASE_TEMPLATE("gpu attention: merged splits as codes have the bits of merging and converting alone", Units,
                   PlainUnits, MatrixUnits) {
  const AttentionCase cases[] = {
      {4, 2, 64, 64},                              // a warp for each row
      {12, 2, 32, 32, /*n_window=*/100, 0, true},  // a row of one warp and a half; heads within a group of 256
      {3, 1, 96, 96},                              // 288 columns: groups of 32 alone
  };
  for (const AttentionCase& c : cases) {
    const int32_t first = 301, n = 3, n_columns = c.n_head * c.dim_v;
    CAPTURE(n_columns);
    const Sequence s = make_sequence(c, first + n, 17);
    const std::vector<float> alone = attend<Units>(s, first, n, true);
    for (const bool is_super : {false, true}) {
      if (is_super && n_columns % 256 != 0) continue;
      DeviceActivations codes(n * n_columns / 32, is_super);
      CHECK(attend<Units>(s, first, n, true, 8, Schedule::kRandom, &codes) == alone);
      DeviceActivations expected(alone, is_super);
      CHECK(codes.codes.values() == expected.codes.values());
      CHECK(codes.scales.values() == expected.scales.values());
      CHECK(codes.sums.values() == expected.sums.values());
      if (is_super) CHECK(codes.pairs.values() == expected.pairs.values());
    }
  }
}

TEST_CASE_TEMPLATE("gpu attention: a value that a token does not see cannot spoil it, whoever shares its tile", Units,
                   PlainUnits, MatrixUnits) {
  struct Spoiled {
    int32_t n_window, first, n_tokens, position;
  };
  // The last one lies in a split of which the tokens see different parts only because of the window.
  for (const auto& [n_window, first, n_tokens, position] :
       {Spoiled{0, 4, 4, 6}, Spoiled{0, 4, 2, 5}, Spoiled{3, 4, 4, 2}, Spoiled{40, 66, 4, 27}}) {
    CAPTURE(position);
    const AttentionCase c{2, 1, 32, 32, n_window};
    Sequence s = make_sequence(c, 70, 14);
    const std::vector<float> clean = attend<Units>(s, first, n_tokens, false);
    for (int32_t d = 0; d < 32; ++d)
      s.pages[static_cast<size_t>(value_at(s.kv, s.page_table[0], 0, position) + d)] = 0x7c00;
    for (const bool is_split : {false, true}) {
      const std::vector<float> y = attend<Units>(s, first, n_tokens, is_split, is_split && Units::kIsMatrix ? 16 : 8);
      for (int32_t t = 0; t < n_tokens; ++t) {
        CAPTURE(t);
        const auto begin = y.begin() + 64 * t;
        if (position <= first + t && (n_window == 0 || position > first + t - n_window))
          CHECK(std::none_of(begin, begin + 64, [](float x) { return std::isfinite(x); }));
        else
          CHECK(std::equal(begin, begin + 64, clean.begin() + 64 * t));
      }
    }
  }
}

TEST_CASE_TEMPLATE("gpu attention: a value that is no number counts by its weight, whoever shares its tile", Units,
                   PlainUnits, MatrixUnits) {
  const AttentionCase c{2, 1, 32, 32, 0, 0, false, /*magnitude=*/0x1p12f};
  Sequence s = make_sequence(c, 8, 22);
  // Scores are some thousand apart: weights of all but the best position vanish.
  for (float& x : s.q) x *= 1000;
  const std::vector<float> clean = attend<Units>(s, 4, 4, false);
  for (int32_t position = 0; position < 8; ++position) {
    CAPTURE(position);
    Sequence spoiled = s;
    spoiled.pages[static_cast<size_t>(value_at(s.kv, s.page_table[0], 0, position))] = 0x7c00;
    const std::vector<float> together = attend<Units>(spoiled, 4, 4, false);
    int32_t n_spoiled = 0;
    for (int32_t t = 0; t < 4; ++t) {
      const std::vector<float> alone = attend<Units>(spoiled, 4 + t, 1, true);
      for (size_t i = 0; i < alone.size(); ++i) {
        const float x = together[static_cast<size_t>(t) * 64 + i];
        if (std::isfinite(x)) CHECK(x == clean[static_cast<size_t>(t) * 64 + i]);
        CHECK(std::isfinite(x) == std::isfinite(alone[i]));
        n_spoiled += std::isfinite(x) ? 0 : 1;
      }
    }
    CHECK(n_spoiled <= 8);  // the first dimension of those for whom it is the best
  }
}

TEST_CASE_TEMPLATE("gpu attention: two sequences of one batch do not touch each other", Units, PlainUnits,
                   MatrixUnits) {
  const AttentionCase c{4, 2, 32, 32};
  const Sequence a = make_sequence(c, 70, 15), b = make_sequence(c, 9, 16);
  // The pages of b lie behind those of a.
  std::vector<uint16_t> pages_of_both = a.pages;
  pages_of_both.insert(pages_of_both.end(), b.pages.begin(), b.pages.end());
  std::vector<int32_t> tables = a.page_table;
  for (const int32_t page : b.page_table)
    tables.push_back(page + static_cast<int32_t>(static_cast<int64_t>(a.pages.size()) / a.kv.page_stride));
  std::vector<float> q_of_both(a.q.begin() + 68 * 128, a.q.end());
  q_of_both.insert(q_of_both.end(), b.q.begin() + 6 * 128, b.q.end());
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, 2, 68, 0, 2, 8);
  append_tiles(tiles, 2, 3, 6, static_cast<int32_t>(a.page_table.size()), 2, 8);

  DeviceArray<float> q("q", q_of_both), y("y", 5 * 128), none("none", 0), sinks("sinks", std::vector<float>{});
  DeviceArray<uint16_t> pages("pages", pages_of_both);
  DeviceArray<int32_t> page_tables("page_tables", tables);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles);
  const AttentionKernelParams params{a.kv, 4, 5, 0, 0, 1.0f / std::sqrt(32.0f), 0};
  DeviceArray<int32_t> no_positions("positions", 0);
  run_attention({q, pages, page_tables, device_tiles, no_positions, sinks, y, none, none,
                 static_cast<int32_t>(tiles.size()), 1, false, nullptr, Units::kIsMatrix},
                params, 8);
  std::vector<float> expected = attend<Units>(a, 68, 2, false);
  const std::vector<float> of_b = attend<Units>(b, 6, 3, false);
  expected.insert(expected.end(), of_b.begin(), of_b.end());
  CHECK(y.values() == expected);
}
