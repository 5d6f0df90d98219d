// Quantizing activations, exp, rotation and look-ups.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/half.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("exp is within 2 ulp of the exact value, 0 below -87 and finite above 88") {
  std::vector<float> x;
  for (float v = -87.0f; v <= 88.0f; v += 0.0103f) x.push_back(v);
  std::vector<float> first;
  for (const CpuKernelTable* kernels : all_kernel_tables()) {
    CAPTURE(std::string(kernels->name));
    std::vector<float> y(x.size());
    kernels->exp(y.data(), x.data(), static_cast<int64_t>(x.size()));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(double{x[i]});
      const double ulp = std::ldexp(1.0, std::ilogb(exact) - 23);
      worst = std::max(worst, std::abs(y[i] - exact) / ulp);
    }
    CHECK(worst <= 2.0);
    if (first.empty()) first = y;
    CHECK(y == first);

    const float edges[] = {-INFINITY, -1e30f, -87.1f, 0.0f, 88.5f, 1e30f, INFINITY};
    float at_edges[7];
    kernels->exp(at_edges, edges, 7);
    for (int i = 0; i < 3; ++i) CHECK(at_edges[i] == 0.0f);
    CHECK(at_edges[3] == 1.0f);
    for (int i = 4; i < 7; ++i) CHECK((std::isfinite(at_edges[i]) && at_edges[i] > 1e38f));
  }
}

TEST_CASE("activations are quantized to the nearest of 255 steps, with the sums that minimums need") {
  for (const CpuKernelTable* kernels : all_kernel_tables()) {
    CAPTURE(std::string(kernels->name));
    const auto x = random_f32(512, /*seed=*/1);
    std::vector<ActivationBlock> blocks(2);
    kernels->quantize(x.data(), 512, blocks.data(), 1);
    for (size_t b = 0; b < 2; ++b) {
      const ActivationBlock& block = blocks[b];
      int largest = 0;
      for (size_t i = 0; i < 256; ++i) {
        CHECK(std::abs(block.scale * static_cast<float>(block.q[i]) - x[256 * b + i]) <= 0.5001f * block.scale);
        CHECK(block.q_by_position[i / 32 * 32 + 4 * (i % 8) + i % 32 / 8] == block.q[i]);
        largest = std::max(largest, std::abs(int{block.q[i]}));
      }
      CHECK(largest == 127);
      for (size_t sub = 0; sub < 16; ++sub) {
        int32_t sum = 0;
        for (size_t i = 0; i < 16; ++i) sum += block.q[16 * sub + i];
        CHECK(block.sum16[sub] == sum);
        if (sub % 2 == 1) CHECK(block.sum32[sub / 2] == block.sum16[sub - 1] + sum);
      }
    }
    const std::vector<float> zeros(256);
    kernels->quantize(zeros.data(), 256, blocks.data(), 1);
    CHECK(blocks[0].scale == 0.0f);
    CHECK(blocks[0].q[17] == 0);
  }
}

TEST_CASE("rope turns pair i of position p by p * frequency, and leaves what is before and after the pairs") {
  const int32_t head_dim = 14, n_head = 3, n_past = 1000, n_tokens = 4;
  const AttentionParams params{n_head, 1, head_dim, head_dim, 1.0f};
  const std::vector<int32_t> pages(32, 0);
  for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalves}) {
    for (const int32_t offset : {0, 4}) {
      CAPTURE(offset);
      const RopeParams rope{pairing, offset, {1.0, 0.1, 0.0123, 0.00017}, 1.25f};
      const auto n_pairs = static_cast<int32_t>(rope.frequencies.size());
      const auto q = random_f32(n_tokens * n_head * head_dim, /*seed=*/4);
      const auto kv_values = random_f32(n_tokens * head_dim, /*seed=*/5);
      for (const auto& [name, backend] : all_cpu_backends()) {
        CAPTURE(name);
        const auto kv = backend->alloc_kv({1, 1, head_dim, head_dim}, 1);
        const auto prepared = backend->create_rope(rope);
        const SequenceRun run{pages, n_past, n_tokens};
        std::vector<float> rotated = q;
        backend->rope_and_store_kv(span_of(rotated), span_of(kv_values), span_of(kv_values), *kv, 0, {&run, 1}, params,
                                   prepared.get());
        for (int32_t t = 0; t < n_tokens; ++t) {
          for (int32_t h = 0; h < n_head; ++h) {
            const float* before = q.data() + (t * n_head + h) * head_dim;
            const float* after = rotated.data() + (t * n_head + h) * head_dim;
            std::vector<bool> is_rotated(head_dim, false);
            for (int32_t i = 0; i < n_pairs; ++i) {
              const double angle = (n_past + t) * rope.frequencies[static_cast<size_t>(i)];
              const double c = 1.25 * std::cos(angle), s = 1.25 * std::sin(angle);
              const bool is_adjacent = pairing == RopePairing::kAdjacent;
              const int32_t a = offset + (is_adjacent ? 2 * i : i),
                            b = offset + (is_adjacent ? 2 * i + 1 : i + n_pairs);
              // Table entries and two products and a sum, each rounded to f32, of values below 1.25.
              CHECK(std::abs(after[a] - (before[a] * c - before[b] * s)) < 6 * 0x1p-24);
              CHECK(std::abs(after[b] - (before[a] * s + before[b] * c)) < 6 * 0x1p-24);
              is_rotated[static_cast<size_t>(a)] = is_rotated[static_cast<size_t>(b)] = true;
            }
            for (int32_t i = 0; i < head_dim; ++i)
              if (!is_rotated[static_cast<size_t>(i)]) CHECK(after[i] == before[i]);
          }
        }
      }
    }
  }
}

TEST_CASE("a rope gives the same rotations in whatever order positions are asked for") {
  const int32_t head_dim = 8;
  const AttentionParams params{1, 1, head_dim, head_dim, 1.0f};
  const RopeParams rope{RopePairing::kHalves, 0, {1.0, 0.3, 0.001}, 1.0f};
  std::vector<int32_t> pages(64);
  std::iota(pages.begin(), pages.end(), 0);
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    const auto kv = backend->alloc_kv({1, 1, head_dim, head_dim}, static_cast<int32_t>(pages.size()));
    const auto rotated = [&](Rope& prepared, int32_t n_past, int32_t n_tokens) {
      const auto width = static_cast<size_t>(n_tokens * head_dim);
      std::vector<float> q = random_f32(width, /*seed=*/7);
      const std::vector<float> k(width, 0.0f);
      const SequenceRun run{pages, n_past, n_tokens};
      backend->rope_and_store_kv(span_of(q), span_of(k), span_of(k), *kv, 0, {&run, 1}, params, &prepared);
      return q;
    };
    const auto shared = backend->create_rope(rope);
    for (const auto& [n_past, n_tokens] :
         {std::pair{5, 1}, {1000, 3}, {4, 2}, {1002, 70}, {0, 1}, {999, 1}, {3000, 1}}) {
      CAPTURE(n_past);
      const auto fresh = backend->create_rope(rope);
      CHECK(rotated(*shared, n_past, n_tokens) == rotated(*fresh, n_past, n_tokens));
    }
    const auto none = backend->create_rope({RopePairing::kAdjacent, 0, {}, 1.0f});
    CHECK(rotated(*none, 100, 3) == random_f32(3 * head_dim, /*seed=*/7));
  }
}

TEST_CASE("embed reads rows of the file's table, gather_rows copies rows") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const TensorType type : kCpuTypes) {
      CAPTURE(std::string(tensor_type_traits(type).name));
      const FileMatrix table = random_matrix(type, 10, 256, /*seed=*/6);
      const std::vector<float> values = table.values();
      const std::vector<int32_t> tokens = {9, 0, 9};
      std::vector<float> y(3 * 256, NAN);
      backend->embed(span_of(y), table.view(), tokens);
      for (size_t i = 0; i < 256; ++i)
        CHECK((y[i] == values[9 * 256 + i] && y[256 + i] == values[i] && y[512 + i] == y[i]));
    }
    const std::vector<float> x = {1, 2, 3, 4, 5, 6};
    const std::vector<int32_t> rows = {2, 0};
    std::vector<float> gathered(4);
    backend->gather_rows(span_of(gathered), span_of(x), rows, 2);
    CHECK(gathered == std::vector<float>{5, 6, 1, 2});
  }
}

TEST_CASE("load_vector widens a norm's weight to f32") {
  const auto backend = create_cpu_backend(CpuKernels::kAuto, 1);
  const uint16_t halfs[] = {0x3c00, 0xc000, 0x3800};
  const WeightView view{"output_norm.weight", TensorType::kF16, 1, 3, std::as_bytes(std::span(halfs))};
  const auto vector = backend->load_vector(view);
  std::vector<float> host(3);
  backend->read(host, vector->span());
  CHECK(host == std::vector<float>{1.0f, -2.0f, 0.5f});
}
