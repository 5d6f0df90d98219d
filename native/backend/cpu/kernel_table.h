// The table of one kernels_*.cpp. Included after its lanes; internal to it.
#pragma once

#include <cassert>

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/matmul_block_kernels.h"
#include "backend/cpu/matmul_codebook_kernels.h"
#include "backend/cpu/matmul_kernels.h"
#include "backend/cpu/peak_kernels.h"
#include "backend/cpu/vector_kernels.h"

namespace outpost {
namespace {

MatmulKernel matmul_kernel(TensorType type) {
  switch (type) {
    case TensorType::kF32: return matmul_f32;
    case TensorType::kF16: return matmul_f16;
    case TensorType::kBF16: return matmul_bf16;
    case TensorType::kQ4_0: return matmul_q4_0;
    case TensorType::kQ4_1: return matmul_q4_1;
    case TensorType::kQ5_0: return matmul_q5_0;
    case TensorType::kQ5_1: return matmul_q5_1;
    case TensorType::kQ8_0: return matmul_q8_0;
    case TensorType::kQ2_K: return matmul_q2_K;
    case TensorType::kQ3_K: return matmul_q3_K;
    case TensorType::kQ4_K: return matmul_q4_K;
    case TensorType::kQ5_K: return matmul_q5_K;
    case TensorType::kQ6_K: return matmul_q6_K;
    case TensorType::kIQ2_XXS: return matmul_iq2_xxs;
    case TensorType::kIQ2_XS: return matmul_iq2_xs;
    case TensorType::kIQ2_S: return matmul_iq2_s;
    case TensorType::kIQ3_XXS: return matmul_iq3_xxs;
    case TensorType::kIQ3_S: return matmul_iq3_s;
    case TensorType::kTQ1_0:
    case TensorType::kTQ2_0: return matmul_ternary;
    case TensorType::kIQ4_NL: return matmul_iq4_nl;
    case TensorType::kIQ4_XS: return matmul_iq4_xs;
    case TensorType::kMXFP4: return matmul_mxfp4;
    default: assert(!"other types are expanded to f32"); return nullptr;
  }
}

constexpr CpuKernelTable kernel_table(const char* name) {
  constexpr int64_t kPeakProducts = int64_t{kPeakChains} * kPeakRounds;
  constexpr int32_t kLonePrefill = 32;  // with more the products are as fast, and whoever comes waits longer
  return {name, kLonePrefill, quantize, quantize32, matmul_kernel, attention, rms_norm,           layer_norm,
          gate, activate,     softcap,  exp_all,    peak_int8,     peak_f32,  64 * kPeakProducts, 16 * kPeakProducts};
}

}  // namespace
}  // namespace outpost
