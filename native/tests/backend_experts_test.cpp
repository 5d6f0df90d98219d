// The layer of experts against its definition in double precision, and the promise that its bits depend neither on the
// batch, nor on threads, kernels or what the expert cache has room for.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>
#include <random>
#include <set>

#include "backend/cpu/packed_tiles.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"
#include "tests/support/throws_error.h"

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

using namespace outpost;
using namespace outpost::test;

namespace {

using Gating = RouterParams::Gating;

/// Whether products take activations as they are, not as int8.
bool is_dense(const FileMatrix& matrix) { return matmul_input_kind(matrix.type) == MatmulInputKind::kF32; }

/// The experts of one layer in file layout.
struct Layer {
  int32_t n_expert, n_used;
  int64_t n_embd, n_ff;
  Gate gate_kind;
  FileMatrix gate, up, down;
  std::vector<float> gate_bias, up_bias, down_bias;

  RouterParams router() const { return {Gating::kSoftmax, n_expert, n_used, 1, 1, true, 1.5f}; }
  ExpertViews views() const {
    return {3, gate.view(), up.view(), down.view(), gate_bias, up_bias, down_bias, {}, false};
  }
};

Layer random_layer(std::array<TensorType, 3> types, int64_t n_embd, int64_t n_ff, Gate gate_kind = Gate::kSwiGlu,
                   bool has_biases = false, int32_t n_expert = 8, int32_t n_used = 3) {
  Layer layer{n_expert,
              n_used,
              n_embd,
              n_ff,
              gate_kind,
              random_matrix(types[0], n_expert * n_ff, n_embd, 1),
              random_matrix(types[1], n_expert * n_ff, n_embd, 2),
              random_matrix(types[2], n_expert * n_embd, n_ff, 3),
              {},
              {},
              {}};
  if (has_biases) {
    layer.gate_bias = random_f32(static_cast<size_t>(n_expert * n_ff), 4);
    layer.up_bias = random_f32(static_cast<size_t>(n_expert * n_ff), 5);
    layer.down_bias = random_f32(static_cast<size_t>(n_expert * n_embd), 6);
  }
  return layer;
}

/// Logits of n_tokens that are far enough apart for any precision to choose alike: a random order of multiples of 1/2.
std::vector<float> distinct_logits(int64_t n_tokens, int32_t n_expert, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> logits;
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::vector<float> row(static_cast<size_t>(n_expert));
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i) * 0.5f;
    std::shuffle(row.begin(), row.end(), random);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

/// The chosen experts of one token, best first, and their normalized weights times 1.5.
std::vector<std::pair<int32_t, double>> reference_choice(const Layer& layer, const float* logits) {
  std::vector<std::pair<int32_t, double>> choice;
  for (int32_t i = 0; i < layer.n_expert; ++i) choice.push_back({i, std::exp(double{logits[i]})});
  std::sort(choice.begin(), choice.end(), [](auto& a, auto& b) { return a.second > b.second; });
  choice.resize(static_cast<size_t>(layer.n_used));
  double sum = 0;
  for (const auto& [expert, weight] : choice) sum += weight;
  for (auto& [expert, weight] : choice) weight *= 1.5 / sum;
  return choice;
}

/// A value and how far off a correct computation may be.
struct Bounded {
  double value, error;
};

Bounded gate_function(Gate kind, Bounded g, Bounded u) {
  double activated = 0, factor = u.value;
  switch (kind) {
    case Gate::kSwiGlu: activated = g.value / (1 + std::exp(-g.value)); break;
    case Gate::kGeGlu:
      activated =
          g.value / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (g.value + 0.044715 * std::pow(g.value, 3))));
      break;
    case Gate::kSwiGluOai: {
      const double capped = std::min(g.value, 7.0);
      activated = capped / (1 + std::exp(-1.702 * capped));
      factor = std::clamp(u.value, -7.0, 7.0) + 1;
      break;
    }
  }
  const double value = activated * factor;
  // No slope of the three is above 1.2. Their own arithmetic has exp within 2^-22 and a few roundings, of terms up to
  // |g|, which may cancel for negative g.
  return {value, 1.2 * g.error * (std::abs(factor) + u.error) + std::abs(activated) * u.error +
                     0x1p-20 * (std::abs(value) + std::abs(g.value * factor)) + 1e-30};
}

/// Row `row` of `w` times x, as a kernel computes it for a matrix of this type.
Bounded product(const FileMatrix& matrix, const std::vector<float>& w, int64_t row, const std::vector<Bounded>& x,
                bool is_exact_in_int8) {
  double sum = 0, sum_abs = 0, sum_weight = 0, error = 0;
  for (int64_t begin = 0; begin < matrix.n_cols; begin += 256) {
    const int64_t end = std::min(begin + 256, matrix.n_cols);
    double absmax = 0;
    for (int64_t i = begin; i < end; ++i) {
      const Bounded& v = x[static_cast<size_t>(i)];
      absmax = std::max(absmax, std::abs(v.value) + v.error);
    }
    const double half_step = is_dense(matrix) || is_exact_in_int8 ? 0.0 : 0.5005 * absmax / 127;
    for (int64_t i = begin; i < end; ++i) {
      const double weight = w[static_cast<size_t>(row * matrix.n_cols + i)];
      sum += weight * x[static_cast<size_t>(i)].value;
      sum_abs += std::abs(weight * x[static_cast<size_t>(i)].value);
      sum_weight += std::abs(weight) * std::max(1.0, absmax);
      error += std::abs(weight) * (x[static_cast<size_t>(i)].error + half_step);
    }
  }
  // As in backend_matmul_test.cpp.
  return {sum, error + static_cast<double>(matrix.n_cols + 2) * 0x1p-24 * (sum_abs + sum_weight)};
}

/// The whole layer for tokens whose activations fit int8 exactly.
std::vector<Bounded> reference_ffn(const Layer& layer, const std::vector<float>& x, const std::vector<float>& logits) {
  const std::vector<float> gate = layer.gate.values(), up = layer.up.values(), down = layer.down.values();
  const int64_t n_embd = layer.n_embd, n_ff = layer.n_ff;
  const auto with_bias = [](Bounded v, const std::vector<float>& bias, int64_t row) {
    const double b = bias.empty() ? 0.0 : double{bias[static_cast<size_t>(row)]};
    return Bounded{v.value + b, v.error + 0x1p-24 * std::abs(v.value + b)};
  };
  std::vector<Bounded> y;
  for (int64_t t = 0; t < static_cast<int64_t>(x.size()) / n_embd; ++t) {
    std::vector<Bounded> input, sum(static_cast<size_t>(n_embd), Bounded{0, 0});
    for (int64_t i = 0; i < n_embd; ++i) input.push_back({double{x[static_cast<size_t>(t * n_embd + i)]}, 0});
    for (const auto& [expert, weight] : reference_choice(layer, logits.data() + t * layer.n_expert)) {
      std::vector<Bounded> hidden;
      for (int64_t row = expert * n_ff; row < (expert + 1) * n_ff; ++row) {
        hidden.push_back(gate_function(layer.gate_kind,
                                       with_bias(product(layer.gate, gate, row, input, true), layer.gate_bias, row),
                                       with_bias(product(layer.up, up, row, input, true), layer.up_bias, row)));
      }
      for (int64_t i = 0; i < n_embd; ++i) {
        const int64_t row = expert * n_embd + i;
        const Bounded out = with_bias(product(layer.down, down, row, hidden, false), layer.down_bias, row);
        Bounded& total = sum[static_cast<size_t>(i)];
        total.value += weight * out.value;
        total.error += weight * out.error + 0x1p-20 * std::abs(weight * out.value);  // the weight's own, and sums
      }
    }
    y.insert(y.end(), sum.begin(), sum.end());
  }
  return y;
}

/// The layer for all tokens, n_chunk at a time.
std::vector<float> forward(Backend& backend, Experts& experts, const std::vector<float>& x,
                           const std::vector<float>& logits, int64_t n_tokens, int64_t n_chunk) {
  std::vector<float> y(x.size(), NAN);
  const size_t n_embd = x.size() / static_cast<size_t>(n_tokens),
               n_expert = logits.size() / static_cast<size_t>(n_tokens);
  for (int64_t t = 0; t < n_tokens; t += n_chunk) {
    const auto n = static_cast<size_t>(std::min(n_chunk, n_tokens - t)), first = static_cast<size_t>(t);
    backend.expert_ffn({y.data() + first * n_embd, n * n_embd}, {x.data() + first * n_embd, n * n_embd},
                       {logits.data() + first * n_expert, n * n_expert}, static_cast<int32_t>(n), experts);
  }
  return y;
}

void check_against_definition(const Layer& layer, int64_t n_tokens) {
  const auto x = exact_activations(static_cast<size_t>(n_tokens * layer.n_embd), /*seed=*/7);
  const auto logits = distinct_logits(n_tokens, layer.n_expert, /*seed=*/8);
  const std::vector<Bounded> expected = reference_ffn(layer, x, logits);
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    const auto experts = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
    const auto y = forward(*backend, *experts, x, logits, n_tokens, n_tokens);
    double error_power = 0, power = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double error = std::abs(y[i] - expected[i].value);
      if (!(error <= expected[i].error)) {
        FAIL_CHECK("element ", i, ": got ", y[i], ", exact ", expected[i].value, ", tolerance ", expected[i].error);
        break;
      }
      error_power += error * error;
      power += expected[i].value * expected[i].value;
    }
    // Rounding to int8 is off by step / sqrt(12) in the root mean square, a step is 1/127 of the largest of 256 values,
    // and that is below 12 times the root mean square of products of two normal ones: (12 / 127)^2 / 12 < 1e-3.
    CHECK(error_power < (is_dense(layer.down) ? 1e-12 : 1e-3) * power);
  }
}

}  // namespace

TEST_CASE("a layer of experts follows its definition for every weight type") {
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    const bool is_block = tensor_type_traits(type).block_elements > 1;
    check_against_definition(random_layer({type, type, type}, is_block ? 256 : 37, is_block ? 512 : 51), 5);
  }
  using enum TensorType;
  // Rows that are no whole superblocks; what files of mixed types have; all forms of input at once.
  check_against_definition(random_layer({kQ8_0, kQ4_0, kQ8_0}, 96, 160), 9);
  check_against_definition(random_layer({kMXFP4, kMXFP4, kMXFP4}, 288, 96, Gate::kSwiGluOai, true), 9);
  check_against_definition(random_layer({kQ4_K, kQ4_K, kQ6_K}, 256, 256), 9);
  check_against_definition(random_layer({kF32, kQ4_K, kQ5_0}, 512, 256), 9);
  check_against_definition(random_layer({kQ4_0, kQ4_K, kF16}, 256, 256), 9);
}

TEST_CASE("a layer of experts has every gate function, with and without biases") {
  for (const Gate kind : {Gate::kSwiGlu, Gate::kGeGlu, Gate::kSwiGluOai}) {
    CAPTURE(static_cast<int>(kind));
    for (const bool has_biases : {false, true}) {
      check_against_definition(
          random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 21, 35, kind, has_biases), 5);
      check_against_definition(
          random_layer({TensorType::kQ4_K, TensorType::kQ4_K, TensorType::kQ4_K}, 256, 256, kind, has_biases), 5);
    }
  }
}

TEST_CASE("one expert, all experts, many tokens of one expert") {
  using enum TensorType;
  check_against_definition(random_layer({kF16, kF16, kF16}, 16, 16, Gate::kSwiGlu, true, 1, 1), 40);
  check_against_definition(random_layer({kF16, kF16, kF16}, 33, 17, Gate::kSwiGlu, true, 5, 5), 40);
  check_against_definition(random_layer({kF32, kF32, kF32}, 8, 8, Gate::kSwiGlu, false, 3, 1), 700);
}

TEST_CASE("the bits of a layer of experts depend neither on the batch nor on threads, kernels or memory") {
  using enum TensorType;
  for (const auto& types : {std::array{kQ4_K, kQ4_K, kQ6_K}, {kF32, kF16, kQ5_K}, {kMXFP4, kQ4_K, kQ8_0}}) {
    const Layer layer = random_layer(types, 256, 256, Gate::kSwiGluOai, true, 6, 2);
    const int64_t n_tokens = 64;
    const auto x = random_f32(static_cast<size_t>(n_tokens * layer.n_embd), /*seed=*/9);
    const auto logits = random_f32(static_cast<size_t>(n_tokens * layer.n_expert), /*seed=*/10);
    std::vector<float> reference;
    uint64_t total_bytes = 0;
    for (const CpuKernels kernels : runnable_kernels()) {
      // Room for all experts, for one at a time, for one and a bit, for half.
      for (const auto& [n_threads, divisor] : {std::pair{1, 1}, {2, 0}, {2, 2}, {3, 10}, {1, 0}}) {
        const uint64_t budget = divisor == 0   ? 1
                                : divisor == 1 ? UINT64_MAX
                                               : total_bytes / static_cast<uint64_t>(divisor);
        const auto backend = create_cpu_backend(kernels, n_threads, budget);
        CAPTURE(backend->name());
        CAPTURE(budget);
        const auto experts = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
        total_bytes = backend->expert_cache_stats().total_bytes;
        if (reference.empty()) reference = forward(*backend, *experts, x, logits, n_tokens, 1);
        for (const int64_t n_chunk : {1, 7, 64}) {
          CAPTURE(n_chunk);
          const int64_t n = std::min(n_tokens, 8 * n_chunk);  // a few chunks of the short ones
          const std::vector<float> some_x(x.begin(), x.begin() + n * layer.n_embd);
          const std::vector<float> some_logits(logits.begin(), logits.begin() + n * layer.n_expert);
          const auto y = forward(*backend, *experts, some_x, some_logits, n, n_chunk);
          CHECK(std::equal(y.begin(), y.end(), reference.begin()));
          // With room for none, the last one used has left again.
          CHECK(backend->expert_cache_stats().resident_bytes <= (budget == 1 ? 0 : budget));
        }
      }
    }
  }
}

TEST_CASE("the result may replace the input") {
  const Layer layer = random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 24, 40);
  auto x = random_f32(6 * 24, /*seed=*/1);
  const auto logits = random_f32(6 * 8, /*seed=*/2);
  const auto backend = create_cpu_backend(CpuKernels::kAuto, 2);
  const auto experts = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
  const auto y = forward(*backend, *experts, x, logits, 6, 6);
  backend->expert_ffn(span_of(x), span_of(x), span_of(logits), 6, *experts);
  CHECK(x == y);
}

TEST_CASE("gate and up in one tensor are the same experts") {
  using enum TensorType;
  for (const TensorType type : {kF32, kQ4_K, kQ8_0}) {
    const Layer layer = random_layer({type, type, type}, 256, 256, Gate::kSwiGlu, true, 4, 2);
    FileMatrix merged{type, 4 * 2 * 256, 256, {}};
    const auto n = static_cast<int64_t>(layer.gate.bytes.size() / 4);  // bytes of one expert's half
    for (int64_t expert = 0; expert < 4; ++expert) {
      for (const FileMatrix* half : {&layer.gate, &layer.up}) {
        merged.bytes.insert(merged.bytes.end(), half->bytes.begin() + expert * n,
                            half->bytes.begin() + (expert + 1) * n);
      }
    }
    ExpertViews views = layer.views();
    views.gate = merged.view();
    views.up = {};
    views.is_merged = true;
    const auto x = random_f32(5 * 256, /*seed=*/1), logits = random_f32(5 * 4, /*seed=*/2);
    for (const uint64_t budget : {UINT64_MAX, uint64_t{1}}) {
      const auto backend = create_cpu_backend(CpuKernels::kAuto, 2, budget);
      const auto experts = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
      const auto merged_experts = backend->load_experts(views, layer.router(), layer.gate_kind);
      CHECK(forward(*backend, *merged_experts, x, logits, 5, 5) == forward(*backend, *experts, x, logits, 5, 5));
    }
  }
}

TEST_CASE("usage counts the tokens of each expert") {
  const Layer layer = random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 16, 16);
  const auto backend = create_cpu_backend(CpuKernels::kAuto, 2);
  const auto experts = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
  CHECK(experts->usage().il == 3);
  CHECK(experts->usage().n_tokens == std::vector<uint64_t>(8));

  const auto x = random_f32(600 * 16, /*seed=*/1);
  const auto logits = distinct_logits(600, 8, /*seed=*/2);
  std::vector<uint64_t> expected(8);
  for (size_t t = 0; t < 600; ++t) {
    for (const auto& [expert, weight] : reference_choice(layer, logits.data() + t * 8))
      ++expected[static_cast<size_t>(expert)];
  }
  forward(*backend, *experts, x, logits, 600, 599);  // more than are computed at once, and a rest
  CHECK(experts->usage().n_tokens == expected);
  const auto sum = std::accumulate(expected.begin(), expected.end(), uint64_t{0});
  CHECK(sum == 600 * 3);
  forward(*backend, *experts, x, logits, 600, 1);
  for (uint64_t& n : expected) n *= 2;
  CHECK(experts->usage().n_tokens == expected);
}

TEST_CASE("the cache is asked once per pass and expert, and layers share its budget") {
  const Layer layer = random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 32, 32);
  const auto logits = distinct_logits(50, 8, /*seed=*/2);
  const auto x = random_f32(50 * 32, /*seed=*/1);
  uint64_t n_uses = 0;  // of an expert in a pass of ten tokens
  for (size_t t = 0; t < 50; t += 10) {
    std::set<int32_t> used;
    for (size_t i = t; i < t + 10; ++i) {
      for (const auto& [expert, weight] : reference_choice(layer, logits.data() + i * 8)) used.insert(expert);
    }
    n_uses += used.size();
  }
  // f32 tiles of 3 * 32 * 32 elements are a whole number of pages.
  const uint64_t expert_bytes = 3 * 32 * 32 * 4;
  for (const uint64_t n_resident : {1, 3, 8, 12, 16, 100}) {
    CAPTURE(n_resident);
    const auto backend = create_cpu_backend(CpuKernels::kAuto, 2, n_resident * expert_bytes);
    const auto first = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
    const auto second = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
    ExpertCacheStats stats = backend->expert_cache_stats();
    CHECK(stats.total_bytes == 16 * expert_bytes);
    CHECK(stats.resident_bytes == std::min<uint64_t>(n_resident, 16) * expert_bytes);
    CHECK(stats.n_hits + stats.n_misses + stats.n_evictions == 0);
    forward(*backend, *first, x, logits, 50, 10);
    forward(*backend, *second, x, logits, 50, 10);
    stats = backend->expert_cache_stats();
    CHECK(stats.n_hits + stats.n_misses == 2 * n_uses);
    CHECK(stats.n_evictions == stats.n_misses);  // loading has filled the budget
    CHECK((stats.n_misses == 0) == (n_resident >= 16));
    CHECK(stats.resident_bytes == std::min<uint64_t>(n_resident, 16) * expert_bytes);
  }
}

TEST_CASE("NaN logits make their own token NaN and no other") {
  const Layer layer = random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 16, 16);
  const auto backend = create_cpu_backend(CpuKernels::kAuto, 1);
  const auto experts = backend->load_experts(layer.views(), layer.router(), layer.gate_kind);
  const auto x = random_f32(3 * 16, /*seed=*/1);
  auto logits = random_f32(3 * 8, /*seed=*/2);
  const auto expected = forward(*backend, *experts, x, logits, 3, 3);
  std::fill_n(logits.begin() + 8, 8, NAN);
  const auto y = forward(*backend, *experts, x, logits, 3, 3);
  for (size_t i = 0; i < y.size(); ++i) {
    if (i / 16 == 1) {
      CHECK(std::isnan(y[i]));
    } else {
      CHECK(y[i] == expected[i]);
    }
  }
}

TEST_CASE("experts of a type without a kernel, and impossible routers, are refused") {
  const auto backend = create_cpu_backend(CpuKernels::kScalar, 1);
  const std::vector<std::byte> bytes(1 << 16);
  const FileMatrix good = random_matrix(TensorType::kF32, 4, 256, 1);
  const WeightView bad{"blk.0.ffn_down_exps.weight", TensorType::kI32, 4, 256, bytes};
  const RouterParams router{Gating::kSoftmax, 4, 2, 1, 1, false, 1.0f};
  const ExpertViews views{0, good.view(), good.view(), bad, {}, {}, {}, {}, false};
  const auto load = [&] { backend->load_experts(views, router, Gate::kSwiGlu); };
  CHECK(error_of(load) == ErrorCode::kModelUnsupported);
  CHECK(message_of(load).find("blk.0.ffn_down_exps.weight") != std::string::npos);

  const Layer layer = random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 16, 16);
  RouterParams too_many = layer.router();
  too_many.n_used = 9;
  const auto load_too_many = [&] { backend->load_experts(layer.views(), too_many, Gate::kSwiGlu); };
  CHECK(message_of(load_too_many) == "The experts of layer 3: 9 are used per token; expected 1 to 8.");
  CHECK(backend->expert_cache_stats().total_bytes == 0);
}

#ifndef _WIN32
TEST_CASE("only chosen experts are read") {
  // 32 x 32 f32 of an expert fill a page; the pages of experts that are not chosen cannot be read.
  constexpr size_t kBytes = 32 * 32 * sizeof(float), kExperts = 8;
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kBytes)) {
    MESSAGE("SKIPPED: pages have another size here");
    return;
  }
  Layer layer = random_layer({TensorType::kF32, TensorType::kF32, TensorType::kF32}, 32, 32);
  ExpertViews views = layer.views();
  std::vector<float> logits(kExperts, -1.0f);
  for (const size_t chosen : {1, 4, 6}) logits[chosen] = static_cast<float>(chosen);
  const auto x = random_f32(32, /*seed=*/1);
  const auto everything = create_cpu_backend(CpuKernels::kAuto, 1);
  const auto all_experts = everything->load_experts(views, layer.router(), layer.gate_kind);
  const auto expected = forward(*everything, *all_experts, x, logits, 1, 1);

  for (WeightView* view : {&views.gate, &views.up, &views.down}) {
    void* memory = mmap(nullptr, kExperts * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    std::memcpy(memory, view->bytes.data(), kExperts * kBytes);
    view->bytes = {static_cast<const std::byte*>(memory), kExperts * kBytes};
    for (const size_t expert : {0, 2, 3, 5, 7})
      REQUIRE(mprotect(static_cast<std::byte*>(memory) + expert * kBytes, kBytes, PROT_NONE) == 0);
  }
  {
    const auto backend = create_cpu_backend(CpuKernels::kAuto, 1, /*expert_cache_bytes=*/1);
    const auto experts = backend->load_experts(views, layer.router(), layer.gate_kind);
    CHECK(forward(*backend, *experts, x, logits, 1, 1) == expected);
  }
  for (const WeightView& view : {views.gate, views.up, views.down})
    munmap(const_cast<std::byte*>(view.bytes.data()), kExperts * kBytes);
}
#endif
