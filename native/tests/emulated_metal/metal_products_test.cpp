// The launchers that Metal has of its own: products of superblocks by the kernels of all types.
#include <doctest/doctest.h>

#include <vector>

#include "tests/emulated_metal/metal_bench.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

constexpr int32_t kTokens = 16, kGroups = 8, kRows[kSuperMatrices] = {20, 7, 33};

/// Matrices of one type, with biases of the first and the last; and activations.
class Products {
 public:
  explicit Products(TensorType type) : type_(type, can_widen(type, 32 * kGroups)) {
    for (int32_t i = 0; i < kSuperMatrices; ++i) {
      const FileMatrix matrix = random_matrix(type, kRows[i], 32 * kGroups, static_cast<uint32_t>(i + 1));
      const void* weight = bench.array(matrix.bytes);
      if (type_.is_wide) {
        const int64_t n = int64_t{kRows[i]} * 32 * kGroups;
        void* wide = bench.array(device_bytes(type_, n) / sizeof(float));
        REQUIRE(launch_widen(bench.stream, type, weight, wide, n) == Error::kNone);
        weight = wide;
      }
      std::vector<float> bias(static_cast<size_t>(kRows[i]));
      for (size_t row = 0; row < bias.size(); ++row) bias[row] = 0.5f * static_cast<float>(row + 1);
      matrices.push_back({weight, i == 1 ? nullptr : bench.array(bias), result(i), kRows[i]});
    }
    std::vector<float> x(size_t{kTokens} * 32 * kGroups);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(static_cast<int32_t>(i * 37 % 101) - 50) / 50;
    const size_t n_groups = size_t{kTokens} * kGroups;
    const auto words = [&](size_t n) { return reinterpret_cast<uint32_t*>(bench.array(n)); };
    const QuantizedOutput codes = {words(n_groups * 8), bench.array(n_groups), words(n_groups), words(n_groups / 2)};
    REQUIRE(launch_quantize(bench.stream, bench.array(x), codes, {kTokens * kGroups, takes_super_groups(type_)}) ==
            Error::kNone);
    input = {codes.codes, codes.scales, codes.sums, codes.pairs};
  }

  DeviceType type() const { return type_; }
  static size_t size(int32_t i) { return size_t{kTokens} * static_cast<size_t>(kRows[i]); }
  float* result(int32_t i) { return bench.array(size(i)); }

  MetalBench bench;
  std::vector<MatrixProduct> matrices;
  QuantizedInput input{};

 private:
  DeviceType type_;
};

}  // namespace

TEST_CASE("metal: several matrices at once are each multiplied by, and get their own biases") {
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0}) {
    Products p(type);
    for (const int32_t n_tokens : {1, 5, kTokens}) {
      CAPTURE(n_tokens);
      REQUIRE(launch_matvec_set(p.bench.stream, p.type(), p.matrices.data(), kSuperMatrices, p.input, kGroups,
                                n_tokens) == Error::kNone);
      for (int32_t i = 0; i < kSuperMatrices; ++i) {
        CAPTURE(i);
        const MatrixProduct& m = p.matrices[static_cast<size_t>(i)];
        float* without = p.result(i);
        REQUIRE(launch_matvec(p.bench.stream, p.type(), m.weight, p.input, nullptr, without,
                              {kRows[i], kGroups, n_tokens, 0, 0}) == Error::kNone);
        const size_t n = static_cast<size_t>(n_tokens) * static_cast<size_t>(kRows[i]);
        std::vector<float> expected = p.bench.values(without, n);
        for (size_t k = 0; k < n && m.bias != nullptr; ++k)
          expected[k] += 0.5f * static_cast<float>(k % static_cast<size_t>(kRows[i]) + 1);
        CHECK(p.bench.values(m.y, n) == expected);
        CHECK(expected[0] != 0);
      }
    }
  }
}

TEST_CASE("metal: a gated pair is what its products and the gate make") {
  Products p(TensorType::kQ4_K);
  const MatrixProduct& gate = p.matrices[0];
  const void* weights[] = {gate.weight, p.bench.array(random_matrix(TensorType::kQ4_K, kRows[0], 256, 9).bytes)};
  for (const bool has_bias : {false, true}) {
    const MatvecParams params{kRows[0], kGroups, 16, has_bias ? 1 : 0, static_cast<int32_t>(kGateSwiGlu)};
    float *y = p.result(0), *g = p.result(0), *u = p.result(0);
    REQUIRE(launch_matvec_gated(p.bench.stream, p.type(), weights[0], weights[1], p.input, gate.bias, gate.bias, y,
                                params) == Error::kNone);
    REQUIRE(launch_matvec(p.bench.stream, p.type(), weights[0], p.input, gate.bias, g, params) == Error::kNone);
    REQUIRE(launch_matvec(p.bench.stream, p.type(), weights[1], p.input, gate.bias, u, params) == Error::kNone);
    REQUIRE(launch_gate(p.bench.stream, g, u, {16 * kRows[0], 0, params.gate}) == Error::kNone);
    CHECK(p.bench.values(y, size_t{16} * kRows[0]) == p.bench.values(g, size_t{16} * kRows[0]));
  }
}
