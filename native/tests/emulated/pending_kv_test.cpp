// Keys and values of passes of few tokens, which attention takes along, as passes and what is between the two
// operations have it; and tiles of attention over codes, which passes of more tokens have larger. The kernels
// themselves: kernels/tests/rope_attention_test.cpp, attention_codes_test.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "backend/devices.h"
#include "tests/emulated/emulated_models.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kNHead = 4, kNHeadKv = 2, kDim = 32, kNPage = 5, kMostTokens = 20;
constexpr int32_t kQWidth = kNHead * kDim, kKvWidth = kNHeadKv * kDim;
constexpr AttentionParams kParams{kNHead, kNHeadKv, kDim, kDim, 0.2f};

/// Where a cache is filled by passes, and what they compute.
struct Cache {
  std::unique_ptr<KvStorage> kv;
  bool is_apart;  ///< another operation comes between storing and attention
  std::unique_ptr<Buffer> inputs, next_q, y;

  Cache(Backend& backend, bool is_apart_, KvPreset preset = KvPreset::kExact)
      : kv(backend.alloc_kv({2, kNHeadKv, kDim, kDim}, kv_format(preset, 2), kNPage)),
        is_apart(is_apart_),
        inputs(backend.alloc_f32(static_cast<size_t>(kMostTokens * (kQWidth + 2 * kKvWidth)))),
        next_q(backend.alloc_f32(static_cast<size_t>(kMostTokens * kQWidth))),
        y(backend.alloc_f32(static_cast<size_t>(kMostTokens * kQWidth))) {}

  /// @param activations queries of all tokens, then keys, then values
  std::vector<float> compute(Backend& backend, Rope& rope, std::span<const SequenceRun> runs,
                             std::span<const float> activations) {
    const auto n = activations.size() / (kQWidth + 2 * kKvWidth);
    const std::vector<int32_t> tokens(n);
    const DeviceSpan<float> all = {inputs->span().data, activations.size()};
    const DeviceSpan<float> q = {all.data, n * kQWidth}, k = {q.data + q.size, n * kKvWidth},
                            v = {k.data + k.size, n * kKvWidth}, attended = {y->span().data, n * kQWidth};
    const auto attend = [&](int32_t il, DeviceSpan<float> queries, Rope* layer_rope) {
      backend.rope_and_store_kv(queries, k, v, *kv, il, runs, kParams, layer_rope);
      if (is_apart) backend.scale(k, 2.0f);  // which is not what was to be stored
      backend.attention(attended, queries, *kv, il, runs, kParams);
      if (is_apart) backend.scale(k, 0.5f);
    };
    const PassInputs pass{this, *kv, tokens, runs, {}, kNPage * kKvPageSize, false, activations};
    backend.run_pass(pass, [&]() -> DeviceSpan<const float> {
      backend.write(all, activations);
      attend(0, q, &rope);
      // What q holds now is not said: the second layer's queries are made of the result.
      const DeviceSpan<float> next = {next_q->span().data, q.size};
      backend.copy_columns(next, kQWidth, 0, attended, kQWidth, 0, kQWidth, static_cast<int32_t>(n));
      attend(1, next, nullptr);
      return attended;
    });
    std::vector<float> result(attended.size);
    backend.read(result, attended);
    return result;
  }

  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all(kv->size_bytes());
    const size_t n_bytes = kv->form_bytes(KvForm::kFresh);
    for (int32_t page = 0; page < kNPage; ++page)
      REQUIRE(
          kv->read_form(page, KvForm::kFresh, std::span(all).subspan(static_cast<size_t>(page) * n_bytes, n_bytes)));
    return all;
  }
};

}  // namespace

TEST_CASE("emulated device: attention that takes keys and values along has the bits of storing them apart") {
  LoadOptions options;
  options.devices = {device_id(0)};
  const auto backend = create_backend(device_id(0), options, 0);
  RopeParams rope_params;
  rope_params.pairing = RopePairing::kHalves;
  for (int32_t i = 0; i < kDim / 2; ++i) rope_params.frequencies.push_back(std::pow(1e2, -2.0 * i / kDim));
  const auto rope = backend->create_rope(rope_params);
  Cache together(*backend, false), apart(*backend, true);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto check_pass = [&](const std::vector<SequenceRun>& runs) {
    int32_t n = 0;
    for (const SequenceRun& run : runs) n += run.n_tokens;
    CAPTURE(n);
    CAPTURE(runs[0].n_past);
    std::vector<float> activations(static_cast<size_t>(n * (kQWidth + 2 * kKvWidth)));
    for (float& x : activations) x = normal(random);
    const auto expected = apart.compute(*backend, *rope, runs, activations);
    CHECK(together.compute(*backend, *rope, runs, activations) == expected);
    for (const float x : expected) REQUIRE(std::isfinite(x));
  };
  const std::vector<int32_t> one = {3, 0, 2}, two = {3, 1, 4};  // which share the first 64
  int32_t n_past = 0;
  for (const int32_t n : {20, 16, 16, 9, 1, 1, 1, 1}) {  // 20 are not few; shapes that come again are recorded
    check_pass({{one, n_past, n}});
    n_past += n;
  }
  REQUIRE(n_past == 65);
  check_pass({{two, 64, 3}});
  for (int32_t i = 0; i < 4; ++i) check_pass({{one, 65 + i, 1}, {two, 67 + 2 * i, 2}});
  for (int32_t i = 0; i < 4; ++i) check_pass({{two, 75 + 16 * i, 16}});   // up to the third page
  for (int32_t i = 0; i < 3; ++i) check_pass({{two, 139 + 12 * i, 12}});  // split, in larger tiles where there are some
  CHECK(together.bytes() == apart.bytes());
}

TEST_CASE("emulated device: attention over codes has the bits of one token at a time, in larger tiles too") {
  LoadOptions options;
  options.devices = {device_id(0)};
  const auto backend = create_backend(device_id(0), options, 0);
  const auto rope = backend->create_rope(RopeParams{});
  Cache many(*backend, false, KvPreset::kCompact), one(*backend, false, KvPreset::kCompact);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  const std::vector<int32_t> pages = {3, 0, 2, 1, 4};
  constexpr int32_t kN = 16;
  const auto of_token = [](size_t width, int32_t t, const std::vector<float>& x, size_t first) {
    const auto begin = x.begin() + static_cast<int64_t>(first + static_cast<size_t>(t) * width);
    return std::vector<float>(begin, begin + static_cast<int64_t>(width));
  };
  // The last pass is behind the first span of positions, with as many blocks as larger tiles want.
  for (int32_t n_past = 0; n_past < 288; n_past += kN) {
    std::vector<float> activations(static_cast<size_t>(kN * (kQWidth + 2 * kKvWidth)));
    for (float& x : activations) x = normal(random);
    const std::vector<SequenceRun> all = {{pages, n_past, kN}};
    const auto together = many.compute(*backend, *rope, all, activations);
    if (n_past < 256) {
      one.compute(*backend, *rope, all, activations);
      continue;
    }
    for (int32_t t = 0; t < kN; ++t) {
      CAPTURE(n_past + t);
      std::vector<float> own;
      for (const auto& [width, first] : {std::pair<size_t, size_t>{kQWidth, 0},
                                         {kKvWidth, size_t{kN} * kQWidth},
                                         {kKvWidth, size_t{kN} * (kQWidth + kKvWidth)}}) {
        const auto part = of_token(width, t, activations, first);
        own.insert(own.end(), part.begin(), part.end());
      }
      const std::vector<SequenceRun> alone = {{pages, n_past + t, 1}};
      CHECK(one.compute(*backend, *rope, alone, own) == of_token(kQWidth, t, together, 0));
    }
  }
}
