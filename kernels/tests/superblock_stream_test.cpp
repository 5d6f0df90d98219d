// Products whose weights bulk copies bring: the bits of those that load them by themselves, which matvec_test.cpp
// compares with sums in double precision.
#include <doctest/doctest.h>

#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

const DeviceType kTypes[] = {
    {TensorType::kQ4_K, false}, {TensorType::kQ5_K, false}, {TensorType::kQ6_K, true}, {TensorType::kQ8_0, true}};

/// More than a device has blocks for at once, so that each goes on from tile to tile.
#ifdef OUTPOST_ON_GPU
constexpr int32_t kManyRows = 9001;
#else
constexpr int32_t kManyRows = 69;
#endif

/// Random weights as the backend keeps them.
std::unique_ptr<DeviceArray<std::byte>> device_matrix(DeviceType type, int64_t n_rows, int64_t n_cols, uint32_t seed) {
  const FileMatrix matrix = random_matrix(type.type, n_rows, n_cols, seed);
  auto weight = std::make_unique<DeviceArray<std::byte>>("weight", matrix.bytes);
  if (!type.is_wide) return weight;
  auto wide = std::make_unique<DeviceArray<std::byte>>("wide", device_bytes(type, n_rows * n_cols));
  run_widen(type.type, *weight, *wide, n_rows * n_cols);
  return wide;
}

/// Three matrices of these rows with one input.
class Products {
 public:
  Products(DeviceType type, const int32_t (&n_rows)[3], int64_t n_cols, int32_t n_tokens)
      : type_(type),
        x_(random_f32(static_cast<size_t>(n_tokens * n_cols), 5)),
        params_{{n_rows[0], n_rows[1], n_rows[2]}, static_cast<int32_t>(n_cols / 256), n_tokens, 5, 0} {
    for (uint32_t i = 0; i < 3; ++i) {
      weights_.push_back(device_matrix(type, std::max(n_rows[i], 1), n_cols, 10 + i));
      biases_.push_back(
          std::make_unique<DeviceArray<float>>("bias", random_f32(static_cast<size_t>(n_rows[i]), 20 + i)));
    }
  }

  std::vector<std::vector<float>> multiply(SuperPath path, Schedule schedule = Schedule::kRandom) {
    std::vector<std::unique_ptr<DeviceArray<float>>> ys;
    for (const int32_t n : params_.n_rows)
      ys.push_back(std::make_unique<DeviceArray<float>>("y", static_cast<size_t>(n * params_.n_tokens)));
    DeviceActivations x(x_, type_);  // by the launch right before: to be waited for
    DeviceArray<std::byte>* weights[] = {weights_[0].get(), weights_[1].get(), weights_[2].get()};
    DeviceArray<float>*biases[] = {biases_[0].get(), biases_[1].get(), biases_[2].get()},
    *results[] = {ys[0].get(), ys[1].get(), ys[2].get()};
    run_matvec_set(type_, weights, x, biases, results, params_, path, schedule);
    return {ys[0]->values(), ys[1]->values(), ys[2]->values()};
  }

  std::vector<float> multiply_gated(SuperPath path, int32_t gate) {
    DeviceArray<float> y("y", static_cast<size_t>(params_.n_rows[0] * params_.n_tokens));
    DeviceActivations x(x_, type_);
    const MatvecParams params{params_.n_rows[0], params_.n_super * 8, params_.n_tokens, 1, gate};
    run_matvec_gated(type_, *weights_[0], *weights_[1], x, *biases_[0], *biases_[1], y, params, path);
    return y.values();
  }

 private:
  DeviceType type_;
  std::vector<float> x_;
  SuperParams params_;
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> weights_;
  std::vector<std::unique_ptr<DeviceArray<float>>> biases_;
};

}  // namespace

TEST_CASE("gpu superblock stream: three matrices have the bits of products that load by themselves") {
  if (!has_stream_kernel()) return;
  for (const DeviceType type : kTypes) {
    CAPTURE(std::string(tensor_type_traits(type.type).name));
    for (const int32_t n_tokens : {1, 2, 7, 8, 9, 16}) {
      CAPTURE(n_tokens);
      // Less than a tile, more than two; fewer blocks than slots, and three steps of which the last is not full.
      Products small(type, {3, 0, 33}, 512, n_tokens), large(type, {70, 33, 1}, 19 * 256, n_tokens);
      CHECK(small.multiply(kSuperBulkCopies) == small.multiply(kSuperRegisters));
      CHECK(large.multiply(kSuperBulkCopies) == large.multiply(kSuperRegisters));
    }
  }
}

TEST_CASE("gpu superblock stream: bits do not depend on the order of warps and blocks, with more steps than stages") {
  if (!has_stream_kernel()) return;
  Products products({TensorType::kQ4_K, false}, {100, 0, 0}, 10 * 2048, 3);
  const auto expected = products.multiply(kSuperRegisters);
  for (const Schedule schedule : {Schedule::kInOrder, Schedule::kReverse, Schedule::kRandom})
    CHECK(products.multiply(kSuperBulkCopies, schedule) == expected);
}

TEST_CASE("gpu superblock stream: a block goes from tile to tile, and from one matrix to the next") {
  if (!has_stream_kernel()) return;
  for (const DeviceType type : kTypes) {
    CAPTURE(std::string(tensor_type_traits(type.type).name));
    for (const int32_t n_tokens : {1, 8, 16}) {
      CAPTURE(n_tokens);
      Products products(type, {kManyRows, 33, kManyRows / 2}, 3 * 256, n_tokens);
      CHECK(products.multiply(kSuperBulkCopies) == products.multiply(kSuperRegisters));
    }
  }
}

TEST_CASE("gpu superblock stream: a gated pair has the bits of one that loads by itself") {
  if (!has_stream_kernel()) return;
  for (const DeviceType type : kTypes) {
    CAPTURE(std::string(tensor_type_traits(type.type).name));
    for (const int32_t n_tokens : {1, 5, 16}) {
      CAPTURE(n_tokens);
      Products products(type, {37, 37, 0}, 9 * 256, n_tokens);
      CHECK(products.multiply_gated(kSuperBulkCopies, kGateGeGlu) ==
            products.multiply_gated(kSuperRegisters, kGateGeGlu));
    }
  }
}

namespace {

struct FusedCase {
  int32_t input, adds;
  bool is_gated;
};

/// What the launches that a fused product stands for give, one after the other.
std::vector<float> in_several_launches(DeviceType type, DeviceArray<std::byte>* (&weights)[3], const FusedCase& c,
                                       DeviceArray<float>& values, DeviceArray<float>& norm_weight,
                                       DeviceArray<float>* (&biases)[3], const std::vector<float>& before,
                                       const SuperParams& params) {
  const auto width = static_cast<size_t>(256 * params.n_super);
  DeviceArray<float> input("input", width), y("y", before.size()), sum("sum", before, RegionKind::kValues);
  std::vector<float> x = values.values();
  if (c.input == SuperFusion::kNormed) {
    run_rms_norm(input, values, norm_weight, 1, {static_cast<int32_t>(width), 1e-5f, 0, 0});
    x = input.values();
  }
  DeviceActivations codes(x, type);
  DeviceArray<float>* ys[] = {&y, &y, &y};
  if (c.is_gated) {
    const MatvecParams pair{params.n_rows[0], params.n_super * 8, 1, 1, params.gate};
    run_matvec_gated(type, *weights[0], *weights[1], codes, *biases[0], *biases[1], y, pair, kSuperRegisters);
  } else {
    run_matvec_set(type, weights, codes, biases, ys, params, kSuperRegisters);
  }
  if (c.adds == 0) return y.values();
  run_add(sum, y, {static_cast<int32_t>(before.size()), 0.75f, 0});
  return sum.values();
}

}  // namespace

TEST_CASE("gpu superblock stream: norm, codes and addition in one launch have the bits of several") {
  if (!has_stream_kernel()) return;
  for (const DeviceType type : kTypes) {
    CAPTURE(std::string(tensor_type_traits(type.type).name));
    // Less than a step of the norm's threads, which take 4096 columns, and more than two.
    for (const int32_t n_super : {3, 33}) {
      for (const FusedCase& c : {FusedCase{SuperFusion::kNormed, 0, false}, FusedCase{SuperFusion::kNormed, 0, true},
                                 FusedCase{SuperFusion::kValues, 1, false}, FusedCase{SuperFusion::kCodes, 1, false}}) {
        CAPTURE(n_super);
        CAPTURE(c.input);
        CAPTURE(c.is_gated);
        const int32_t n_rows = n_super == 3 ? kManyRows : 37;
        const auto n_outputs = static_cast<size_t>(n_rows);
        const auto width = static_cast<size_t>(256 * n_super);
        const auto a = device_matrix(type, n_rows, 256 * n_super, 40),
                   b = device_matrix(type, n_rows, 256 * n_super, 41);
        DeviceArray<float> bias_a("bias", random_f32(n_outputs, 42)), bias_b("bias", random_f32(n_outputs, 43));
        DeviceArray<float> values("values", random_f32(width, 44)), norm_weight("weight", random_f32(width, 45));
        const std::vector<float> before = random_f32(n_outputs, 46);
        DeviceArray<std::byte>* weights[] = {a.get(), b.get(), a.get()};
        DeviceArray<float>* biases[] = {&bias_a, &bias_b, &bias_a};
        const SuperParams params{{n_rows, c.is_gated ? n_rows : 0, 0}, n_super, 1, c.is_gated ? 3 : 1, kGateSwiGlu};
        const auto expected = in_several_launches(type, weights, c, values, norm_weight, biases, before, params);
        DeviceArray<float> y("y", before, RegionKind::kValues);
        DeviceArray<float>* ys[] = {&y, &y, &y};
        DeviceActivations codes(values.values(), type);
        run_fused(type, weights, codes, {values, norm_weight}, biases, ys, params, {c.input, 1e-5f, c.adds, 0.75f},
                  c.is_gated);
        CHECK(y.values() == expected);
      }
    }
  }
}
