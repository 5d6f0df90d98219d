#include "backend/cpu/cpu_features.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "core/strings.h"

#ifdef __linux__
#include <sched.h>
#endif

namespace outpost {
namespace {

#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
         __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

[[noreturn]] void fail_missing(const char* name) {
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("This processor cannot run the ", name, " kernels. Choose auto."));
}

}  // namespace

const CpuKernelTable& select_cpu_kernels(CpuKernels choice) {
#if defined(__x86_64__) || defined(_M_X64)
  if (choice == CpuKernels::kAvx512 && !has_avx512()) fail_missing("avx512");
  if (choice == CpuKernels::kAvx2 && !has_avx2()) fail_missing("avx2");
  if (choice == CpuKernels::kAvx512 || (choice == CpuKernels::kAuto && has_avx512())) return cpu_kernels_avx512();
  if (choice == CpuKernels::kAvx2 || (choice == CpuKernels::kAuto && has_avx2())) return cpu_kernels_avx2();
#else
  if (choice == CpuKernels::kAvx512) fail_missing("avx512");
  if (choice == CpuKernels::kAvx2) fail_missing("avx2");
#endif
  return cpu_kernels_scalar();
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
