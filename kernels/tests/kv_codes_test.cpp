// The way of keys and values into pages of codes, from 8 bit into fewer, and out as f16.
#include <doctest/doctest.h>

#include "backend/cpu/kv_codec.h"
#include "kernels/tests/codes_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

template <int kBits>
void check_round_trip(std::mt19937& rng) {
  CAPTURE(kBits);
  uint32_t bytes[8] = {}, words[kBits], levels[8];
  uint32_t codes[32];
  for (int32_t i = 0; i < 32; ++i) {
    codes[i] = static_cast<uint32_t>(rng()) % (1u << kBits);
    bytes[i / 4] |= codes[i] << 8 * (i % 4);
  }
  pack_codes<kBits>(bytes, words);
  for (int32_t i = 0; i < 32; ++i) {
    uint32_t found = 0;
    int32_t b = 0;
    for (const auto& [word, shift] : code_bits(kBits, i)) found |= (words[word] >> shift & 1) << b++;
    CHECK(found == codes[i]);
  }
  expand_codes<kBits>(words, levels);
  for (int32_t i = 0; i < 32; ++i) {
    const int8_t expected = kBits == 8 ? static_cast<int8_t>(codes[i]) : kv_levels(kBits)[codes[i]];
    CHECK(static_cast<int8_t>(levels[i / 4] >> 8 * (i % 4)) == expected);
  }
}

}  // namespace

TEST_CASE("gpu codes: 32 codes become words as described, and the levels of kv_levels.h again") {
  std::mt19937 rng(1);
  for (int repeat = 0; repeat < 20; ++repeat) {
    check_round_trip<2>(rng);
    check_round_trip<3>(rng);
    check_round_trip<4>(rng);
    check_round_trip<8>(rng);
  }
}

TEST_CASE("gpu codes: scales are the CPU's") {
  CHECK(level_unit<2>() == kv_unit(2));
  CHECK(level_unit<3>() == kv_unit(3));
  CHECK(level_unit<4>() == kv_unit(4));
  for (int code = 0; code < 256; ++code) {
    const float scale = scale_of(static_cast<uint32_t>(code));
    CHECK(scale == kv_scale(static_cast<uint8_t>(code)));
    for (const float factor : {0.9f, 1.0f, 1.05f, 1.0625f, 1.2f}) {
      CHECK(scale_code<false>(scale * factor) == kv_nearest_scale(scale * factor));
      CHECK(scale_code<true>(scale * factor) == kv_scale_above(scale * factor));
    }
  }
  for (const float x :
       {0.0f, -1.0f, 1e-30f, 1e30f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CHECK(scale_code<false>(x) == kv_nearest_scale(x));
    CHECK(scale_code<true>(x) == kv_scale_above(x));
  }
}

TEST_CASE("gpu codes: a page is packed with the error of the CPU's codes") {
  struct Shape {
    int32_t n_head_kv, dim_k, dim_v, k_bits, v_bits;
  };
  for (const Shape& s : {Shape{2, 64, 64, 4, 2}, Shape{1, 128, 128, 3, 4}, Shape{3, 80, 96, 2, 3},
                         Shape{1, 100, 36, 4, 8}, Shape{1, 576, 512, 8, 3}}) {
    CAPTURE(s.dim_k);
    CodesPages pages(s.n_head_kv, s.dim_k, s.dim_v, s.k_bits, s.v_bits, 3, 7, 0);
    std::mt19937 rng(5);
    std::normal_distribution<float> normal;
    const int32_t packed_pages[] = {2, 0};
    for (const int32_t page : packed_pages) {
      for (int32_t h = 0; h < s.n_head_kv; ++h) {
        for (const bool is_value : {false, true}) {
          CodesPart fresh = pages.part(page, kFreshForm, h, is_value);
          for (int32_t slot = 0; slot < kPage; ++slot) {
            // Of all sizes; the fourth is nothing at all.
            const float deviation = slot == 3 ? 0 : static_cast<float>(10 + rng() % 30);
            for (int32_t d = 0; d < fresh.dim(); ++d)
              fresh.set_code(slot, d,
                             static_cast<uint8_t>(static_cast<int8_t>(
                                 std::clamp(std::nearbyint(normal(rng) * deviation), -127.0f, 127.0f))));
            fresh.set_scale(slot, static_cast<uint8_t>(rng() % 200));
          }
        }
      }
    }
    const std::vector<uint32_t> before = pages.arena;
    DeviceArray<uint32_t> arena("arena", pages.arena, RegionKind::kValues);
    DeviceArray<int64_t> forms("forms", pages.forms);
    DeviceArray<int32_t> list("pages", std::vector<int32_t>(std::begin(packed_pages), std::end(packed_pages)));
    run_pack_pages(list, forms, arena, 2, pages.kv);
    pages.arena = arena.values();

    size_t n_other = 0, n_codes = 0;
    for (const int32_t page : packed_pages) {
      for (int32_t h = 0; h < s.n_head_kv; ++h) {
        for (const bool is_value : {false, true}) {
          const CodesPart fresh = pages.part(page, kFreshForm, h, is_value);
          const CodesPart packed = pages.part(page, kPackedForm, h, is_value);
          for (int32_t slot = 0; slot < kPage; ++slot) {
            std::vector<float> x;
            for (int32_t d = 0; d < fresh.dim(); ++d) x.push_back(static_cast<float>(fresh.value(slot, d)));
            KvEncoded expected;
            kv_encode(x.data(), fresh.dim(), packed.bits(), expected);
            if (packed.bits() == 8) {
              for (int32_t d = 0; d < fresh.dim(); ++d) REQUIRE(packed.value(slot, d) == fresh.value(slot, d));
              continue;
            }
            // Sums of the CPU are rounded, those here are integers: a code at a border may be its neighbour.
            double error = 0, expected_error = 0;
            for (int32_t d = 0; d < fresh.dim(); ++d) {
              const auto at = static_cast<size_t>(d);
              const int8_t level = kv_levels(packed.bits())[expected.codes[d]];
              error += std::pow(packed.value(slot, d) - x[at], 2);
              expected_error += std::pow(double{kv_scale(expected.scale)} * level - x[at], 2);
              n_other += packed.code(slot, d) != expected.codes[d];
              ++n_codes;
            }
            CHECK(error <= expected_error * 1.001 + 1e-12);
          }
        }
      }
    }
    CHECK(n_other * 500 <= n_codes);
    // The page that was not named, the other layer and the fresh form are as before.
    const CodesPart untouched = pages.part(1, kPackedForm, 0, false);
    CHECK(untouched.code(5, 5) == 0);
    size_t n_changed = 0;
    for (size_t i = 0; i < before.size(); ++i) n_changed += before[i] != pages.arena[i];
    const auto n_written =
        static_cast<size_t>(2 * s.n_head_kv * packed_head_words(s.dim_k, s.dim_v, s.k_bits, s.v_bits));
    CHECK(n_changed <= n_written);
    for (const int32_t page : packed_pages) {
      for (int32_t i = 0; i < pages.kv.packed_at; ++i)
        REQUIRE(pages.arena[static_cast<size_t>(pages.forms[static_cast<size_t>(page * kForms + kPackedForm)] + i)] ==
                0);
    }
  }
}

TEST_CASE("gpu codes: pages are read as f16 in any of their forms") {
  for (const int32_t bits : {2, 3, 4, 8}) {
    CAPTURE(bits);
    CodesPages pages(2, 100, 36, bits, bits, 2, 11, 0);
    std::mt19937 rng(3);
    for (uint32_t& word : pages.arena) word = static_cast<uint32_t>(rng());
    for (int32_t page = 0; page < 2; ++page) {
      for (const int32_t form : {kFreshForm, kPackedForm}) {
        for (int32_t h = 0; h < 2; ++h) {
          for (const bool is_value : {false, true}) {
            CodesPart part = pages.part(page, form, h, is_value);
            for (int32_t slot = 0; slot < kPage; ++slot) part.set_scale(slot, static_cast<uint8_t>(40 + rng() % 60));
          }
        }
      }
    }
    const std::vector<UnpackedPage> entries = {
        {1, kPackedForm, 2, kPage, 0}, {0, kFreshForm, 0, 41, 1}, {1, kFreshForm, 1, 7, 0}};
    const KvLayout result{2, 100, 36, 2 * kPage * 136, 0};
    DeviceArray<UnpackedPage> device_entries("entries", entries);
    DeviceArray<uint32_t> arena("arena", pages.arena);
    DeviceArray<int64_t> forms("forms", pages.forms);
    DeviceArray<uint16_t> halves("pages", static_cast<size_t>(3 * result.page_stride));
    run_unpack_pages(device_entries, forms, arena, halves, 3, pages.kv, result);
    const std::vector<uint16_t> found = halves.values();
    size_t n_written = 0;
    for (const UnpackedPage& entry : entries) {
      for (int32_t h = 0; h < 2; ++h) {
        for (const bool is_value : {false, true}) {
          const CodesPart part = pages.part(entry.page, entry.form, h, is_value);
          for (int32_t slot = 0; slot < entry.n_slots; ++slot) {
            for (int32_t d = 0; d < part.dim(); ++d, ++n_written) {
              const int64_t at =
                  (is_value ? value_at(result, entry.to, h, slot) : key_at(result, entry.to, h, slot)) + d;
              const uint16_t expected = entry.index == 0 && slot < kSinkPositions
                                            ? pages.sink(entry.page, h, slot, is_value, d)
                                            : float_to_half(static_cast<float>(part.value(slot, d)));
              REQUIRE(found[static_cast<size_t>(at)] == expected);
            }
          }
        }
      }
    }
    // What is beyond the slots of an entry is not written; some random f16 may be 0xffff as well.
    CHECK(static_cast<size_t>(std::count(found.begin(), found.end(), 0xffff)) >= found.size() - n_written);
  }
}

namespace {

struct RopeCase {
  int32_t dim_k, dim_v, n_pairs, offset;
  bool is_halves, has_means;
  int32_t n_groups;
};

/// One sequence's tokens into pages, by definition in f64.
void check_store(const RopeCase& c, int32_t n_tokens) {
  CAPTURE(c.dim_k);
  CAPTURE(n_tokens);
  const int32_t n_head = 4, n_head_kv = 2, first = 10;  // from a sink over the end of a page
  CodesPages pages(n_head_kv, c.dim_k, c.dim_v, 4, 2, 3, 21, 0xdeadbeef);
  const auto count = [](int32_t a, int32_t b, int32_t d) { return static_cast<size_t>(a * b * d); };
  const std::vector<float> q = random_f32(count(n_tokens, n_head, c.dim_k), 1);
  const std::vector<float> k = random_f32(count(n_tokens, n_head_kv, c.dim_k), 2);
  const std::vector<float> v = random_f32(count(n_tokens, n_head_kv, c.dim_v), 3);
  const size_t n_matrices = count(2 * c.n_groups, c.dim_k, c.dim_k) + count(2 * c.n_groups, c.dim_v, c.dim_v);
  std::vector<float> matrices = random_f32(n_matrices, 4);
  for (float& x : matrices) x *= 0.2f;
  const std::vector<float> means = random_f32(count(c.n_groups, 1, c.dim_k + c.dim_v), 5);
  const std::vector<float> turns = random_f32(count(first + n_tokens, 2, std::max(1, c.n_pairs)), 6);
  const int32_t table[] = {2, 0};
  std::vector<int32_t> positions, slots;
  for (int32_t t = 0; t < n_tokens; ++t) {
    positions.push_back(first + t);
    slots.push_back(table[(first + t) / kPage] * kPage + (first + t) % kPage);
  }

  DeviceArray<float> device_q("q", q, RegionKind::kValues), device_k("k", k), device_v("v", v);
  DeviceArray<float> device_turns("turns", turns), device_matrices("matrices", matrices), device_means("means", means);
  DeviceArray<int32_t> device_positions("positions", positions), device_slots("slots", slots);
  DeviceArray<int64_t> forms("forms", pages.forms);
  DeviceArray<uint32_t> arena("arena", pages.arena, RegionKind::kValues);
  const RopeCodesParams params{pages.kv,  n_head,   n_tokens,           c.n_groups, c.has_means ? 1 : 0,
                               c.n_pairs, c.offset, c.is_halves ? 1 : 0};
  run_rope_and_store_codes({device_q, device_k, device_v, device_turns, device_positions, device_slots, forms,
                            device_matrices, device_means, arena},
                           params);
  pages.arena = arena.values();
  const std::vector<float> found_q = device_q.values();

  /// kind: 0 queries, 1 keys, 2 values
  const auto expected = [&](const float* x, int32_t kind, int32_t t, int32_t head_kv) {
    const int32_t dim = kind == 2 ? c.dim_v : c.dim_k, group = head_kv * c.n_groups / n_head_kv;
    std::vector<double> turned(x, x + dim);
    for (int32_t pair = 0; kind < 2 && pair < c.n_pairs; ++pair) {
      const int32_t a = c.offset + (c.is_halves ? pair : 2 * pair), b = c.is_halves ? a + c.n_pairs : a + 1;
      const float* turn = turns.data() + 2 * ((first + t) * c.n_pairs + pair);
      turned[static_cast<size_t>(a)] = double{x[a]} * turn[0] - double{x[b]} * turn[1];
      turned[static_cast<size_t>(b)] = double{x[a]} * turn[1] + double{x[b]} * turn[0];
    }
    if (c.has_means && kind > 0) {
      const size_t at = count(kind == 1 ? group : c.n_groups, 1, c.dim_k) + count(kind == 2 ? group : 0, 1, c.dim_v);
      for (int32_t d = 0; d < dim; ++d) turned[static_cast<size_t>(d)] -= means[at + static_cast<size_t>(d)];
    }
    const size_t at = kind == 2 ? count(2 * c.n_groups, c.dim_k, c.dim_k) + count(group, dim, dim)
                                : count(kind * c.n_groups + group, dim, dim);
    std::vector<double> result(static_cast<size_t>(dim));
    for (int32_t column = 0; column < dim; ++column) {
      for (int32_t d = 0; d < dim; ++d)
        result[static_cast<size_t>(d)] +=
            turned[static_cast<size_t>(column)] * matrices[at + static_cast<size_t>(column * dim + d)];
    }
    return result;
  };
  // Sums of up to 576 products of magnitudes below 1, each rounded in f32.
  const double rounding = 576 * 0x1p-23;
  const auto check_stored = [&](const std::vector<double>& y, int32_t t, int32_t h, bool is_value) {
    const int32_t page = table[(first + t) / kPage], slot = (first + t) % kPage;
    const CodesPart part = pages.part(page, kFreshForm, h, is_value);
    double largest = 0;
    for (const double x : y) largest = std::max(largest, std::abs(x));
    const double scale = part.scale(slot);
    // The smallest scale with which 127 reaches the largest: scales are at most an eighth apart.
    CHECK(127 * scale >= largest - 2 * rounding);
    CHECK(127 * scale <= (largest + 2 * rounding) * 1.125);
    for (int32_t d = 0; d < part.dim(); ++d) {
      const double x = y[static_cast<size_t>(d)];
      if (std::abs(part.value(slot, d) - x) > 0.5 * scale + rounding)
        FAIL_CHECK("token ", t, " element ", d, ": ", part.value(slot, d), ", expected ", x);
      if (first + t < kSinkPositions)
        CHECK(std::abs(half_to_float(pages.sink(page, h, slot, is_value, d)) - x) <= std::abs(x) * 0x1p-11 + rounding);
    }
  };
  for (int32_t t = 0; t < n_tokens; ++t) {
    for (int32_t h = 0; h < n_head; ++h) {
      const size_t at = count(t * n_head + h, 1, c.dim_k);
      const std::vector<double> y = expected(q.data() + at, 0, t, h / 2);
      for (size_t d = 0; d < y.size(); ++d) CHECK(std::abs(found_q[at + d] - y[d]) <= rounding);
    }
    for (int32_t h = 0; h < n_head_kv; ++h) {
      check_stored(expected(k.data() + count(t * n_head_kv + h, 1, c.dim_k), 1, t, h), t, h, false);
      check_stored(expected(v.data() + count(t * n_head_kv + h, 1, c.dim_v), 2, t, h), t, h, true);
    }
  }
  // The position after the last, the packed form, and the other layer are as they were.
  const int32_t next = first + n_tokens;
  CHECK(pages.part(table[next / kPage], kFreshForm, 1, true).code(next % kPage, 3) == (0xdeadbeef >> 24));
  CHECK(pages.part(2, kPackedForm, 0, false).scale(0) == kv_scale(0xef));
  CHECK(pages.arena[static_cast<size_t>(pages.forms[2 * kForms])] == 0xdeadbeef);
}

}  // namespace

TEST_CASE("gpu codes: keys and values are turned, and stored in 8 bit, the first as f16 too") {
  check_store({64, 64, 32, 0, true, true, 2}, 60);
  check_store({128, 128, 64, 0, false, false, 1}, 3);
  check_store({80, 48, 20, 8, false, true, 1}, 9);  // a part of a head is rotated
  check_store({256, 256, 128, 0, true, false, 2}, 5);
  check_store({576, 512, 0, 0, false, false, 1}, 2);
  check_store({128, 96, 64, 0, true, true, 2}, 1);  // a token alone
  check_store({256, 136, 128, 0, false, true, 2}, 1);
}

TEST_CASE("gpu codes: sums of values are turned back") {
  for (const int32_t dim : {64, 100, 512}) {
    CAPTURE(dim);
    const int32_t n_head = 4, n_tokens = 5, n_groups = 2;
    const auto n = static_cast<size_t>(dim);
    const CodesLayout kv{2, 8, dim, 4, 4, 0, 0, 0};
    const std::vector<float> x = random_f32(n_tokens * n_head * n, 1);
    const std::vector<float> matrices = random_f32(2 * n_groups * (64 + n * n), 2);
    const std::vector<float> means = random_f32(n_groups * (8 + n), 3);
    for (const int32_t has_means : {0, 1}) {
      DeviceArray<float> y("y", x, RegionKind::kValues), device_matrices("matrices", matrices);
      DeviceArray<float> device_means("means", means);
      run_turn_back(y, device_matrices, device_means, {kv, n_head, n_tokens, n_groups, has_means, 0, 0, 0});
      const std::vector<float> found = y.values();
      for (size_t row = 0; row < n_tokens * n_head; ++row) {
        const size_t group = row % n_head / 2;
        const float* matrix = matrices.data() + 2 * n_groups * 64 + (n_groups + group) * n * n;
        for (size_t d = 0; d < n; ++d) {
          double expected = has_means != 0 ? means[n_groups * 8 + group * n + d] : 0.0f;
          for (size_t column = 0; column < n; ++column)
            expected += double{x[row * n + column]} * matrix[column * n + d];
          CHECK(std::abs(found[row * n + d] - expected) <= static_cast<double>(dim) * 0x1p-22);
        }
      }
    }
  }
}
