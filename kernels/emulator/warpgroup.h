// Products that four warps start together and wait for later: PTX ISA, "Asynchronous Warpgroup Level Matrix
// Instructions", of 16-bit elements with f32 sums, A in registers and B in shared memory.
//
// A product is computed when all threads have come. Until it was waited for its sums are kept here, and where the
// kernel has them stands kInFlightBits: who reads them too early gets that, who writes them is found at the wait.
#pragma once

#include <vector>

#include "kernels/emulator/order.h"
#include "kernels/emulator/simt.h"

namespace outpost::emulator {

/// A register that a product reads until it was waited for: a variable, whose value is compared.
class ProductOperand {
 public:
  ProductOperand(const uint32_t& variable) : variable_(&variable) {}
  ProductOperand(const uint32_t&&) = delete;

  const uint32_t* variable() const { return variable_; }

 private:
  const uint32_t* variable_;
};

class WarpgroupProducts {
 public:
  WarpgroupProducts(BlockOrder& order, int n_threads);

  /// wgmma.fence
  void fence(Site site);
  /// wgmma.mma_async m64nNk16: d += A * B, with the fragment of this thread and N = 2 * n_sums columns.
  /// @param value_of an element of A or B
  void multiply(float* d, int n_sums, const ProductOperand (&a)[4], uint64_t b, float (*value_of)(uint16_t), Site site);
  /// wgmma.commit_group
  void commit(Site site);
  /// wgmma.wait_group
  void wait(size_t n_pending, Site site);
  /// setmaxnreg, which only checks who comes.
  void set_registers(int n, Site site);

 private:
  /// Registers of a thread: sums, or one word of A.
  struct Sums {
    float* variable;
    std::vector<float> values;
    uint32_t product;   ///< the last that adds to them
    uint32_t n_fences;  ///< of the thread, when they were last known
    bool is_in_flight;
  };
  struct Word {
    const uint32_t* variable;
    uint32_t value;
    uint32_t product, n_fences;
    bool is_in_flight;
  };
  struct Thread {
    uint32_t n_fences = 0;
    std::vector<uint32_t> groups;  ///< products by the ends of committed groups
    std::vector<Sums> sums;
    std::vector<Word> words;
    // Of the product that its warpgroup starts:
    size_t own_sums = 0;
    int n_sums = 0;
    uint32_t a[4] = {};
    uint64_t b = 0;
  };

  uint32_t& own_products() { return n_products_[static_cast<size_t>(thread_index() / kWarpgroupSize)]; }
  Thread& own() { return threads_[static_cast<size_t>(thread_index())]; }
  void take_sums(Thread& thread, float* d, int n_sums, uint32_t product);
  void take_word(Thread& thread, const uint32_t* variable, uint32_t product);
  void compute(int first_thread, int n_sums, uint32_t product, float (*value_of)(uint16_t));

  BlockOrder& order_;
  std::vector<Thread> threads_;
  std::vector<uint32_t> n_products_;  ///< of each warpgroup
};

}  // namespace outpost::emulator
