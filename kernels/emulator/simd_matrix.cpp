#include "kernels/emulator/simd_matrix.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

namespace outpost::emulator {
namespace {

constexpr int kSize = kSimdMatrixSize;

using Values = std::array<float, kSize * kSize>;

/// What a lane brings to an operation.
struct Operands {
  SimdMatrix* result = nullptr;
  const SimdMatrix* inputs[3] = {};
  SimdMatrixPlace place = {};
  bool is_transposed = false;
  float value = 0;
};

/// Of every thread of the running block, until its warp is complete.
std::array<Operands, kMaxThreads> given;

uint64_t n_matrices_ever = 0;

[[noreturn]] void fail(FaultKind kind, const std::string& what) { throw Fault(kind, describe_thread() + " " + what); }

/// The operands of the warp's lanes for the one that comes last and does the work; none for the others.
std::span<const Operands> gather(const Operands& own, const char* what, Site site) {
  given[static_cast<size_t>(thread_index())] = own;
  if (!meet_in_warp(what, site)) return {};
  const std::span<const Operands> lanes(&given[static_cast<size_t>(thread_index() / kWarpSize * kWarpSize)], kWarpSize);
  for (const Operands& lane : lanes) {
    if (lane.place != lanes[0].place || lane.is_transposed != lanes[0].is_transposed || lane.value != lanes[0].value)
      fail(FaultKind::kWarpDivergence, std::string("is at a ") + what + " for which lanes have different operands");
  }
  return lanes;
}

/// Where row `row` begins, 16 bytes at a time.
int64_t row_offset(const SimdMatrixPlace& place, int row, int64_t element_bytes) {
  const int64_t begin = place.offset + row * place.stride * element_bytes;
  if (begin % 16 != 0) fail(FaultKind::kMisaligned, "has a matrix whose rows are no multiples of 16 bytes apart");
  if (place.stride < kSize) fail(FaultKind::kOutOfBounds, "has a matrix whose rows overlap");
  return begin;
}

/// An access of no lane in particular.
std::byte* access_of_warp(const SimdMatrixPlace& place, int64_t offset, Access access) {
  AccessClock clock = access_clock();
  clock.thread = static_cast<uint16_t>(clock.warp() * kWarpSize) | kWholeWarp;
  return place.region->access(offset, 16, access, clock);
}

}  // namespace

struct SimdMatrixAccess {
  /// Element i is in lane i / 2: any order would do that nobody can see.
  static constexpr int kShare = kSize * kSize / kWarpSize;

  static Values values_of(std::span<const Operands> lanes, int input) {
    Values values;
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const SimdMatrix& matrix = *lanes[static_cast<size_t>(lane)].inputs[input];
      if (matrix.number_ == 0) fail(FaultKind::kUninitializedRead, "reads a matrix that has no value");
      if (matrix.number_ != lanes[0].inputs[input]->number_)
        fail(FaultKind::kWarpDivergence, "is in a warp whose lanes give shares of different matrices");
      std::copy_n(matrix.values_, kShare, &values[static_cast<size_t>(lane * kShare)]);
    }
    return values;
  }

  static void set(std::span<const Operands> lanes, const Values& values) {
    ++n_matrices_ever;
    for (int lane = 0; lane < kWarpSize; ++lane) {
      SimdMatrix& matrix = *lanes[static_cast<size_t>(lane)].result;
      std::copy_n(&values[static_cast<size_t>(lane * kShare)], kShare, matrix.values_);
      matrix.number_ = n_matrices_ever;
    }
  }
};

void fill_matrix(SimdMatrix& matrix, float value, Site site) {
  const auto lanes = gather({.result = &matrix, .value = value}, "matrix fill", site);
  if (lanes.empty()) return;
  Values values;
  values.fill(value);
  SimdMatrixAccess::set(lanes, values);
}

void load_matrix(SimdMatrix& matrix, const SimdMatrixPlace& from, bool is_transposed, float (*value_of)(uint16_t),
                 Site site) {
  const auto lanes = gather({.result = &matrix, .place = from, .is_transposed = is_transposed}, "matrix load", site);
  if (lanes.empty()) return;
  Values values;
  for (int row = 0; row < kSize; ++row) {
    uint16_t elements[kSize];
    const int64_t begin = row_offset(from, row, sizeof(uint16_t));
    std::memcpy(elements, access_of_warp(from, begin, Access::kRead), sizeof(elements));
    for (int i = 0; i < kSize; ++i)
      values[static_cast<size_t>(is_transposed ? i * kSize + row : row * kSize + i)] = value_of(elements[i]);
  }
  SimdMatrixAccess::set(lanes, values);
}

void store_matrix(const SimdMatrix& matrix, const SimdMatrixPlace& to, Site site) {
  const auto lanes = gather({.inputs = {&matrix}, .place = to}, "matrix store", site);
  if (lanes.empty()) return;
  const Values values = SimdMatrixAccess::values_of(lanes, 0);
  constexpr int kPiece = 16 / sizeof(float);
  for (int row = 0; row < kSize; ++row) {
    const int64_t begin = row_offset(to, row, sizeof(float));
    for (int i = 0; i < kSize; i += kPiece) {
      std::byte* bytes = access_of_warp(to, begin + i * static_cast<int64_t>(sizeof(float)), Access::kWrite);
      std::memcpy(bytes, &values[static_cast<size_t>(row * kSize + i)], 16);
    }
  }
}

void multiply_add(SimdMatrix& sum, const SimdMatrix& a, const SimdMatrix& b, Site site) {
  const auto lanes = gather({.result = &sum, .inputs = {&sum, &a, &b}}, "matrix product", site);
  if (lanes.empty()) return;
  Values values = SimdMatrixAccess::values_of(lanes, 0);
  const Values of_a = SimdMatrixAccess::values_of(lanes, 1), of_b = SimdMatrixAccess::values_of(lanes, 2);
  for (size_t row = 0; row < kSize; ++row) {
    double totals[kSize];
    for (size_t column = 0; column < kSize; ++column) totals[column] = double{values[row * kSize + column]};
    for (size_t k = 0; k < kSize; ++k) {
      for (size_t column = 0; column < kSize; ++column)
        totals[column] += double{of_a[row * kSize + k]} * double{of_b[k * kSize + column]};
    }
    for (size_t column = 0; column < kSize; ++column) values[row * kSize + column] = static_cast<float>(totals[column]);
  }
  SimdMatrixAccess::set(lanes, values);
}

}  // namespace outpost::emulator
