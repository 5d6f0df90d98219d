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
