// Rotation, storing and attention in one launch, against the two launches that it takes the place of: the same bits, in
// the result and in the pages. What is read before another block has written it, or while it may, the emulator finds.
#include "kernels/portable/rope_attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "core/half.h"
#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

struct Shape {
  int32_t n_head, n_head_kv, dim_k, dim_v;
  int32_t n_pairs, offset = 0, is_halves = 0;
  int32_t n_window = 0;
  float softcap = 0;
  bool has_sinks = false;
};

/// Tokens of one sequence in a pass.
struct Run {
  int32_t n_past, n_tokens;
  int32_t n_shared_pages = 0;  ///< that are the first ones of the pass's first sequence
};

/// One pass, and a cache with what came before it. Where a position has not been computed yet its page holds NaN.
struct Pass {
  Shape shape;
  int32_t n_tokens = 0, n_splits = 1;
  KvLayout kv;
  std::vector<float> q, k, v, turns, sinks;
  std::vector<int32_t> positions, slots, page_tables;
  std::vector<uint16_t> pages;
  std::vector<Run> runs;
  std::vector<int32_t> first_pages;  ///< of runs, in page_tables

  Pass(const Shape& s, const std::vector<Run>& all_runs, uint32_t seed) : shape(s), runs(all_runs) {
    const int64_t layer = int64_t{kPage} * s.n_head_kv * (s.dim_k + s.dim_v);
    kv = {s.n_head_kv, s.dim_k, s.dim_v, 2 * layer, layer};  // the second of two layers
    int32_t n_pages = 0, last_position = 0;
    for (const Run& run : runs) {
      const auto table = static_cast<int32_t>(page_tables.size());
      first_pages.push_back(table);
      const int32_t end = run.n_past + run.n_tokens;
      for (int32_t p = 0; p * kPage < end; ++p)
        page_tables.push_back(p < run.n_shared_pages ? page_tables[static_cast<size_t>(p)] : n_pages++);
      for (int32_t position = run.n_past; position < end; ++position) {
        positions.push_back(position);
        slots.push_back(page_tables[static_cast<size_t>(table + position / kPage)] * kPage + position % kPage);
      }
      n_tokens += run.n_tokens;
      last_position = std::max(last_position, end - 1);
    }
    while (n_splits * kKvSplit <= last_position) n_splits *= 2;  // as the backend has them

    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto numbers = [&](int32_t n, float scale) {
      std::vector<float> values(static_cast<size_t>(n));
      for (float& x : values) x = scale * normal(random);
      return values;
    };
    q = numbers(n_tokens * s.n_head * s.dim_k, 2);
    k = numbers(n_tokens * s.n_head_kv * s.dim_k, 1);
    v = numbers(n_tokens * s.n_head_kv * s.dim_v, 1);
    if (s.has_sinks) sinks = numbers(s.n_head, 1);
    for (int32_t position = 0; position <= last_position; ++position) {
      for (int32_t pair = 0; pair < s.n_pairs; ++pair) {
        const double angle = position * std::pow(1e4, -1.0 * pair / s.n_pairs);
        turns.push_back(static_cast<float>(1.25 * std::cos(angle)));
        turns.push_back(static_cast<float>(1.25 * std::sin(angle)));
      }
    }
    for (const float x : numbers(static_cast<int32_t>(n_pages * kv.page_stride), 1)) pages.push_back(float_to_half(x));
    forget_new();
  }

  std::vector<AttentionTile> tiles(int32_t n_rows) const {
    std::vector<AttentionTile> result;
    int32_t first_token = 0;
    for (size_t i = 0; i < runs.size(); ++i) {
      append_tiles(result, first_token, runs[i].n_tokens, runs[i].n_past, first_pages[i],
                   shape.n_head / shape.n_head_kv, n_rows);
      first_token += runs[i].n_tokens;
    }
    return result;
  }

  AttentionKernelParams attention() const {
    return {kv,
            shape.n_head,
            n_tokens,
            shape.n_window,
            shape.has_sinks ? 1 : 0,
            1.0f / std::sqrt(static_cast<float>(shape.dim_k)),
            shape.softcap};
  }

 private:
  void forget_new() {
    size_t table = 0;
    for (const Run& run : runs) {
      const auto n = static_cast<size_t>((run.n_past + run.n_tokens + kPage - 1) / kPage);
      for (int32_t position = run.n_past; position < static_cast<int32_t>(n) * kPage; ++position) {
        const int32_t page = page_tables[table + static_cast<size_t>(position / kPage)];
        for (int32_t h = 0; h < shape.n_head_kv; ++h) {
          for (int32_t d = 0; d < shape.dim_k; ++d)
            pages[static_cast<size_t>(key_at(kv, page, h, position % kPage) + d)] = 0x7e00;
          for (int32_t d = 0; d < shape.dim_v; ++d)
            pages[static_cast<size_t>(value_at(kv, page, h, position % kPage) + d)] = 0x7e00;
        }
      }
      table += n;
    }
  }
};

struct Result {
  std::vector<float> y;
  std::vector<uint16_t> pages;
  std::vector<uint32_t> codes;
};

/// @param is_fused in one launch, rather than in two
Result compute(const Pass& pass, bool is_on_units, bool is_fused, bool is_split, bool has_codes, Schedule schedule,
               int32_t n_tile_rows = 8) {
  const Shape& s = pass.shape;
  const std::vector<AttentionTile> pass_tiles = pass.tiles(n_tile_rows);
  const auto n_rows = static_cast<size_t>(pass.n_tokens * s.n_head), n_y = n_rows * static_cast<size_t>(s.dim_v);
  const size_t n_partial = is_split ? static_cast<size_t>(pass.n_splits) * n_rows : 0;
  DeviceArray<float> q("q", pass.q, RegionKind::kValues), k("k", pass.k), v("v", pass.v), turns("turns", pass.turns);
  DeviceArray<float> sinks("sinks", pass.sinks), y("y", n_y), states("states", n_partial * 2);
  DeviceArray<float> partial("partial", n_partial * static_cast<size_t>(s.dim_v));
  DeviceArray<int32_t> positions("positions", pass.positions), slots("slots", pass.slots);
  DeviceArray<int32_t> page_tables("page_tables", pass.page_tables);
  DeviceArray<AttentionTile> tiles("tiles", pass_tiles);
  DeviceArray<uint16_t> pages("pages", pass.pages, RegionKind::kValues);
  DeviceActivations codes(has_codes ? static_cast<int32_t>(n_y / 32) : 0);
  const DeviceAttention arrays{q,
                               pages,
                               page_tables,
                               tiles,
                               positions,
                               sinks,
                               y,
                               partial,
                               states,
                               static_cast<int32_t>(pass_tiles.size()),
                               pass.n_splits,
                               is_split,
                               has_codes ? &codes : nullptr,
                               is_on_units};
  if (is_fused) {
    run_rope_and_attention(arrays, {k, v, turns}, {pass.attention(), s.n_pairs, s.offset, s.is_halves}, n_tile_rows,
                           schedule);
    CHECK(q.values() == pass.q);
  } else {
    run_rope_and_store_kv(q, k, v, turns, positions, slots, pages, pass.n_tokens,
                          {pass.kv, s.n_head, s.n_pairs, s.offset, s.is_halves});
    run_attention(arrays, pass.attention(), n_tile_rows, schedule);
  }
  return {y.values(), pages.values(), codes.codes.values()};
}

void check_pass_on(bool is_on_units, const Pass& pass) {
  CAPTURE(is_on_units);
  const Shape& shape = pass.shape;
  const bool has_codes = shape.dim_v % 8 == 0 && shape.n_head * shape.dim_v % 32 == 0;
  const Result expected = compute(pass, is_on_units, false, false, false, Schedule::kInOrder);
  for (const float x : expected.y) REQUIRE(std::isfinite(x));
  REQUIRE(expected.pages != pass.pages);
  Schedule schedule = Schedule::kRandom;
  for (const bool is_split : {false, true}) {
    CAPTURE(is_split);
    const Result fused = compute(pass, is_on_units, true, is_split, is_split && has_codes, schedule);
    CHECK(fused.y == expected.y);
    CHECK(fused.pages == expected.pages);
    if (is_split && has_codes) CHECK(fused.codes == compute(pass, is_on_units, false, true, true, schedule).codes);
    schedule = Schedule::kReverse;
  }
  const int32_t most_rows = is_on_units ? most_rows_on_units(shape.dim_k, shape.dim_v) : 8;
  for (int32_t n_rows = 16; n_rows <= most_rows; n_rows *= 2) {
    CAPTURE(n_rows);
    const Result larger = compute(pass, is_on_units, true, true, false, schedule, n_rows);
    CHECK(larger.y == expected.y);
    CHECK(larger.pages == expected.pages);
  }
}

void check_pass(const Shape& shape, const std::vector<Run>& runs) {
  CAPTURE(shape.n_head);
  CAPTURE(shape.n_head_kv);
  CAPTURE(shape.dim_k);
  CAPTURE(shape.n_window);
  CAPTURE(runs[0].n_past);
  CAPTURE(runs[0].n_tokens);
  static uint32_t seed = 0;
  const Pass pass(shape, runs, ++seed);
  check_pass_on(false, pass);
  if (can_be_on_units(shape.dim_k, shape.dim_v)) check_pass_on(true, pass);
}

}  // namespace

TEST_CASE("gpu rope and attention: one launch has the bits of two, for every way of sharing heads and of rotating") {
  const Shape shapes[] = {
      {4, 4, 64, 64, 32},                      // a KV head for each query head; neighbours are pairs
      {8, 2, 64, 64, 32, 0, 1},                // four share one; halves are
      {24, 1, 64, 32, 32, 0, 1},               // all share one: more than a tile has rows, and one tile writes
      {6, 2, 100, 84, 23, 4, 1},               // three; dimensions that fill nothing, a part of them rotated
      {6, 2, 104, 88, 23, 4, 1},               //
      {6, 3, 36, 44, 7, 9, 0},                 // an odd offset
      {6, 3, 40, 48, 7, 9, 0},                 //
      {2, 1, 128, 128, 64, 0, 0},              //
      {4, 2, 32, 32, 0},                       // nothing is rotated
      {2, 1, 256, 256, 128, 0, 1},             //
      {4, 1, 160, 96, 64, 32, 0, 40, 0, true}  //
  };
  for (const Shape& shape : shapes) {
    check_pass(shape, {{0, 1}});
    check_pass(shape, {{70, 1}});
    check_pass(shape, {{61, 5}});  // over the end of a split and of a page
    check_pass(shape, {{3, 11}});
  }
}

TEST_CASE("gpu rope and attention: 1 to 16 tokens, wherever splits and pages end") {
  const Shape shape{8, 2, 32, 32, 16, 0, 1};
  for (int32_t n = 1; n <= 16; ++n) check_pass(shape, {{120 + n / 2, n}});
  for (const int32_t n_past : {0, 47, 48, 49, 63, 64, 127, 128, 250}) {
    check_pass(shape, {{n_past, 1}});
    check_pass(shape, {{n_past, 16}});
  }
}

TEST_CASE("gpu rope and attention: windows, soft caps and sinks") {
  for (const int32_t n_window : {1, 2, 9, 48, 64, 300}) {
    check_pass({4, 2, 32, 32, 16, 0, 0, n_window}, {{60, 16}});
    check_pass({4, 2, 32, 32, 16, 0, 0, n_window, 2.5f, true}, {{200, 3}});
    check_pass({4, 1, 32, 32, 16, 0, 1, n_window, 0, true}, {{128, 1}});
  }
  check_pass({4, 2, 32, 32, 16, 0, 0, 0, 2.5f}, {{126, 7}});
  check_pass({4, 2, 32, 32, 16, 0, 0, 0, 0, true}, {{126, 7}});
}

TEST_CASE("gpu rope and attention: several sequences in a pass, which share what came before") {
  const Shape shape{4, 2, 32, 32, 16, 0, 1};
  check_pass(shape, {{5, 1}, {130, 1}, {0, 3}, {63, 2}});
  check_pass(shape, {{130, 4}, {70, 3, 1}, {128, 1, 2}, {127, 2, 1}});
  check_pass(shape, {{64, 1}, {64, 1, 1}, {64, 8, 1}, {65, 6, 1}});
  check_pass({24, 1, 64, 64, 32, 0, 1, 50}, {{130, 5}, {66, 5, 1}, {3, 6}});
}
