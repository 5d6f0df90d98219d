// Products on emulated matrix units: the instruction against a plain product, and the kernel against matvec, whose bits
// it has to give for every type and any number of tokens.
#include "kernels/cuda/matmul.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/common/visit_block.h"
#include "kernels/tests/operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

#ifndef OUTPOST_ON_GPU  // a device has it, and does not look into it

TEST_CASE("gpu matmul: the matrix instruction multiplies signed bytes by its definition") {
  std::mt19937 random(1);
  int8_t a[16][16], b[16][8];
  for (auto& row : a)
    for (int8_t& x : row) x = static_cast<int8_t>(random());
  for (auto& row : b)
    for (int8_t& x : row) x = static_cast<int8_t>(random());
  DeviceArray<int32_t> sums("sums", 16 * 8);
  emulator::launch({{1}, 32, Schedule::kRandom, 1}, [&] {
    const int32_t quad = GPU_HERE.lane / 4, place = GPU_HERE.lane % 4;
    const auto word = [&](const auto& byte) {
      return word_of(byte(4 * place), byte(4 * place + 1), byte(4 * place + 2), byte(4 * place + 3));
    };
    const MmaSum start = {{1, 2, 3, 4}};
    const MmaSum sum =
        mma_s8(start, word([&](int32_t k) { return a[quad][k]; }), word([&](int32_t k) { return a[quad + 8][k]; }),
               word([&](int32_t k) { return b[k][quad]; }));
    for (int32_t i = 0; i < 4; ++i)
      sums.pointer()[(quad + i / 2 * 8) * 8 + 2 * place + i % 2] = sum.values[i] - start.values[i];
  });
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      int32_t expected = 0;
      for (size_t k = 0; k < 16; ++k) expected += a[row][k] * b[k][column];
      CHECK(sums.values()[row * 8 + column] == expected);
    }
  }
}

#endif

TEST_CASE("gpu matmul: gives the bits of matvec for every type, with rows, tokens and groups that fill no tile") {
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    const bool is_small = tensor_type_traits(type).block_elements <= 32;
    const int64_t n_rows = 19, n_cols = is_small ? 35 * 32 : 1280;
    const int32_t n_tokens = 21;
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, 2);
    if (!visit_block(type, []<typename>() {})) continue;
    const auto values = random_f32(static_cast<size_t>(n_tokens * n_cols), 3);
    if (is_superblock(type)) continue;  // matvec adds these up in another order: below
    DeviceActivations x(values, type);
    DeviceArray<float> bias("bias", random_f32(static_cast<size_t>(n_rows), 4));
    DeviceArray<std::byte> weight = device_bytes_of(matrix);
    DeviceArray<float> y("y", static_cast<size_t>(n_tokens * n_rows));
    MatvecParams params{static_cast<int32_t>(n_rows), static_cast<int32_t>(n_cols / 32), n_tokens, 1, 0};
    run_matvec(type, weight, x, bias, y, params, Schedule::kRandom);

    const auto all = y.values();
    for (int32_t t = 0; t < n_tokens; t += 20) {  // the first and the last
      DeviceActivations one(std::vector<float>(values.begin() + t * n_cols, values.begin() + (t + 1) * n_cols), type);
      DeviceArray<float> alone("alone", static_cast<size_t>(n_rows));
      params.n_tokens = 1;
      run_matvec(type, weight, one, bias, alone, params);
      const auto expected = alone.values();
      CHECK(std::equal(expected.begin(), expected.end(), all.begin() + t * n_rows));
    }
  }
}

TEST_CASE("gpu matmul: of superblocks is what few tokens give, but for rounding") {
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ5_K}) {
    const int64_t n_rows = 19, n_cols = 1280;
    const int32_t n_tokens = 17;
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, 6);
    const auto values = random_f32(static_cast<size_t>(n_tokens * n_cols), 7);
    DeviceActivations x(values, type), one(std::vector<float>(values.begin(), values.begin() + n_cols), type);
    DeviceArray<float> bias("bias", random_f32(static_cast<size_t>(n_rows), 8));
    DeviceArray<std::byte> weight = device_bytes_of(matrix);
    DeviceArray<float> y("y", static_cast<size_t>(n_tokens * n_rows)), alone("alone", static_cast<size_t>(n_rows));
    MatvecParams params{static_cast<int32_t>(n_rows), static_cast<int32_t>(n_cols / 32), n_tokens, 1, 0};
    run_matvec(type, weight, x, bias, y, params);
    params.n_tokens = 1;
    run_matvec(type, weight, one, bias, alone, params);
    const auto w = matrix.values(), many = y.values(), few = alone.values();
    for (size_t row = 0; row < static_cast<size_t>(n_rows); ++row) {
      // Both round the same exact terms: a term of 32 columns at most six times, and their sums once each. Terms with
      // offsets are up to five times as large as their difference.
      double size = 1;
      for (size_t col = 0; col < static_cast<size_t>(n_cols); ++col)
        size += std::abs(double{w[row * static_cast<size_t>(n_cols) + col]} * values[col]);
      CHECK(std::abs(double{many[row]} - few[row]) <= 2 * (n_cols / 32 + 6) * 0x1p-24 * 5 * size);
    }
  }
}
