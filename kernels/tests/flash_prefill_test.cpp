// Flash attention of many tokens on matrix units, emulated or real: the instructions by their definitions, the kernel
// against the textbook softmax, and its independence from tiles and chunks.
#include "kernels/cuda/flash_prefill.h"

#include <doctest/doctest.h>

#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/flash_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

/// The tokens `first` to first + n - 1 of a sequence, as one pass.
std::vector<float> attend(const Sequence& s, int32_t first, int32_t n, Schedule schedule = Schedule::kInOrder) {
  const AttentionCase& c = s.shape;
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, n, first, 0, c.n_head / c.n_head_kv, kPrefillRows);
  const auto width = static_cast<int64_t>(c.n_head * c.dim_k);
  DeviceArray<float> q("q", std::vector<float>(s.q.begin() + first * width, s.q.begin() + (first + n) * width));
  DeviceArray<float> sinks("sinks", s.sinks), y("y", static_cast<size_t>(n * c.n_head * c.dim_v));
  DeviceArray<uint16_t> pages("pages", s.pages);
  DeviceArray<int32_t> page_table("page_table", s.page_table);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles);
  const AttentionKernelParams params{
      s.kv, c.n_head, n, c.n_window, c.has_sinks, 1.0f / std::sqrt(static_cast<float>(c.dim_k)), c.softcap};
  run_flash(q, pages, page_table, device_tiles, sinks, y, static_cast<int32_t>(tiles.size()), params, schedule);
  return y.values();
}

/// A whole prompt in one pass, some of its tokens checked.
void check_case(const AttentionCase& c, int32_t n_tokens, uint32_t seed) {
  const Sequence s = make_sequence(c, n_tokens, seed);
  const std::vector<float> y = attend(s, 0, n_tokens, Schedule::kRandom);
  for (int32_t t = 0; t < n_tokens; t += t < n_tokens - 9 ? 7 : 1)
    check_token(s, t, &y[index(t, 0, c.n_head, 0, c.dim_v)]);
}

}  // namespace

#ifndef OUTPOST_ON_GPU  // a device has them, and does not look into them

TEST_CASE("gpu flash_prefill: the f16 instructions follow their definitions") {
  std::vector<uint16_t> halves;
  for (const float x : random_f32(16 * 16 + 16 * 8, 1)) halves.push_back(float_to_half(x));
  DeviceArray<uint16_t> input("input", halves);
  DeviceArray<float> sums("sums", 16 * 8);
  emulator::launch({{1}, 32, Schedule::kRandom, 1}, [&] {
    GPU_SHARED(uint16_t, a, 16 * 16);  // [row, k]
    GPU_SHARED(uint16_t, b, 16 * 8);   // [k, column]
    const Here here = GPU_HERE;
    const DevicePtr<const uint16_t> given = input;
    for (int32_t i = here.lane; i < 16 * 16; i += 32) a[i] = given[i];
    for (int32_t i = here.lane; i < 16 * 8; i += 32) b[i] = given[16 * 16 + i];
    block_barrier();
    const Words4 of_a = load_matrices<false>(a + matrix_row<false>(here.lane, 16));
    // Two matrices of B, one below the other; the other two lanes' halves repeat them.
    const Words4 of_b = load_matrices<true>(b + here.lane % 16 * 8);
    float sum[4] = {1, 2, 3, 4};
    mma_f16(sum, of_a, of_b.x, of_b.y);
    for (int32_t i = 0; i < 4; ++i)
      sums.pointer()[(here.lane / 4 + i / 2 * 8) * 8 + 2 * (here.lane % 4) + i % 2] = sum[i] - float(i + 1);
  });
  const auto value = [&](size_t i) { return double{half_to_float(halves[i])}; };
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      double expected = 0;
      for (size_t k = 0; k < 16; ++k) expected += value(row * 16 + k) * value(16 * 16 + k * 8 + column);
      CHECK(std::abs(sums.values()[row * 8 + column] - expected) <= 0x1p-20);
    }
  }
}

#endif

TEST_CASE("gpu flash_prefill: equals the textbook softmax for every way of sharing heads") {
  check_case({2, 2, 64, 64}, 131, 1);  // a KV head for each query head
  check_case({8, 2, 64, 64}, 70, 2);   // four share one
  check_case({24, 1, 64, 64}, 20, 3);  // all share one: rows that fill no tile
  check_case({3, 1, 128, 128}, 70, 4);
}

TEST_CASE("gpu flash_prefill: every dimension of a head that it has") {
  check_case({2, 1, 80, 80}, 67, 5);
  check_case({2, 1, 96, 96}, 66, 6);
  check_case({1, 1, 256, 256}, 66, 7);
}

TEST_CASE("gpu flash_latent: equals the textbook softmax for keys of 576 numbers and values of 512") {
  check_case({16, 1, 576, 512}, 17, 20);  // four tokens to a tile
  check_case({3, 1, 576, 512}, 70, 21);   // whose heads fill no tile
  check_case({2, 1, 576, 512, /*n_window=*/40, /*softcap=*/30, /*has_sinks=*/true}, 101, 22);
}

TEST_CASE("gpu flash_prefill: windows, soft caps and sinks follow their definitions") {
  check_case({2, 1, 64, 64, /*n_window=*/1}, 66, 8);
  check_case({2, 1, 64, 64, /*n_window=*/48}, 201, 9);
  check_case({2, 1, 64, 64, /*n_window=*/100, 0, true}, 201, 10);
  check_case({2, 1, 64, 64, 0, /*softcap=*/2.5f}, 66, 11);
  check_case({2, 1, 64, 64, 0, 0, /*has_sinks=*/true}, 66, 12);
  check_case({4, 1, 64, 64, 33, 30, true}, 101, 13);
}

TEST_CASE("gpu flash_prefill: bits do not depend on chunks, tiles or the order of blocks") {
  for (const AttentionCase& c : {AttentionCase{4, 1, 64, 64}, AttentionCase{4, 2, 64, 64, /*n_window=*/40, 0, true},
                                 AttentionCase{1, 1, 576, 512, /*n_window=*/40, 0, true}}) {
    const int32_t n_tokens = 150;
    const Sequence s = make_sequence(c, n_tokens, 14);
    const auto width = static_cast<int64_t>(c.n_head * c.dim_v);
    const std::vector<float> all = attend(s, 0, n_tokens, Schedule::kReverse);
    struct Chunk {
      int32_t first, n;
    };
    for (const Chunk& chunk : {Chunk{0, 17}, Chunk{33, 40}, Chunk{60, 21}, Chunk{95, 1}, Chunk{149, 1}}) {
      CAPTURE(chunk.first);
      const std::vector<float> part = attend(s, chunk.first, chunk.n);
      CHECK(std::equal(part.begin(), part.end(), all.begin() + chunk.first * width));
    }
  }
}

TEST_CASE("gpu flash_prefill: a value that a token does not see cannot spoil it, whoever shares its tile") {
  for (const AttentionCase& c : {AttentionCase{2, 1, 64, 64}, AttentionCase{2, 1, 576, 512}}) {
    Sequence s = make_sequence(c, 40, 15);
    const int32_t width = c.n_head * c.dim_v;
    const std::vector<float> clean = attend(s, 0, 40);
    const auto value = static_cast<size_t>(value_at(s.kv, s.page_table[0], 0, 30));
    for (int32_t d = 0; d < c.dim_v; ++d) s.pages[value + static_cast<size_t>(d)] = 0x7c00;
    s.pages[static_cast<size_t>(key_at(s.kv, s.page_table[0], 0, 35) + 3)] = 0x7e00;
    const std::vector<float> y = attend(s, 0, 40);
    const auto at = [&](int32_t token, int32_t d) { return y[static_cast<size_t>(token * width + d)]; };
    CHECK(std::equal(clean.begin(), clean.begin() + 30 * width, y.begin()));
    CHECK(!std::isfinite(at(30, 0)));  // the token at the infinity sees it, and those after it
    CHECK(std::isnan(at(39, width - 1)));
  }
}

TEST_CASE("gpu flash_prefill: two sequences of one pass do not touch each other") {
  const AttentionCase c{2, 1, 64, 64};
  const Sequence a = make_sequence(c, 70, 16), b = make_sequence(c, 9, 17);
  std::vector<uint16_t> pages_of_both = a.pages;
  pages_of_both.insert(pages_of_both.end(), b.pages.begin(), b.pages.end());
  std::vector<int32_t> tables = a.page_table;
  for (const int32_t page : b.page_table)
    tables.push_back(page + static_cast<int32_t>(static_cast<int64_t>(a.pages.size()) / a.kv.page_stride));
  std::vector<float> q_of_both(a.q.begin() + 60 * 128, a.q.end());
  q_of_both.insert(q_of_both.end(), b.q.begin(), b.q.end());
  std::vector<AttentionTile> tiles;
  append_tiles(tiles, 0, 10, 60, 0, 2, kPrefillRows);
  append_tiles(tiles, 10, 9, 0, static_cast<int32_t>(a.page_table.size()), 2, kPrefillRows);

  DeviceArray<float> q("q", q_of_both), y("y", 19 * 128), sinks("sinks", std::vector<float>{});
  DeviceArray<uint16_t> pages("pages", pages_of_both);
  DeviceArray<int32_t> page_tables("page_tables", tables);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles);
  const AttentionKernelParams params{a.kv, 2, 19, 0, 0, 0.125f, 0};
  run_flash(q, pages, page_tables, device_tiles, sinks, y, static_cast<int32_t>(tiles.size()), params);
  std::vector<float> expected = attend(a, 60, 10);
  const std::vector<float> of_b = attend(b, 0, 9);
  expected.insert(expected.end(), of_b.begin(), of_b.end());
  CHECK(y.values() == expected);
}
