// Levels, scales, rotations and the packing of codes, against their definitions and the figures of the literature.
#include "backend/cpu/kv_codec.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "backend/backend.h"
#include "backend/kv_rotation.h"
#include "core/strings.h"
#include "kernels/common/kv_levels.h"

using namespace outpost;

namespace {

double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846); }
double cumulative(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

/// Cell borders of ascending levels: the middles between them.
std::vector<double> borders_of(const std::vector<double>& levels) {
  std::vector<double> borders{-40};
  for (size_t i = 0; i + 1 < levels.size(); ++i) borders.push_back((levels[i] + levels[i + 1]) / 2);
  borders.push_back(40);
  return borders;
}

/// Mean square error of N(0, 1) rounded to the nearest level, in closed form.
double error_of(const std::vector<double>& levels) {
  const auto borders = borders_of(levels);
  double error = 1;
  for (size_t i = 0; i < levels.size(); ++i) {
    const double probability = cumulative(borders[i + 1]) - cumulative(borders[i]);
    const double mean = density(borders[i]) - density(borders[i + 1]);
    error += levels[i] * levels[i] * probability - 2 * levels[i] * mean;
  }
  return error;
}

/// Levels of least error, by Lloyd's iteration: each moves to the mean of its cell until none does.
std::vector<double> lloyd_max(int bits) {
  const int n = 1 << bits;
  std::vector<double> levels;
  for (int i = 0; i < n; ++i) levels.push_back(-3 + 6 * (i + 0.5) / n);
  for (double moved = 1; moved > 1e-12;) {
    moved = 0;
    const auto borders = borders_of(levels);
    for (size_t i = 0; i < levels.size(); ++i) {
      const double probability = cumulative(borders[i + 1]) - cumulative(borders[i]);
      const double mean = (density(borders[i]) - density(borders[i + 1])) / probability;
      moved = std::max(moved, std::fabs(mean - levels[i]));
      levels[i] = mean;
    }
  }
  return levels;
}

std::vector<float> normal(int32_t n, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(0, deviation);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = distribution(random);
  return x;
}

double relative_error(const std::vector<float>& x, const KvEncoded& encoded, int bits) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const int level = bits == 8 ? static_cast<int8_t>(encoded.codes[i]) : kv_levels(bits)[encoded.codes[i]];
    const double difference = double{kv_scale(encoded.scale)} * level - double{x[i]};
    error += difference * difference;
    energy += double{x[i]} * double{x[i]};
  }
  return error / energy;
}

}  // namespace

TEST_CASE("the levels are those of Lloyd and Max for a normal distribution") {
  // Max 1960, table I, for 4, 8 and 16 levels: errors 0.1175, 0.03454 and 0.009497, levels to four digits.
  CHECK(error_of(lloyd_max(2)) == doctest::Approx(0.1175).epsilon(5e-4));
  CHECK(error_of(lloyd_max(3)) == doctest::Approx(0.03454).epsilon(5e-4));
  CHECK(error_of(lloyd_max(4)) == doctest::Approx(0.009497).epsilon(5e-4));
  CHECK(lloyd_max(2)[2] == doctest::Approx(0.4528).epsilon(2e-4));
  CHECK(lloyd_max(3)[7] == doctest::Approx(2.152).epsilon(2e-4));
  CHECK(lloyd_max(4)[15] == doctest::Approx(2.733).epsilon(2e-4));
  for (const int bits : {2, 3, 4}) {
    CAPTURE(bits);
    const auto exact = lloyd_max(bits);
    std::vector<double> rounded;
    for (int i = 0; i < 1 << bits; ++i) {
      rounded.push_back(double{kv_unit(bits)} * kv_levels(bits)[i]);
      CHECK(rounded.back() == doctest::Approx(exact[static_cast<size_t>(i)]).epsilon(0.06));
      CHECK(kv_levels(bits)[i] == -kv_levels(bits)[(1 << bits) - 1 - i]);
    }
    CHECK(error_of(rounded) < error_of(exact) * 1.0023);
  }
}

TEST_CASE("the code of a scale is the nearest, or the first above") {
  for (int code = 0; code < 256; ++code) {
    const float scale = kv_scale(static_cast<uint8_t>(code));
    CHECK(kv_nearest_scale(scale) == code);
    CHECK(kv_scale_above(scale) == code);
    if (code < 255) {
      CHECK(kv_scale(static_cast<uint8_t>(code + 1)) / scale <= 1.1251f);
      CHECK(kv_scale_above(std::nextafter(scale, 1e9f)) == code + 1);
    }
  }
  for (const float bad : {0.0f, -1.0f, NAN, 1e-30f}) CHECK(kv_nearest_scale(bad) == 0);
  for (const float large : {1e9f, INFINITY}) CHECK(kv_scale_above(large) == 255);
}

TEST_CASE("normal vectors are encoded with the error of the theory") {
  // A scale of 8 bits and of the vector itself: within 5 % of what a known deviation gives, at 128 dimensions mostly
  // below it, because the scale fits the very vector.
  for (const auto& [bits, error] : {std::pair{2, 0.1175}, std::pair{3, 0.03454}, std::pair{4, 0.009497}}) {
    CAPTURE(bits);
    double sum = 0;
    KvEncoded encoded;
    for (uint32_t seed = 0; seed < 500; ++seed) {
      const auto x = normal(128, seed, std::exp2(static_cast<float>(seed % 20) - 10));
      kv_encode(x.data(), 128, bits, encoded);
      sum += relative_error(x, encoded, bits) / 500;
    }
    CHECK(sum < error * 1.03);
    CHECK(sum > error * 0.9);
  }
}

TEST_CASE("8 bit is off by half a step at most") {
  KvEncoded encoded;
  for (const int32_t n : {1, 16, 80, 128, 576}) {
    const auto x = normal(n, static_cast<uint32_t>(n));
    kv_encode8(x.data(), n, encoded);
    for (int32_t i = 0; i < n; ++i) {
      const float step = kv_scale(encoded.scale);
      CHECK(std::fabs(step * static_cast<int8_t>(encoded.codes[i]) - x[static_cast<size_t>(i)]) <= step * 0.5001f);
    }
  }
}

TEST_CASE("what is no number is encoded all the same") {
  KvEncoded encoded;
  for (const float bad : {NAN, INFINITY, -INFINITY, 0.0f, 1e38f, -1e-38f}) {
    for (const int bits : {2, 3, 4, 8}) {
      std::vector<float> x(64, bad);
      kv_encode(x.data(), 64, bits, encoded);
      for (int i = 0; i < 64 && bits < 8; ++i) CHECK(encoded.codes[i] < 1 << bits);
    }
  }
}

TEST_CASE("packed codes come out as they went in") {
  std::mt19937 random(1);
  for (const int bits : {2, 3, 4}) {
    std::vector<uint8_t> codes(kKvBlockCodes);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random() % (1u << bits));
    std::vector<uint8_t> block(kv_block_bytes(bits) + 1, 0xAA);
    kv_pack_block(codes.data(), bits, block.data());
    CHECK(block.back() == 0xAA);
    for (int32_t i = 0; i < kKvBlockCodes; ++i)
      CHECK(kv_unpack(block.data(), bits, i) == codes[static_cast<size_t>(i)]);
  }
}

TEST_CASE("every code of a page has a place of its own") {
  for (const int32_t n : {16, 64, 80, 576}) {
    std::vector<int> n_keys(static_cast<size_t>((n + 7) / 8 * kKvBlockCodes)),
        n_values(static_cast<size_t>((n + 15) / 16 * 2 * kKvBlockCodes));
    for (int32_t p = 0; p < kKvPageSize; ++p) {
      for (int32_t d = 0; d < n; ++d) {
        const KvPlace key = kv_key_place(p, d), value = kv_value_place(p, d);
        ++n_keys.at(static_cast<size_t>(key.block * kKvBlockCodes + key.i));
        ++n_values.at(static_cast<size_t>(value.block * kKvBlockCodes + value.i));
      }
    }
    CHECK(*std::max_element(n_keys.begin(), n_keys.end()) == 1);
    CHECK(*std::max_element(n_values.begin(), n_values.end()) == 1);
  }
}

TEST_CASE("a rotation as a matrix does what it does as itself") {
  for (const int32_t n : {4, 64, 80, 576}) {
    CAPTURE(n);
    const KvRotation rotation(n);
    const auto x = normal(n, 9);
    using Way = KvRotation::Way;
    for (const Way way : {Way::kForward, Way::kQueries, Way::kBack}) {
      auto expected = x;
      way == Way::kForward   ? rotation.apply(expected.data())
      : way == Way::kQueries ? rotation.apply_to_query(expected.data())
                             : rotation.undo(expected.data());
      const std::vector<float> columns = rotation.columns(way);
      for (size_t i = 0; i < x.size(); ++i) {
        double sum = 0;
        for (size_t column = 0; column < x.size(); ++column) sum += double{columns[column * x.size() + i]} * x[column];
        CHECK(std::fabs(sum - expected[i]) <= 1e-5);
      }
    }
  }
}

TEST_CASE("a rotation keeps lengths, spreads a single dimension, and can be undone") {
  for (const int32_t n : {1, 2, 16, 20, 64, 80, 96, 128, 192, 256, 512, 576}) {
    CAPTURE(n);
    const KvRotation rotation(n);
    const auto x = normal(n, 7);
    auto y = x;
    rotation.apply(y.data());
    double x_sq = 0, y_sq = 0;
    for (int32_t i = 0; i < n; ++i) {
      x_sq += double{x[static_cast<size_t>(i)]} * x[static_cast<size_t>(i)];
      y_sq += double{y[static_cast<size_t>(i)]} * y[static_cast<size_t>(i)];
    }
    CHECK(y_sq == doctest::Approx(x_sq).epsilon(1e-5));
    rotation.undo(y.data());
    for (int32_t i = 0; i < n; ++i)
      CHECK(y[static_cast<size_t>(i)] == doctest::Approx(x[static_cast<size_t>(i)]).epsilon(1e-4));

    std::vector<float> spike(static_cast<size_t>(n), 0.0f);
    spike[static_cast<size_t>(n / 2)] = 1;
    rotation.apply(spike.data());
    // Elements of the Hartley matrix reach sqrt(2 / m), those of the Hadamard matrix 1 / sqrt(2^a).
    for (const float v : spike) CHECK(std::fabs(v) <= std::sqrt(2.0 / n) * 1.0001);
  }
}

TEST_CASE("compact takes at most 3.13 bits with its scales, and max 2.35, for every size of a head and every depth") {
  const auto bits_of = [](KvPreset preset, int32_t n_layer, int32_t n) {
    double n_bits = 0;
    for (const KvBits& bits : kv_format(preset, n_layer).layers) {
      n_bits += 8.0 * static_cast<double>(kv_key_bytes(n, bits.k) + kv_value_bytes(n, bits.v));
    }
    return n_bits / (2.0 * n * kKvPageSize * n_layer);
  };
  for (const int32_t n : {64, 80, 96, 128, 256}) {
    CAPTURE(n);
    for (int32_t n_layer = 1; n_layer <= 128; ++n_layer) {
      CAPTURE(n_layer);
      CHECK(bits_of(KvPreset::kCompact, n_layer, n) <= 3.13);
      if (n_layer > 4) CHECK(bits_of(KvPreset::kMax, n_layer, n) <= 2.35);
    }
  }
}

TEST_CASE("presets give a layer its bits by the third of the depth that it lies in") {
  const auto names = [](KvPreset preset, int32_t n_layer) {
    std::string text;
    for (const KvBits& bits : kv_format(preset, n_layer).layers)
      text += concat(text.empty() ? "" : " ", "k", bits.k, "v", bits.v);
    return text;
  };
  CHECK(names(KvPreset::kCompact, 8) == "k3v2 k3v2 k3v2 k4v3 k4v3 k4v3 k4v2 k4v2");
  CHECK(names(KvPreset::kCompact, 4) == "k3v2 k3v2 k4v3 k4v3");
  CHECK(names(KvPreset::kCompact, 1) == "k3v2");
  CHECK(names(KvPreset::kMax, 5) == "k2v2 k2v2 k3v2 k3v2 k2v2");
  CHECK(names(KvPreset::kSafe, 3) == "k8v4 k8v4 k8v4");
  CHECK(names(KvPreset::kExact, 3) == "k16v16 k16v16 k16v16");
}

TEST_CASE("a format can have other bits for some layers, and says what is wrong with them") {
  const auto parsed = [](const char* name) { return parse_kv_format(name, 4).layers; };
  CHECK(parsed("k4v2/0-1:k3v2/3-3:safe") == std::vector<KvBits>{{3, 2}, {3, 2}, {4, 2}, {8, 4}});
  CHECK(parsed("compact/2-3:k2v2") == std::vector<KvBits>{{3, 2}, {3, 2}, {2, 2}, {2, 2}});
  for (const char* name :
       {"k4v2/", "k4v2/0", "k4v2/0-1", "k4v2/0-1:", "k4v2/2-1:k3v2", "k4v2/0-4:k3v2", "k4v2/-1-0:k3v2", "k4v2/0-1:k5v2",
        "/0-1:k3v2", "q4_0/0-1:k3v2", "k4v2/0-1:q4_0", "k4v2/0-99999999999:k3v2"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(parsed(name), EngineError);
  }
}
