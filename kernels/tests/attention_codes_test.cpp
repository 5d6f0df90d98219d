// Attention over pages of codes against the textbook softmax in double precision over what the codes stand for, with
// the rule of which form a query reads.
#include <doctest/doctest.h>

#include "backend/gpu/unpacked_plan.h"
#include "backend/kv_format.h"
#include "kernels/portable/attention_tiles.h"
#include "kernels/tests/attention_data.h"
#include "kernels/tests/codes_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

static_assert(kSinkPositions == kKvSinks && kPage == kKvPageSize);

struct CodesSequence {
  AttentionCase shape;
  std::vector<float> q, sinks;
  std::vector<int32_t> page_table;
  CodesPages pages;
};

/// Pages of random codes in all their forms. What is behind the last token is NaN.
CodesSequence make_codes(const AttentionCase& c, int32_t k_bits, int32_t v_bits, int32_t n_tokens, uint32_t seed) {
  const int32_t n_pages = (n_tokens + kPage - 1) / kPage;
  CodesSequence s{c,
                  random_f32(static_cast<size_t>(n_tokens * c.n_head * c.dim_k), seed),
                  {},
                  {},
                  CodesPages(c.n_head_kv, c.dim_k, c.dim_v, k_bits, v_bits, n_pages + 1, seed, 0)};
  for (float& x : s.q) x *= 4;
  if (c.has_sinks) s.sinks = random_f32(static_cast<size_t>(c.n_head), seed + 3);
  s.page_table.resize(static_cast<size_t>(n_pages));
  std::iota(s.page_table.begin(), s.page_table.end(), 1);
  std::mt19937 rng(seed);
  std::shuffle(s.page_table.begin(), s.page_table.end(), rng);
  for (uint32_t& word : s.pages.arena) word = static_cast<uint32_t>(rng());
  std::normal_distribution<float> normal;
  for (int32_t page = 0; page <= n_pages; ++page) {
    for (int32_t h = 0; h < c.n_head_kv; ++h) {
      for (const bool is_value : {false, true}) {
        for (const int32_t form : {kFreshForm, kPackedForm}) {
          CodesPart part = s.pages.part(page, form, h, is_value);
          // Levels of a deviation of 30 to 74 in units of 1/64 to 1/32.
          for (int32_t slot = 0; slot < kPage; ++slot) part.set_scale(slot, static_cast<uint8_t>(112 + rng() % 8));
        }
        const int32_t dim = is_value ? c.dim_v : c.dim_k;
        for (int32_t slot = 0; slot < kSinkPositions; ++slot) {
          for (int32_t d = 0; d < dim; ++d) s.pages.set_sink(page, h, slot, is_value, d, normal(rng));
        }
      }
    }
  }
  const int32_t last_page = s.page_table.back();
  for (int32_t slot = (n_tokens - 1) % kPage + 1; slot < kPage; ++slot) {
    for (int32_t h = 0; h < c.n_head_kv; ++h) {
      for (const bool is_value : {false, true}) {
        CodesPart part = s.pages.part(last_page, kFreshForm, h, is_value);
        part.set_scale_bits(slot, 0x7fc00000u);
        if (n_pages > 1 || slot >= kSinkPositions) continue;
        for (int32_t d = 0; d < part.dim(); ++d)
          s.pages.set_sink(last_page, h, slot, is_value, d, std::numeric_limits<float>::quiet_NaN());
      }
    }
  }
  return s;
}

/// What the token at position t reads at position p.
double read(CodesSequence& s, int32_t t, int32_t p, int32_t head_kv, bool is_value, int32_t d) {
  const int32_t page = s.page_table[static_cast<size_t>(p / kPage)];
  if (p < kKvSinks) return half_to_float(s.pages.sink(page, head_kv, p, is_value, d));
  const int32_t form = t / kPage - p / kPage <= kKvRecentPages ? kFreshForm : kPackedForm;
  return s.pages.part(page, form, head_kv, is_value).value(p % kPage, d);
}

/// Position by position in f64. Products with codes take a query's head as signed bytes, unless it is exact, those with
/// sinks as it is.
std::vector<double> reference(CodesSequence& s, int32_t t, bool is_exact = false) {
  const AttentionCase& c = s.shape;
  std::vector<double> y;
  for (int32_t h = 0; h < c.n_head; ++h) {
    const int32_t h_kv = h / (c.n_head / c.n_head_kv);
    const float* q = s.q.data() + index(t, h, c.n_head, 0, c.dim_k);
    float largest = 0;
    for (int32_t d = 0; d < c.dim_k; ++d) largest = std::max(largest, std::fabs(q[d]));
    std::vector<double> scores;
    const int32_t first = c.n_window > 0 ? std::max(0, t - c.n_window + 1) : 0;
    for (int32_t p = first; p <= t; ++p) {
      double score = 0;
      for (int32_t d = 0; d < c.dim_k; ++d) {
        const double code = std::nearbyint(q[d] * (127.0f / largest)) * (double{largest} / 127);
        score += (p < kKvSinks || is_exact ? double{q[d]} : code) * read(s, t, p, h_kv, false, d);
      }
      score /= std::sqrt(static_cast<double>(c.dim_k));
      scores.push_back(c.softcap > 0 ? c.softcap * std::tanh(score / c.softcap) : score);
    }
    append_means(y, scores, c.has_sinks ? &s.sinks[static_cast<size_t>(h)] : nullptr, c.dim_v,
                 [&](size_t i, int32_t d) { return read(s, t, first + static_cast<int32_t>(i), h_kv, true, d); });
  }
  return y;
}

/// A way out of the rotation, as matrix_at and mean_at find it. What is for keys and the way in is not there to be
/// read.
struct WayBack {
  std::vector<float> matrices, means;
  int32_t n_groups = 1, has_means = 0;

  size_t matrices_before(const AttentionCase& c) const {
    return static_cast<size_t>(n_groups * (2 * c.dim_k * c.dim_k + c.dim_v * c.dim_v));
  }
};

WayBack no_turn(const AttentionCase& c) {
  WayBack back;
  const size_t before = back.matrices_before(c), dim = static_cast<size_t>(c.dim_v);
  back.matrices.resize(before + dim * dim, 0.0f);
  for (size_t d = 0; d < dim; ++d) back.matrices[before + d * dim + d] = 1;
  return back;
}

/// The tokens `first` to first + n - 1, as one batch; in tiles that end with a page.
std::vector<float> attend(CodesSequence& s, int32_t first, int32_t n, CodesUnits units,
                          Schedule schedule = Schedule::kInOrder, const WayBack* turned = nullptr) {
  const AttentionCase& c = s.shape;
  const WayBack back = turned != nullptr ? *turned : no_turn(c);
  std::vector<AttentionTile> tiles;
  append_page_tiles(tiles, 0, n, first, 0, c.n_head / c.n_head_kv, rows_of(units));
  std::vector<int32_t> positions(static_cast<size_t>(n));
  std::iota(positions.begin(), positions.end(), first);
  const auto width = static_cast<int64_t>(c.n_head * c.dim_k);
  const std::vector<float> q_part(s.q.begin() + first * width, s.q.begin() + (first + n) * width);
  const int32_t n_spans = (first + n - 1) / kCodesSpan + 1;
  const auto n_rows = static_cast<size_t>(n * c.n_head), n_partial = static_cast<size_t>(n_spans) * n_rows;
  DeviceArray<float> q("q", q_part), sinks("sinks", s.sinks), y("y", n_rows * static_cast<size_t>(c.dim_v));
  DeviceArray<uint32_t> arena("arena", s.pages.arena);
  DeviceArray<int64_t> forms("forms", s.pages.forms);
  DeviceArray<int32_t> page_table("page_table", s.page_table), device_positions("positions", positions);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles);
  DeviceArray<float> partial("partial", n_partial * static_cast<size_t>(c.dim_v)), states("states", n_partial * 2);
  const AttentionKernelParams params{
      {c.n_head_kv, c.dim_k, c.dim_v, 0, 0},         c.n_head, n, c.n_window, c.has_sinks,
      1.0f / std::sqrt(static_cast<float>(c.dim_k)), c.softcap};
  DeviceArray<float> matrices("matrices", back.matrices), means("means", back.means);
  run_attention_codes({q, arena, forms, page_table, device_tiles, device_positions, sinks, matrices, means, y, partial,
                       states, static_cast<int32_t>(tiles.size()), n_spans},
                      {s.pages.kv, c.n_head, n, back.n_groups, back.has_means, 0, 0, 0}, params, units, schedule);
  return y.values();
}

void check_case(const AttentionCase& c, int32_t k_bits, int32_t v_bits, int32_t n_tokens, uint32_t seed) {
  CAPTURE(c.dim_k);
  CAPTURE(k_bits);
  CAPTURE(v_bits);
  CodesSequence s = make_codes(c, k_bits, v_bits, n_tokens, seed);
  for (const int32_t t : {0, 15, 16, 63, 64, 191, 255, 256, 340}) {
    if (t >= n_tokens) break;
    CAPTURE(t);
    const std::vector<float> y = attend(s, t, 1, CodesUnits::kAny);
    CHECK(attend(s, t, 1, CodesUnits::kMatrix) == y);
    CHECK(attend(s, t, 1, CodesUnits::kMatrix16) == y);
    const std::vector<double> expected = reference(s, t);
    REQUIRE(y.size() == expected.size());
    for (size_t i = 0; i < y.size(); ++i) {
      // As in attention_test.cpp, and each of the 64 weights of a page is off by half of 1 / 32767 of the largest,
      // times values below 4.
      if (!(std::abs(y[i] - expected[i]) <= 2e-4 + 64 * 0.5 / 32767 * 4))
        FAIL_CHECK("element ", i, ": ", y[i], ", expected ", expected[i]);
    }
  }
}

}  // namespace

TEST_CASE("gpu codes attention: equals the textbook softmax for every width and way of sharing heads") {
  check_case({8, 2, 64, 64}, 4, 2, 341, 1);
  check_case({8, 2, 64, 64}, 3, 3, 193, 2);
  check_case({4, 4, 32, 64}, 2, 4, 193, 3);
  check_case({8, 1, 128, 128}, 8, 4, 193, 4);
  check_case({24, 1, 64, 32}, 3, 2, 193, 5);   // all share one: more than a tile has rows
  check_case({6, 2, 100, 84}, 4, 3, 257, 6);   // dimensions that fill nothing
  check_case({2, 1, 256, 256}, 4, 2, 193, 7);  // two dimensions to a thread
  check_case({9, 1, 576, 512}, 2, 8, 193, 8);  // latent attention
}

TEST_CASE("gpu codes attention: windows, soft caps and sinks follow their definitions") {
  check_case({4, 2, 64, 64, /*n_window=*/1}, 4, 2, 66, 7);
  check_case({4, 2, 64, 64, /*n_window=*/48}, 4, 2, 341, 8);
  check_case({4, 2, 64, 64, /*n_window=*/300, 0, true}, 3, 2, 341, 9);
  check_case({4, 2, 64, 64, 0, /*softcap=*/2.5f}, 4, 3, 66, 10);
  check_case({4, 2, 64, 64, 0, 0, /*has_sinks=*/true}, 2, 2, 341, 11);
}

TEST_CASE("gpu codes attention: bits do not depend on chunks, neighbours or the order of blocks") {
  // The first token of a tile sees all of a page, the second all but its first position.
  for (const AttentionCase& c : {AttentionCase{4, 2, 32, 32}, AttentionCase{4, 1, 96, 96, /*n_window=*/65, 0, true}}) {
    CodesSequence s = make_codes(c, 4, 3, 330, 13);
    const auto width = static_cast<int64_t>(c.n_head * c.dim_v);
    // Over the end of a page, and of a span.
    const int32_t first = 250, n = 16;
    const std::vector<float> all = attend(s, first, n, CodesUnits::kAny);
    for (const CodesUnits units : {CodesUnits::kAny, CodesUnits::kMatrix, CodesUnits::kMatrix16}) {
      CHECK(attend(s, first, n, units, Schedule::kRandom) == all);
      for (const int32_t t : {250, 255, 256, 265}) {
        const std::vector<float> alone = attend(s, t, 1, units, Schedule::kReverse);
        CHECK(std::equal(alone.begin(), alone.end(), all.begin() + (t - first) * width));
      }
      const std::vector<float> three = attend(s, 254, 3, units);
      CHECK(std::equal(three.begin(), three.end(), all.begin() + 4 * width));
    }
  }
}

TEST_CASE("gpu codes attention: merging and turning back have the bits of both alone") {
  for (const AttentionCase& c : {AttentionCase{4, 2, 32, 48}, AttentionCase{4, 4, 32, 132}}) {
    CodesSequence s = make_codes(c, 4, 2, 330, 29);
    const int32_t first = 320, n = 3;
    WayBack back;
    back.n_groups = 2;
    const size_t n_all = back.matrices_before(c) + static_cast<size_t>(2 * c.dim_v * c.dim_v);
    back.matrices = random_f32(n_all, 31);
    back.means = random_f32(static_cast<size_t>(2 * (c.dim_k + c.dim_v)), 32);
    for (const int32_t has_means : {0, 1}) {
      back.has_means = has_means;
      DeviceArray<float> alone("y", attend(s, first, n, CodesUnits::kMatrix), RegionKind::kValues);
      DeviceArray<float> matrices("matrices", back.matrices), means("means", back.means);
      run_turn_back(alone, matrices, means, {s.pages.kv, c.n_head, n, back.n_groups, has_means, 0, 0, 0});
      CHECK(attend(s, first, n, CodesUnits::kMatrix, Schedule::kRandom, &back) == alone.values());
    }
  }
}

TEST_CASE("gpu codes attention: what is no number is seen by those who look there, and by no other") {
  for (const CodesUnits units : {CodesUnits::kAny, CodesUnits::kMatrix, CodesUnits::kMatrix16}) {
    CodesSequence s = make_codes({2, 1, 32, 32}, 4, 2, 100, 17);
    s.pages.set_sink(s.page_table[0], 0, 2, false, 0, std::numeric_limits<float>::quiet_NaN());
    for (const float x : attend(s, 98, 2, units)) CHECK(!std::isfinite(x));
    s.shape.n_window = 60;
    for (const float x : attend(s, 98, 2, units)) CHECK(std::isfinite(x));
  }
}

TEST_CASE("gpu codes attention: many tokens read unpacked pages, each token the forms that it would alone") {
  for (const AttentionCase& c : {AttentionCase{4, 2, 32, 48}, AttentionCase{3, 1, 32, 32, /*n_window=*/100}}) {
    const int32_t first = 170, n = 160;  // of pages 2 to 5
    CodesSequence s = make_codes(c, 3, 2, first + n, 23);
    const std::vector<SequenceRun> runs = {{s.page_table, first, n}};
    const UnpackedPlan plan = plan_unpacked(runs, c.n_head / c.n_head_kv, tile_rows(8), c.n_window);
    const KvLayout halves{c.n_head_kv, c.dim_k, c.dim_v, int64_t{kPage} * c.n_head_kv * (c.dim_k + c.dim_v), 0};
    DeviceArray<UnpackedPage> entries("entries", plan.pages);
    DeviceArray<uint32_t> arena("arena", s.pages.arena);
    DeviceArray<int64_t> forms("forms", s.pages.forms);
    DeviceArray<uint16_t> pages("pages", plan.pages.size() * static_cast<size_t>(halves.page_stride));
    run_unpack_pages(entries, forms, arena, pages, static_cast<int32_t>(plan.pages.size()), s.pages.kv, halves);

    const auto width = static_cast<int64_t>(c.n_head * c.dim_k);
    const std::vector<float> q_part(s.q.begin() + first * width, s.q.end());
    DeviceArray<float> q("q", q_part), sinks("sinks", s.sinks), y("y", static_cast<size_t>(n * c.n_head * c.dim_v));
    DeviceArray<float> none("none", 0);
    DeviceArray<int32_t> page_tables("page_tables", plan.page_tables), no_positions("positions", 0);
    DeviceArray<AttentionTile> tiles("tiles", plan.tiles);
    const AttentionKernelParams params{
        halves, c.n_head, n, c.n_window, 0, 1.0f / std::sqrt(static_cast<float>(c.dim_k)), 0};
    run_attention({q, pages, page_tables, tiles, no_positions, sinks, y, none, none,
                   static_cast<int32_t>(plan.tiles.size()), 1, false},
                  params, 8);
    const std::vector<float> found = y.values();
    for (const int32_t t : {170, 191, 192, 255, 256, 329}) {
      const std::vector<double> expected = reference(s, t, /*is_exact=*/true);
      for (size_t i = 0; i < expected.size(); ++i) {
        // Keys below 4 as f16 change a score by less than 32 * 4 * 4 * 2^-12 / sqrt(32), a weight by twice as much of
        // itself in the worst case.
        const double got = found[static_cast<size_t>((t - first) * c.n_head * c.dim_v) + i];
        if (!(std::abs(got - expected[i]) <= 0.05)) FAIL_CHECK("token ", t, ": ", got, ", expected ", expected[i]);
      }
    }
  }
}

TEST_CASE(
    "gpu codes attention: a plan unpacks a page once for each form, whoever shares it, and every row is in a tile") {
  const std::vector<int32_t> a = {5, 3, 8, 1}, b = {5, 3, 7};  // the first two pages are common
  const std::vector<SequenceRun> runs = {{a, 100, 150}, {b, 140, 30}};
  const UnpackedPlan plan = plan_unpacked(runs, 3, 8, 0);
  std::vector<std::pair<int32_t, int32_t>> unpacked;
  for (const UnpackedPage& page : plan.pages) {
    CHECK(plan.pages[static_cast<size_t>(page.to)].page == page.page);
    unpacked.push_back({page.page, page.form});
  }
  std::sort(unpacked.begin(), unpacked.end());
  CHECK(std::adjacent_find(unpacked.begin(), unpacked.end()) == unpacked.end());
  std::vector<int> n_seen(180 * 3);
  for (const AttentionTile& tile : plan.tiles) {
    const SequenceRun& run = tile.first_token < 150 ? runs[0] : runs[1];
    const int32_t first = tile.first_position, last = first + tile.n_tokens - 1;
    CHECK(first == run.n_past + tile.first_token - (tile.first_token < 150 ? 0 : 150));
    CHECK(first / kPage == last / kPage);
    for (int32_t p = 0; p <= first / kPage; ++p) {
      const auto at = static_cast<size_t>(plan.page_tables[static_cast<size_t>(tile.page_table + p)]);
      const UnpackedPage& page = plan.pages.at(at);
      CHECK(page.page == run.page_table[static_cast<size_t>(p)]);
      CHECK(page.form == (first / kPage - p <= 1 ? kFreshForm : kPackedForm));
      CHECK(page.index == p);
      CHECK(page.n_slots > std::min(kPage - 1, last - p * kPage));
    }
    for (int32_t t = 0; t < tile.n_tokens; ++t) {
      for (int32_t h = 0; h < tile.n_heads; ++h)
        ++n_seen[static_cast<size_t>((tile.first_token + t) * 3 + tile.first_head + h)];
    }
  }
  CHECK(std::all_of(n_seen.begin(), n_seen.end(), [](int n) { return n == 1; }));
}
