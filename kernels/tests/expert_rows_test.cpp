// Experts of many tokens on matrix units: the choices as rows of an image against a plain list, and the products
// against sums in double precision.
#include "kernels/portable/expert_rows.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/tests/expert_rows_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

ExpertProduct product_by(GemmUnits units) {
  return [units](DeviceType type, DeviceArray<std::byte>& weight, DeviceImage& image, DeviceArray<float>& bias,
                 DeviceRows& rows, DeviceArray<float>& y, const ExpertGemmParams& params, Schedule schedule) {
    run_experts_gemm(type, weight, image.words, image.scales, bias, rows, y, params, units, schedule);
  };
}

/// Every choice in one row of its expert, in order, and in one tile; no row in two.
void check_rows(const std::vector<int32_t>& choices, int32_t n_expert, int32_t tile_rows) {
  CAPTURE(n_expert);
  CAPTURE(choices.size());
  CAPTURE(tile_rows);
  DeviceRows arranged(choices, n_expert, tile_rows);
  const auto rows = arranged.rows.values(), tiles = arranged.tiles.values();
  std::vector<int32_t> expected(rows.size(), -1), last(static_cast<size_t>(n_expert), -1);
  std::vector<bool> is_in_tile(rows.size(), false);
  int32_t expert_before = 0;
  for (int32_t i = 0; i < arranged.n_tiles; ++i) {
    const int32_t* words = tiles.data() + 3 * i;
    const ExpertTile tile = {words[0], words[1], words[2]};
    REQUIRE(tile.expert >= expert_before);
    REQUIRE(tile.expert < n_expert);
    expert_before = tile.expert;
    REQUIRE(tile.n >= 0);
    REQUIRE(tile.n <= tile_rows);
    if (tile.n == 0) continue;
    REQUIRE(tile.first % 8 == 0);
    REQUIRE(tile.first + kMostExpertRows <= arranged.n_rows);
    int32_t& choice = last[static_cast<size_t>(tile.expert)];
    for (int32_t row = tile.first; row < tile.first + tile.n; ++row) {
      const auto next = std::find(choices.begin() + choice + 1, choices.end(), tile.expert);
      REQUIRE(next != choices.end());
      choice = static_cast<int32_t>(next - choices.begin());
      expected[static_cast<size_t>(row)] = choice;
      REQUIRE(!is_in_tile[static_cast<size_t>(row)]);
      is_in_tile[static_cast<size_t>(row)] = true;
    }
  }
  CHECK(rows == expected);
  for (int32_t e = 0; e < n_expert; ++e)
    CHECK(std::find(choices.begin() + last[static_cast<size_t>(e)] + 1, choices.end(), e) == choices.end());
}

}  // namespace

TEST_CASE("gpu arrange_choices: every choice has a row of its expert, in one tile") {
  check_rows({0}, 1, 64);
  check_rows({2}, 4, 64);
  check_rows(std::vector<int32_t>(40, 3), 5, 8);    // one expert for all, and more of its tiles than a warp writes
  check_rows(std::vector<int32_t>(2500, 1), 2, 8);  // more than all threads write
  check_rows(std::vector<int32_t>(300, 1023), kMaxExperts, 64);
  for (const int32_t tile_rows : {8, 64, 128}) {
    check_rows(uneven_choices(8, 2, 150, 1), 8, tile_rows);
    check_rows(uneven_choices(60, 6, 17, 2), 60, tile_rows);  // experts that nobody chose
    check_rows(uneven_choices(33, 4, 129, 3), 33, tile_rows);
  }
}

TEST_CASE("gpu halve_choices: rows of an image as halve_activations makes them, zeros where there is no choice") {
  const int32_t n_expert = 5, n_used = 2, n_cols = 160;
  const auto choices = uneven_choices(n_expert, n_used, 19, 4);
  auto x = random_f32(static_cast<size_t>(19 * n_cols), 5);
  for (int32_t i = 0; i < n_cols; ++i) x[static_cast<size_t>(3 * n_cols + i)] *= 1e20f;
  x[7 * n_cols + 5] = std::numeric_limits<float>::quiet_NaN();
  for (const int32_t shared_by : {n_used, 1}) {
    if (shared_by == 1) x = random_f32(choices.size() * n_cols, 6);
    DeviceRows rows(choices, n_expert, 64);
    DeviceRowsImage image(rows, x, n_cols, shared_by);
    const auto row_choices = rows.rows.values();
    std::vector<float> gathered;
    for (const int32_t choice : row_choices) {
      const auto from = x.begin() + std::max(choice, 0) / shared_by * n_cols;
      if (choice < 0) gathered.insert(gathered.end(), n_cols, 0.0f);
      if (choice >= 0) gathered.insert(gathered.end(), from, from + n_cols);
    }
    DeviceImage expected(gathered, n_cols);
    CHECK(image.words.values() == expected.words.values());
    const auto scales = image.scales.values(), expected_scales = expected.scales.values();
    for (size_t r = 0; r < row_choices.size(); ++r)
      if (row_choices[r] >= 0) CHECK(bits_of_float(scales[r]) == bits_of_float(expected_scales[r]));
  }

  // What gates let through, of choices that each have a row of their own.
  const auto gates = random_f32(choices.size() * n_cols, 8), others = random_f32(choices.size() * n_cols, 9);
  DeviceRows rows(choices, n_expert, 64);
  DeviceArray<float> x_gates("gates", gates), up("up", others), hidden("hidden", gates, RegionKind::kValues);
  run_gate(hidden, up, {static_cast<int32_t>(gates.size()), 0, kGateGeGlu});
  DeviceRowsImage expected(rows, hidden.values(), n_cols, 1);
  DeviceImage image(rows.n_rows, n_cols);
  run_halve_choices(x_gates, &up, rows, image.words, image.scales, {rows.n_rows, n_cols, 1, 1, kGateGeGlu});
  CHECK(image.words.values() == expected.words.values());
}

TEST_CASE("gpu experts_gemm: what every expert makes of its rows, of every type") {
  for_each_units([](GemmUnits units) {
    for_each_gemm_type(256, [&](TensorType type, bool is_wide) {
      ExpertCase layer{4, 2, uneven_choices(4, 2, 9, 7), random_matrix(type, 4 * 35, 256, /*seed=*/8),
                       random_f32(9 * 256, /*seed=*/9)};
      layer.is_wide = is_wide;
      layer.check(layer.multiply(product_by(units), 64, Schedule::kRandom));
    });
  });
}

namespace {

/// Q4_K, which is aligned, and Q5_0, whose rows begin anywhere.
ExpertCase layer_of(TensorType type, int32_t n_rows, int32_t n_cols, int32_t n_expert, int32_t n_used, int32_t n_tokens,
                    uint32_t seed) {
  return {n_expert, n_used, uneven_choices(n_expert, n_used, n_tokens, seed),
          random_matrix(type, n_expert * n_rows, n_cols, seed + 1),
          random_f32(static_cast<size_t>(n_tokens * n_cols), seed + 2)};
}

}  // namespace

TEST_CASE("gpu experts_gemm: rows, columns and choices that fill no tile, and both tiles with the same bits") {
  struct Shape {
    int32_t n_rows, n_cols, n_expert, n_used, n_tokens;
  };
  const std::vector<Shape> shapes = {{1, 256, 2, 1, 17},    {130, 1280, 5, 2, 70}, {200, 768, 3, 2, 300},
                                     {70, 1024, 60, 6, 90}, {129, 512, 2, 1, 513}, {64, 256, 256, 8, 100}};
  const std::vector<Shape> emulated = {{1, 256, 2, 1, 17}, {130, 768, 3, 2, 80}, {5, 256, 60, 4, 17}};
  uint32_t seed = 20;
  for (const Shape& shape : kIsEmulated ? emulated : shapes) {
    for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ5_0}) {
      CAPTURE(shape.n_rows);
      CAPTURE(shape.n_cols);
      CAPTURE(shape.n_expert);
      CAPTURE(std::string(tensor_type_traits(type).name));
      seed += 10;
      const ExpertCase layer =
          layer_of(type, shape.n_rows, shape.n_cols, shape.n_expert, shape.n_used, shape.n_tokens, seed);
      for_each_units([&](GemmUnits units) {
        const auto y = layer.multiply(product_by(units), 64, Schedule::kReverse);
        layer.check(y);
        if (units == kUnitsBest) CHECK(layer.multiply(product_by(units), 128) == y);
      });
    }
  }
}

TEST_CASE("gpu experts_gemm: the bits of a product without, whoever else is in the batch; the bias is the expert's") {
  for_each_units([](GemmUnits units) {
    ExpertCase layer = layer_of(TensorType::kQ4_K, 40, 512, 4, 2, 30, 50);
    const auto plain = layer.multiply(product_by(units), 64);
    for (const int32_t expert : {0, 2}) {
      const FileMatrix matrix = layer.matrix_of(expert);
      DeviceArray<std::byte> weight = device_bytes_of(matrix);
      DeviceImage image(layer.x, layer.n_cols());
      DeviceArray<float> y("y", static_cast<size_t>(image.n_tokens) * 40), no_bias("bias", std::vector<float>{});
      run_gemm(matrix.type, {{weight, no_bias, y}}, image.words, image.scales, {{40, 0, 0}, 16, image.n_tokens, 0},
               units);
      const auto all = y.values();
      for (size_t c = 0; c < layer.choices.size(); ++c) {
        if (layer.choices[c] != expert) continue;
        const auto own = plain.begin() + static_cast<std::ptrdiff_t>(c) * 40;
        CHECK(std::equal(own, own + 40, all.begin() + static_cast<std::ptrdiff_t>(c / 2) * 40));
      }
    }

    // The last ten tokens alone.
    ExpertCase part = layer;
    part.choices.erase(part.choices.begin(), part.choices.end() - 20);
    part.x.erase(part.x.begin(), part.x.end() - 10 * 512);
    const auto last = part.multiply(product_by(units), 64);
    CHECK(std::equal(last.begin(), last.end(), plain.end() - 20 * 40));

    layer.bias = random_f32(4 * 40, 53);
    const auto biased = layer.multiply(product_by(units), 64);
    for (size_t i = 0; i < plain.size(); ++i) {
      const float bias = layer.bias[static_cast<size_t>(layer.choices[i / 40]) * 40 + i % 40];
      // With the bias the end is one rounding, without it there is one before.
      if (!(std::abs(biased[i] - (plain[i] + bias)) <= 0x1p-23f * (std::abs(plain[i]) + std::abs(bias))))
        FAIL_CHECK("element ", i);
    }
  });
}

TEST_CASE("gpu experts_gemm: experts in slots, round by round, have the bits of experts that are all there") {
  for_each_units([](GemmUnits units) {
    const ExpertCase layer = layer_of(TensorType::kQ4_K, 24, 256, 5, 2, 20, 60);
    const auto expected = layer.multiply(product_by(units), 64);
    DeviceRows rows(layer.choices, 5, 64);
    DeviceRowsImage image(rows, layer.x, 256, 2);
    DeviceArray<float> y("y", expected.size()), no_bias("bias", std::vector<float>{});
    // Two slots: experts 3 and 0, then 1 and 2; nobody chose 4, which has no place.
    DeviceArray<int32_t> places("places", std::vector<int32_t>{1, 0, 0, 1, 1, 1, 0, 0, -1, -1});
    rows.places = &places;
    const int32_t residents[2][2] = {{3, 0}, {1, 2}};
    for (int32_t round = 0; round < 2; ++round) {
      FileMatrix slots = layer.matrix_of(residents[round][0]);
      const FileMatrix second = layer.matrix_of(residents[round][1]);
      slots.bytes.insert(slots.bytes.end(), second.bytes.begin(), second.bytes.end());
      DeviceArray<std::byte> weight = device_bytes_of(slots);
      run_experts_gemm(TensorType::kQ4_K, weight, image.words, image.scales, no_bias, rows, y,
                       {{24, 8, rows.n_rows, 0}, 1, round}, units);
    }
    CHECK(y.values() == expected);
  });
}
