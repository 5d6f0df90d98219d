#include "backend/cpu/cpu_features.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "core/strings.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace outpost {
namespace {

#if defined(__x86_64__) && defined(__GNUC__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
         __builtin_cpu_supports("bmi2");
}
/// The 256-bit dot product of bytes as AVX-VNNI encodes it. GCC's name for it is unknown to older clang.
bool has_avx2_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
}
bool has_avx2_vnni_evex() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}
/// The matrix unit's registers are 8 KiB that a thread switch has to save: Linux wants to be asked before they are
/// used. It refuses where a thread's stack for signals has no room for them.
bool may_use_tile_registers() {
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool is_allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return is_allowed;
#else
  return false;
#endif
}
bool has_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!has_avx512() || __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  const bool has_tiles = (edx & (1u << 24)) != 0, has_int8 = (edx & (1u << 25)) != 0;
  return has_tiles && has_int8 && may_use_tile_registers();
}
#elif defined(_M_X64)
bool has_avx2() { return false; }
bool has_avx2_vnni() { return false; }
bool has_avx2_vnni_evex() { return false; }
bool has_avx512() { return false; }
#elif defined(__aarch64__) && defined(__linux__)
bool has_dot_product() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_i8mm() { return has_dot_product() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#elif defined(__aarch64__) && defined(__APPLE__)
bool has_feature(const char* name) {
  int value = 0;
  size_t size = sizeof(value);
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool has_dot_product() { return has_feature("hw.optional.arm.FEAT_DotProd"); }
bool has_i8mm() { return has_dot_product() && has_feature("hw.optional.arm.FEAT_I8MM"); }
#elif defined(__aarch64__)
bool has_dot_product() { return false; }
bool has_i8mm() { return false; }
#endif

/// Null where this processor cannot run them. @pre choice is not kAuto
const CpuKernelTable* find_kernels(CpuKernels choice) {
  switch (choice) {
    case CpuKernels::kScalar: return &cpu_kernels_scalar();
#if defined(__x86_64__) || defined(_M_X64)
    case CpuKernels::kAvx2: return has_avx2() ? &cpu_kernels_avx2() : nullptr;
    case CpuKernels::kAvx2Vnni:
      if (has_avx2_vnni()) return &cpu_kernels_avx2_vnni();
      return has_avx2_vnni_evex() ? &cpu_kernels_avx2_vnni_evex() : nullptr;
    case CpuKernels::kAvx512: return has_avx512() ? &cpu_kernels_avx512() : nullptr;
#ifdef __GNUC__
    case CpuKernels::kAmx: return has_amx() ? &cpu_kernels_amx() : nullptr;
#endif
#elif defined(__aarch64__)
    case CpuKernels::kNeon: return has_dot_product() ? &cpu_kernels_neon() : nullptr;
    case CpuKernels::kNeonI8mm: return has_i8mm() ? &cpu_kernels_neon_i8mm() : nullptr;
#endif
    default: return nullptr;
  }
}

}  // namespace

const CpuKernelTable& select_cpu_kernels(CpuKernels choice) {
  if (choice == CpuKernels::kAuto) {
    for (const CpuKernels kernels : {CpuKernels::kAmx, CpuKernels::kAvx512, CpuKernels::kAvx2Vnni, CpuKernels::kAvx2,
                                     CpuKernels::kNeonI8mm, CpuKernels::kNeon}) {
      if (const CpuKernelTable* table = find_kernels(kernels); table != nullptr) return *table;
    }
    return cpu_kernels_scalar();
  }
  const CpuKernelTable* table = find_kernels(choice);
  if (table == nullptr) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("This processor cannot run the ", kCpuKernelNames[static_cast<size_t>(choice)],
                             " kernels. Choose auto."));
  }
  return *table;
}

int32_t count_physical_cores() {
  const auto n_logical = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
#ifdef __linux__
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return n_logical;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream in(concat("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    std::string siblings;
    if (!std::getline(in, siblings)) siblings = std::to_string(cpu);  // no topology: count it as a core
    cores.insert(siblings);
  }
  return std::max<int32_t>(1, static_cast<int32_t>(cores.size()));
#else
  return n_logical;
#endif
}

}  // namespace outpost
