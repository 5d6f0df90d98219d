// What the kernels as C++ call of the emulator, for a program that does not run them so: they are there as names
// (kernel_table.h), and nobody calls them.
#include <cstdlib>

#include "kernels/emulator/simd_matrix.h"
#include "kernels/emulator/simt.h"

namespace outpost::emulator {

Region* (*find_address)(int64_t address, int64_t& offset) = nullptr;

std::byte* Region::access(int64_t, size_t, Access) { std::abort(); }
void Region::check_hint(int64_t) const { std::abort(); }
void check_stored(float) { std::abort(); }
Dim3 block_index() { std::abort(); }
int32_t thread_index() { std::abort(); }
std::string describe_thread() { std::abort(); }
void wait_for_launches() { std::abort(); }
void fill_matrix(SimdMatrix&, float, Site) { std::abort(); }
void load_matrix(SimdMatrix&, const SimdMatrixPlace&, bool, float (*)(uint16_t), Site) { std::abort(); }
void store_matrix(const SimdMatrix&, const SimdMatrixPlace&, Site) { std::abort(); }
void multiply_add(SimdMatrix&, const SimdMatrix&, const SimdMatrix&, Site) { std::abort(); }
void barrier(Site) { std::abort(); }
void warp_sync(Site) { std::abort(); }
const std::byte* exchange(const void*, size_t, Site) { std::abort(); }
Region* declare_shared(const char*, size_t, size_t) { std::abort(); }

}  // namespace outpost::emulator
