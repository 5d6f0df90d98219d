// The structures that a launch gives to a kernel by value, byte by byte: included by the host's C++ and by the kernels
// as Metal, which have to agree.
#pragma once

#include "kernels/metal/flash_simdgroup.h"
#include "kernels/metal/gemm_simdgroup.h"
#include "kernels/portable/activations.h"
#include "kernels/portable/attention_codes.h"
#include "kernels/portable/attention_merge.h"
#include "kernels/portable/elementwise.h"
#include "kernels/portable/expert_rows.h"
#include "kernels/portable/expert_slots.h"
#include "kernels/portable/experts.h"
#include "kernels/portable/float_matvec.h"
#include "kernels/portable/norm.h"
#include "kernels/portable/pack_codes.h"
#include "kernels/portable/rope_attention.h"
#include "kernels/portable/rope_codes.h"
#include "kernels/portable/rope_kv.h"
#include "kernels/portable/shortlist.h"
#include "kernels/portable/turned_merge.h"
#include "kernels/portable/widen.h"

namespace outpost {
namespace gpu {

static_assert(sizeof(KvLayout) == 32, "three ints, padded to two longs");
static_assert(sizeof(AttentionKernelParams) == sizeof(KvLayout) + 24, "six numbers more");
static_assert(sizeof(MergeCodesParams) == sizeof(AttentionKernelParams) + 8, "a number more, padded to longs");
static_assert(sizeof(HalveParams) == 16, "four numbers");
static_assert(sizeof(HalveNormedParams) == 20, "five numbers");
static_assert(sizeof(GemmParams) == 16, "four numbers");
static_assert(sizeof(ArrangeParams) == 12, "three numbers");
static_assert(sizeof(HalveChoicesParams) == 20, "five numbers");
static_assert(sizeof(ExpertGemmParams) == sizeof(GemmParams) + 8, "two numbers more");
static_assert(sizeof(RopeKvParams) == sizeof(KvLayout) + 16, "four numbers more");
static_assert(sizeof(RopeAttentionParams) == sizeof(AttentionKernelParams) + 16, "three numbers more");
static_assert(sizeof(CodesLayout) == 32, "eight numbers");
static_assert(sizeof(RopeCodesParams) == sizeof(CodesLayout) + 28, "seven numbers more");
static_assert(sizeof(MatvecParams) == 20, "five numbers");
static_assert(sizeof(ExpertParams) == sizeof(MatvecParams) + 12, "three numbers more");
static_assert(sizeof(FloatMatvecParams) == 16, "four numbers");
static_assert(sizeof(FloatExpertParams) == sizeof(FloatMatvecParams) + 12, "three numbers more");
static_assert(sizeof(CopyExpertsParams) == 32, "two ints and three longs");
static_assert(sizeof(SlotParams) == 8, "two numbers");
static_assert(sizeof(GroupParams) == 8, "two numbers");
static_assert(sizeof(CombineParams) == 12, "three numbers");
static_assert(sizeof(RouterKernelParams) == 32, "eight numbers");
static_assert(sizeof(EmbedParams) == 8, "two numbers");
static_assert(sizeof(ElementParams) == 12, "three numbers");
static_assert(sizeof(RowParams) == 24, "six numbers");
static_assert(sizeof(NormParams) == 16, "four numbers");
static_assert(sizeof(ResidualNormParams) == 20, "five numbers");
static_assert(sizeof(QuantizeParams) == 8, "two numbers");
static_assert(sizeof(ShortlistParams) == 16, "four numbers");
static_assert(sizeof(WidenParams) == 8, "a long");
// Elements of arrays that the host writes.
static_assert(sizeof(AttentionTile) == 28, "seven numbers");
static_assert(sizeof(UnpackedPage) == 20, "five numbers");

}  // namespace gpu
}  // namespace outpost
