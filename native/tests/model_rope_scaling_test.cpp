#include "model/rope_scaling.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "tests/support/gguf_writer.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// Numbers under "llama.rope.scaling.", and what a reader makes of them for a context of 4096.
RopeScaling scaling_of(const std::string& type, const std::vector<std::pair<std::string, float>>& floats,
                       uint32_t n_ctx_original = 0) {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  if (!type.empty()) writer.add_string("llama.rope.scaling.type", type);
  for (const auto& [name, value] : floats) writer.add_float("llama.rope.scaling." + name, value);
  if (n_ctx_original > 0) writer.add_uint32("llama.rope.scaling.original_context_length", n_ctx_original);
  const std::string bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "PATH");
  return read_rope_scaling(ModelKeys(file), 4096);
}

}  // namespace

TEST_CASE("without scaling frequencies are powers of the base") {
  const std::vector<double> frequencies = rope_frequencies(8, 10000.0, scaling_of("", {}));
  REQUIRE(frequencies.size() == 4);
  for (int i = 0; i < 4; ++i)
    CHECK(frequencies[static_cast<size_t>(i)] == doctest::Approx(std::pow(10.0, -i)).epsilon(1e-12));
}

TEST_CASE("linear scaling divides every frequency and leaves the magnitude") {
  const RopeScaling scaling = scaling_of("linear", {{"factor", 8.0f}});
  CHECK(scaling.magnitude == 1.0f);
  const auto plain = rope_frequencies(64, 1e6, RopeScaling{}), scaled = rope_frequencies(64, 1e6, scaling);
  for (size_t i = 0; i < plain.size(); ++i) CHECK(scaled[i] == doctest::Approx(plain[i] / 8).epsilon(1e-12));
}

TEST_CASE("YaRN keeps what turns often, interpolates what turns less than once, and warms the scores") {
  // The paper's bounds (arXiv:2309.00071, section 3.2) count turns over the original context: r = L / wavelength.
  const int32_t n_rot = 128, n_ctx_original = 4096;
  const double base = 10000.0, factor = 16.0;
  const RopeScaling scaling = scaling_of("yarn", {{"factor", 16.0f}}, n_ctx_original);
  CHECK(scaling.magnitude == doctest::Approx(0.1 * std::log(factor) + 1.0).epsilon(1e-6));
  const auto plain = rope_frequencies(n_rot, base, RopeScaling{}), scaled = rope_frequencies(n_rot, base, scaling);
  int n_kept = 0, n_interpolated = 0;
  double previous_share = 1.0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double n_turns = n_ctx_original * plain[i] / (2 * std::numbers::pi);
    // share * f + (1 - share) * f / factor = scaled
    const double share = (scaled[i] / plain[i] - 1 / factor) / (1 - 1 / factor);
    CHECK(share <= previous_share + 1e-12);
    // The ramp's ends are rounded outwards to whole pairs, a factor of base^(2/128) = 1.16 in turns.
    if (n_turns > 32 * 1.16) {
      CHECK(share == doctest::Approx(1.0).epsilon(1e-9));
      ++n_kept;
    }
    if (n_turns < 1 / 1.16) {
      CHECK(std::abs(share) < 1e-9);
      ++n_interpolated;
    }
    if (n_turns < 32 / 1.16 && n_turns > 1.16) CHECK((share > 0 && share < 1));
    previous_share = share;
  }
  CHECK(n_kept > 10);
  CHECK(n_interpolated > 10);
}

TEST_CASE("a file's attention factor multiplies, and a log multiplier divides the temperature") {
  CHECK(scaling_of("longrope", {{"attn_factor", 1.19f}}).magnitude == doctest::Approx(1.19));
  const double temperature = 0.1 * std::log(4.0) + 1.0, over_all = 0.1 * 0.5 * std::log(4.0) + 1.0;
  CHECK(scaling_of("yarn", {{"factor", 4.0f}, {"yarn_log_multiplier", 0.5f}}).magnitude ==
        doctest::Approx(temperature / over_all).epsilon(1e-6));
  CHECK(scaling_of("yarn", {{"factor", 4.0f}, {"attn_factor", 0.5f}}).magnitude ==
        doctest::Approx(temperature / 2).epsilon(1e-6));
  CHECK(scaling_of("yarn", {{"factor", 1.0f}}).magnitude == 1.0f);
}
