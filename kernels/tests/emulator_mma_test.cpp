// Matrix products against plain ones, lane by lane: those of mma.h, and of compute capability 7.5 in parts.
#include "core/half.h"
#include "kernels/cuda/mma.h"
#include "kernels/tests/emulator_faults.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;
using emulator::DeviceArray;

namespace {

constexpr int32_t kRows = 16, kColumns = 8, kDepth = 16;

// All bytes, and small integers: every sum is exact, whatever its order.
int32_t value_of_a(int32_t row, int32_t k) { return (row * 51 + k * 29) % 256 - 128; }
int32_t value_of_b(int32_t k, int32_t column) { return (k * 7 + column * 11) % 13 - 6; }
int32_t unsigned_value_of_b(int32_t k, int32_t column) { return (k * 37 + column * 101) % 256; }
int32_t start_of(int32_t row, int32_t column) { return 100 * row + column; }

uint32_t byte_in(int32_t value, int32_t i) { return uint32_t{static_cast<uint8_t>(value)} << (8 * i); }
uint32_t half_in(int32_t value, int32_t i) { return uint32_t{float_to_half(static_cast<float>(value))} << (16 * i); }

/// Four bytes of a row of A, and of a column of B.
uint32_t bytes_of_a(int32_t row, int32_t k) {
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; ++i) word |= byte_in(value_of_a(row, k + i), i);
  return word;
}
uint32_t bytes_of_b(int32_t k, int32_t column, int32_t (*value)(int32_t, int32_t) = value_of_b) {
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; ++i) word |= byte_in(value(k + i, column), i);
  return word;
}
uint32_t halves_of_a(int32_t row, int32_t k) {
  return half_in(value_of_a(row, k), 0) | half_in(value_of_a(row, k + 1), 1);
}
uint32_t halves_of_b(int32_t k, int32_t column) {
  return half_in(value_of_b(k, column), 0) | half_in(value_of_b(k + 1, column), 1);
}

/// y [16, 8] = start + A [16, 16] * B [16, 8], every lane with its words of fragments as mma.h has them.
template <typename Sum, typename Multiply>
void check_product(const Multiply& multiply, int32_t (*value)(int32_t, int32_t) = value_of_b) {
  DeviceArray<Sum> y("y", kRows * kColumns);
  check_correct(32, [&] {
    const Here here = GPU_HERE;
    const int32_t q = here.lane / 4, c = here.lane % 4;
    Sum sum[4];
    for (int32_t i = 0; i < 4; ++i) sum[i] = static_cast<Sum>(start_of(q + i / 2 * 8, 2 * c + i % 2));
    multiply(sum, q, c);
    const DevicePtr<Sum> out = y;
    for (int32_t i = 0; i < 4; ++i) out[(q + i / 2 * 8) * kColumns + 2 * c + i % 2] = sum[i];
  });
  const std::vector<Sum> values = y.values();
  for (int32_t row = 0; row < kRows; ++row) {
    for (int32_t column = 0; column < kColumns; ++column) {
      int32_t sum = start_of(row, column);
      for (int32_t k = 0; k < kDepth; ++k) sum += value_of_a(row, k) * value(k, column);
      if (values[static_cast<size_t>(row * kColumns + column)] != static_cast<Sum>(sum))
        FAIL_CHECK("row ", row, ", column ", column);
    }
  }
}

}  // namespace

TEST_CASE("matrix units of 7.5: bytes, in two products of 8 rows") {
  check_product<int32_t>([](int32_t(&sum)[4], int32_t q, int32_t c) {
    mma_s8_in_parts(sum, bytes_of_a(q, 4 * c), bytes_of_a(q + 8, 4 * c), bytes_of_b(4 * c, q));
  });
}

TEST_CASE("matrix units of 7.5: f16, in two products of 8 columns") {
  check_product<float>([](float(&sum)[4], int32_t q, int32_t c) {
    const Words4 a = {halves_of_a(q, 2 * c), halves_of_a(q + 8, 2 * c), halves_of_a(q, 2 * c + 8),
                      halves_of_a(q + 8, 2 * c + 8)};
    mma_f16_in_parts(sum, a, halves_of_b(2 * c, q), halves_of_b(2 * c + 8, q));
  });
}

TEST_CASE("matrix units: the whole products are those of the parts") {
  check_product<int32_t>([](int32_t(&sum)[4], int32_t q, int32_t c) {
    const MmaSum result =
        mma_s8({sum[0], sum[1], sum[2], sum[3]}, bytes_of_a(q, 4 * c), bytes_of_a(q + 8, 4 * c), bytes_of_b(4 * c, q));
    for (int32_t i = 0; i < 4; ++i) sum[i] = result.values[i];
  });
  check_product<float>([](float(&sum)[4], int32_t q, int32_t c) {
    const Words4 a = {halves_of_a(q, 2 * c), halves_of_a(q + 8, 2 * c), halves_of_a(q, 2 * c + 8),
                      halves_of_a(q + 8, 2 * c + 8)};
    mma_f16(sum, a, halves_of_b(2 * c, q), halves_of_b(2 * c + 8, q));
  });
}

TEST_CASE("matrix units: bytes of B without a sign, of 7.5 and in both halves of the whole product") {
  const auto bytes = [](int32_t q, int32_t c) { return bytes_of_b(4 * c, q, unsigned_value_of_b); };
  check_product<int32_t>(
      [&](int32_t(&sum)[4], int32_t q, int32_t c) {
        mma_s8_u8_in_parts(sum, bytes_of_a(q, 4 * c), bytes_of_a(q + 8, 4 * c), bytes(q, c));
      },
      unsigned_value_of_b);
  for (const bool is_second : {false, true}) {
    check_product<int32_t>(
        [&](int32_t(&sum)[4], int32_t q, int32_t c) {
          const uint32_t a = bytes_of_a(q, 4 * c), a8 = bytes_of_a(q + 8, 4 * c), b = bytes(q, c), other = 0xffffffffu;
          const MmaSum start = {sum[0], sum[1], sum[2], sum[3]};
          const MmaSum result =
              is_second ? mma_s8_u8(start, 0, 0, a, a8, other, b) : mma_s8_u8(start, a, a8, 0, 0, b, other);
          for (int32_t i = 0; i < 4; ++i) sum[i] = result.values[i];
        },
        unsigned_value_of_b);
  }
}
