// Attention of many tokens on Metal's matrix units against the textbook softmax, and its independence from tiles and
// chunks.
#include <doctest/doctest.h>

#include <initializer_list>
#include <limits>

#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/flash_data.h"
#include "kernels/tests/simdgroup_operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

/// Queries of n_tokens tokens over the pages and page tables of `s`, as one pass.
std::vector<float> attend(const Sequence& s, const std::vector<float>& q, const std::vector<AttentionTile>& tiles,
                          int32_t n_tokens, Schedule schedule) {
  const AttentionCase& c = s.shape;
  DeviceArray<float> device_q("q", q), sinks("sinks", s.sinks),
      y("y", static_cast<size_t>(n_tokens * c.n_head * c.dim_v));
  DeviceArray<uint16_t> pages("pages", s.pages);
  DeviceArray<int32_t> page_table("page_table", s.page_table);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles);
  const AttentionKernelParams params{
      s.kv, c.n_head, n_tokens, c.n_window, c.has_sinks, 1.0f / std::sqrt(static_cast<float>(c.dim_k)), c.softcap};
  run_flash_simdgroup(device_q, pages, page_table, device_tiles, sinks, y, static_cast<int32_t>(tiles.size()), params,
                      schedule);
  return y.values();
}

/// The tokens `first` to first + n - 1 of a sequence, as one pass.
std::vector<float> attend(const Sequence& s, int32_t first, int32_t n, Schedule schedule = Schedule::kInOrder) {
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, n, first, 0, s.shape.n_head / s.shape.n_head_kv, simdgroup_tile_rows());
  const auto width = static_cast<int64_t>(s.shape.n_head * s.shape.dim_k);
  return attend(s, std::vector<float>(s.q.begin() + first * width, s.q.begin() + (first + n) * width), tiles, n,
                schedule);
}

/// The tokens from `first` on, some of them checked.
void check_case(const AttentionCase& c, int32_t n_tokens, uint32_t seed, int32_t first = 0) {
  const Sequence s = make_sequence(c, n_tokens, seed);
  const std::vector<float> y = attend(s, first, n_tokens - first, Schedule::kRandom);
  for (int32_t t = first; t < n_tokens; t += t < n_tokens - 9 ? 7 : 1)
    check_token(s, t, &y[index(t - first, 0, c.n_head, 0, c.dim_v)]);
}

}  // namespace

TEST_CASE("gpu flash_simdgroup: equals the textbook softmax for every way of sharing heads") {
  check_case({2, 2, 64, 64}, 131, 1);  // a KV head for each query head
  check_case({8, 2, 64, 64}, 70, 2);   // four share one
  check_case({24, 1, 64, 64}, 20, 3);  // all share one: rows that fill no tile
  check_case({40, 1, 64, 64}, 18, 4);  // more than a tile has rows
  check_case({3, 1, 128, 128}, 70, 5);
}

TEST_CASE("gpu flash_simdgroup: every dimension of a head that it has") {
  check_case({2, 1, 80, 80}, 67, 6);
  check_case({2, 1, 96, 96}, 66, 7);
  check_case({1, 1, 256, 256}, 70, 8, 50);
}

TEST_CASE("gpu flash_simdgroup: windows, soft caps and sinks follow their definitions") {
  check_case({2, 1, 64, 64, /*n_window=*/1}, 66, 9);
  check_case({2, 1, 64, 64, /*n_window=*/48}, 201, 10, 110);
  check_case({2, 1, 64, 64, /*n_window=*/100, 0, true}, 201, 11, 110);
  check_case({2, 1, 64, 64, 0, /*softcap=*/2.5f}, 66, 12);
  check_case({2, 1, 64, 64, 0, 0, /*has_sinks=*/true}, 66, 13);
  check_case({4, 1, 64, 64, 33, 30, true}, 101, 14, 40);
}

TEST_CASE("gpu flash_simdgroup: bits do not depend on chunks, tiles or the order of blocks") {
  struct Chunk {
    int32_t first, n;
  };
  const auto check = [](const AttentionCase& c, int32_t n_tokens, std::initializer_list<Chunk> chunks) {
    const Sequence s = make_sequence(c, n_tokens, 15);
    const auto width = static_cast<int64_t>(c.n_head * c.dim_v);
    const std::vector<float> all = attend(s, 0, n_tokens, Schedule::kReverse);
    for (const Chunk& chunk : chunks) {
      CAPTURE(chunk.first);
      const std::vector<float> part = attend(s, chunk.first, chunk.n);
      CHECK(std::equal(part.begin(), part.end(), all.begin() + chunk.first * width));
    }
  };
  check({4, 1, 64, 64}, 150, {{0, 17}, {33, 40}, {60, 21}, {149, 1}});
  check({4, 2, 64, 64, /*n_window=*/40, 0, true}, 150, {{0, 17}, {33, 40}, {60, 21}, {149, 1}});
  check({1, 1, 256, 256, /*n_window=*/30}, 75, {{0, 18}, {60, 15}});
}

TEST_CASE("gpu flash_simdgroup: a value that a token does not see cannot spoil it, whoever shares its tile") {
  const AttentionCase c{2, 1, 64, 64};
  Sequence s = make_sequence(c, 40, 16);
  const std::vector<float> clean = attend(s, 0, 40);
  for (int32_t d = 0; d < 64; ++d) s.pages[static_cast<size_t>(value_at(s.kv, s.page_table[0], 0, 30) + d)] = 0x7c00;
  s.pages[static_cast<size_t>(key_at(s.kv, s.page_table[0], 0, 35) + 3)] = 0x7e00;
  const std::vector<float> y = attend(s, 0, 40);
  CHECK(std::equal(clean.begin(), clean.begin() + 30 * 128, y.begin()));
  CHECK(!std::isfinite(y[30 * 128]));  // the token at the infinity sees it, and those after it
  CHECK(std::isnan(y[39 * 128 + 127]));
}

TEST_CASE("gpu flash_simdgroup: a query that is not a number spoils its own row alone") {
  const AttentionCase c{2, 1, 64, 64};
  Sequence s = make_sequence(c, 70, 17);
  const std::vector<float> clean = attend(s, 0, 70);
  s.q[20 * 128 + 64 + 5] = std::numeric_limits<float>::quiet_NaN();  // head 1 of token 20
  const std::vector<float> y = attend(s, 0, 70);
  for (size_t i = 0; i < y.size(); ++i) {
    if (i / 64 == 41 ? !std::isnan(y[i]) : y[i] != clean[i]) FAIL_CHECK("element ", i);
  }
}

TEST_CASE("gpu flash_simdgroup: two sequences of one pass do not touch each other") {
  const AttentionCase c{2, 1, 64, 64};
  const Sequence a = make_sequence(c, 70, 18), b = make_sequence(c, 9, 19);
  Sequence both = a;
  both.pages.insert(both.pages.end(), b.pages.begin(), b.pages.end());
  for (const int32_t page : b.page_table)
    both.page_table.push_back(page + static_cast<int32_t>(static_cast<int64_t>(a.pages.size()) / a.kv.page_stride));
  std::vector<float> q(a.q.begin() + 60 * 128, a.q.end());
  q.insert(q.end(), b.q.begin(), b.q.end());
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, 10, 60, 0, 2, simdgroup_tile_rows());
  append_tiles(tiles, 10, 9, 0, static_cast<int32_t>(a.page_table.size()), 2, simdgroup_tile_rows());
  std::vector<float> expected = attend(a, 60, 10);
  const std::vector<float> of_b = attend(b, 0, 9);
  expected.insert(expected.end(), of_b.begin(), of_b.end());
  CHECK(attend(both, q, tiles, 19, Schedule::kInOrder) == expected);
}
