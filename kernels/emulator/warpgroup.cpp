#include "kernels/emulator/warpgroup.h"

#include <algorithm>
#include <bit>

namespace outpost::emulator {
namespace {

constexpr int kRows = 64, kDepth = 16;  // of A

[[noreturn]] void fail(const std::string& what) { throw Fault(FaultKind::kProduct, describe_thread() + " " + what); }

bool is_in_flight(const float* values, size_t n) {
  return std::all_of(values, values + n, [](float value) { return std::bit_cast<uint32_t>(value) == kInFlightBits; });
}

/// "Matrix descriptor": where B lies.
class Descriptor {
 public:
  explicit Descriptor(uint64_t bits) : start_((bits & 0x3fff) << 4), stride_((bits >> 32 & 0x3fff) << 4) {
    // K-major with the 128-byte swizzle is what is used. The leading dimension's stride means nothing there.
    const uint64_t swizzle = bits >> 62, base_offset = bits >> 49 & 7;
    if (swizzle != 1 || base_offset != 0) fail("multiplies with a descriptor whose layout the emulator does not have");
  }

  /// Of eight neighbours of a column, the first of which is row k. Eight columns are rows of 128 bytes, one after the
  /// other, the next eight a stride further; bits 4 to 6 of an address are turned by bits 7 to 9.
  uint32_t address(int column, int k) const {
    const uint64_t plain = start_ + static_cast<uint64_t>(column / 8) * stride_ +
                           static_cast<uint64_t>(column % 8) * 128 + static_cast<uint64_t>(k) * sizeof(uint16_t);
    return static_cast<uint32_t>(plain ^ ((plain >> 7 & 7) << 4));
  }

 private:
  uint64_t start_, stride_;
};

/// B as [16, n_columns]. Checks that every thread of the group may read it.
std::vector<double> read_b(uint64_t bits, int n_columns, GroupClock& group, uint32_t product,
                           float (*value_of)(uint16_t)) {
  const Descriptor descriptor(bits);
  std::vector<double> b(static_cast<size_t>(kDepth * n_columns));
  for (int column = 0; column < n_columns; ++column) {
    for (int k = 0; k < kDepth; k += 8) {
      const uint32_t address = descriptor.address(column, k);
      Region* region = shared_at(address);
      if (region == nullptr) fail("multiplies with an address in no shared array");
      uint16_t elements[8];
      std::memcpy(elements, region->access_by_product(address - region->shared_address(), group, product),
                  sizeof(elements));
      for (int i = 0; i < 8; ++i) b[static_cast<size_t>((k + i) * n_columns + column)] = double{value_of(elements[i])};
    }
  }
  return b;
}

}  // namespace

WarpgroupProducts::WarpgroupProducts(BlockOrder& order, int n_threads)
    : order_(order),
      threads_(static_cast<size_t>(n_threads)),
      n_products_(static_cast<size_t>((n_threads + kWarpgroupSize - 1) / kWarpgroupSize)) {}

void WarpgroupProducts::fence(Site site) {
  meet_in_warp("wgmma fence", site);
  ++own().n_fences;
}

void WarpgroupProducts::commit(Site site) {
  meet_in_warp("wgmma commit", site);
  own().groups.push_back(own_products());
}

void WarpgroupProducts::set_registers(int n, Site site) {
  if (n % 8 != 0 || n < 24 || n > 256) fail("wants " + std::to_string(n) + " registers");
  meet_in_warpgroup("setmaxnreg", site);
}

void WarpgroupProducts::wait(size_t n_pending, Site site) {
  meet_in_warp("wgmma wait", site);
  Thread& thread = own();
  if (thread.groups.size() <= n_pending) return;
  const uint32_t n_over = thread.groups[thread.groups.size() - 1 - n_pending];
  for (Word& word : thread.words) {
    if (!word.is_in_flight || word.product > n_over) continue;
    if (*word.variable != word.value) fail("has written a register of A that a product may still have read");
    word.is_in_flight = false;
  }
  for (Sums& sums : thread.sums) {
    if (!sums.is_in_flight || sums.product > n_over) continue;
    if (!is_in_flight(sums.variable, sums.values.size())) fail("has written sums of a product in flight");
    std::copy(sums.values.begin(), sums.values.end(), sums.variable);
    sums.n_fences = thread.n_fences;
    sums.is_in_flight = false;
  }
  order_.clock_of(thread_index()).raise(order_.products_of(thread_index() / kWarpSize), n_over);
}

void WarpgroupProducts::take_sums(Thread& thread, float* d, int n_sums, uint32_t product) {
  const auto n = static_cast<size_t>(n_sums);
  const auto known = std::find_if(thread.sums.begin(), thread.sums.end(),
                                  [&](const Sums& sums) { return sums.variable == d && sums.values.size() == n; });
  thread.own_sums = static_cast<size_t>(known - thread.sums.begin());
  if (known == thread.sums.end()) thread.sums.push_back({d, std::vector<float>(d, d + n), 0, 0, false});
  Sums& sums = thread.sums[thread.own_sums];
  if (sums.is_in_flight) {
    // Products of one shape may follow each other on the same sums.
    if (!is_in_flight(d, n)) fail("has written sums of a product in flight");
  } else {
    const bool is_known = std::memcmp(d, sums.values.data(), n * sizeof(float)) == 0;
    if (!is_known && sums.n_fences == thread.n_fences) fail("has written sums without a fence before the next product");
    std::copy(d, d + n, sums.values.begin());
  }
  sums.product = product;
  sums.is_in_flight = true;
}

void WarpgroupProducts::take_word(Thread& thread, const uint32_t* variable, uint32_t product) {
  auto word = std::find_if(thread.words.begin(), thread.words.end(),
                           [&](const Word& known) { return known.variable == variable; });
  if (word == thread.words.end()) {
    thread.words.push_back({variable, *variable, product, thread.n_fences, false});
    word = thread.words.end() - 1;
  }
  if (word->value != *variable) {
    if (word->is_in_flight) fail("has written a register of A that a product may still have read");
    if (word->n_fences == thread.n_fences) fail("has written a register of A without a fence before the next product");
  }
  *word = {variable, *variable, product, thread.n_fences, true};
}

void WarpgroupProducts::multiply(float* d, int n_sums, const ProductOperand (&a)[4], uint64_t b,
                                 float (*value_of)(uint16_t), Site site) {
  Thread& thread = own();
  if (thread.n_fences == 0) fail("starts a product without a fence before the first");
  const int first_thread = thread_index() / kWarpgroupSize * kWarpgroupSize;
  const uint32_t product = own_products() + 1;
  take_sums(thread, d, n_sums, product);
  for (int i = 0; i < 4; ++i) {
    take_word(thread, a[i].variable(), product);
    thread.a[i] = *a[i].variable();
  }
  thread.n_sums = n_sums;
  thread.b = b;
  if (!meet_in_warpgroup("wgmma", site)) return;
  own_products() = product;
  compute(first_thread, n_sums, product, value_of);
}

/// Products and their sum in f64, rounded once: units of a device are not as exact. With q = lane / 4 and c = lane % 4
/// a thread of warp w has of A rows 16 w + q (a0, a2) and 8 further (a1, a3), columns 2c and 2c + 1 (a0, a1), and 8
/// further (a2, a3); of the sum d[4 j + 2 h + i] row 16 w + q + 8 h, column 8 j + 2c + i.
void WarpgroupProducts::compute(int first_thread, int n_sums, uint32_t product, float (*value_of)(uint16_t)) {
  const auto thread_at = [&](int i) -> Thread& { return threads_[static_cast<size_t>(first_thread + i)]; };
  const int n_columns = 2 * n_sums;
  for (int i = 1; i < kWarpgroupSize; ++i)
    if (thread_at(i).b != thread_at(0).b || thread_at(i).n_sums != n_sums)
      fail("is in a warpgroup whose threads want different products");
  GroupClock group(order_, first_thread, kWarpgroupSize);
  const std::vector<double> b = read_b(thread_at(0).b, n_columns, group, product, value_of);

  std::vector<double> totals(static_cast<size_t>(n_columns));
  for (int row = 0; row < kRows; ++row) {
    const int quad = row / 16 * kWarpSize + row % 8 * 4, high = row % 16 / 8;  // the first of the row's four threads
    std::fill(totals.begin(), totals.end(), 0.0);
    for (int k = 0; k < kDepth; ++k) {
      const uint32_t word = thread_at(quad + k % 8 / 2).a[k / 8 * 2 + high];
      const double factor = double{value_of(static_cast<uint16_t>(word >> (16 * (k % 2))))};
      const double* of_b = b.data() + k * n_columns;
      for (int column = 0; column < n_columns; ++column) totals[static_cast<size_t>(column)] += factor * of_b[column];
    }
    for (int c = 0; c < 4; ++c) {
      Thread& thread = thread_at(quad + c);
      float* sums = thread.sums[thread.own_sums].values.data() + 2 * high;
      for (int j = 0; j < n_columns / 8; ++j)
        for (int i = 0; i < 2; ++i)
          sums[4 * j + i] =
              static_cast<float>(double{sums[4 * j + i]} + totals[static_cast<size_t>(8 * j + 2 * c + i)]);
    }
  }
  for (int i = 0; i < kWarpgroupSize; ++i) {
    float* variable = thread_at(i).sums[thread_at(i).own_sums].variable;
    std::fill(variable, variable + n_sums, std::bit_cast<float>(kInFlightBits));
  }
}

}  // namespace outpost::emulator
