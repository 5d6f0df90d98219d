// Weights of every type as f16 in the registers that matrix units read: what a thread of gemm_mma.h or gemm_wgmma.h
// decodes at once is half a group of 32 neighbours of one row, with scale and offset applied in f32 and rounded once.
#pragma once

#include "kernels/cuda/mma.h"
#include "kernels/cuda/shared_bytes.h"
#include "kernels/portable/float_matvec.h"
#include "kernels/portable/image.h"

namespace outpost {
namespace gpu {

/// Two f16, `low` in the low bits, each within_half.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
GPU_FN uint32_t half_pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
#else
GPU_FN uint32_t half_pair(float low, float high) { return pack_halves(within_half(low), within_half(high)); }
#endif

/// The signed byte `byte` of a word, whose sign bits were turned: a float with that byte as its last bits is 2^23 and
/// what it stands for.
GPU_FN float float_of_byte(uint32_t turned, int32_t byte) {
  return float_of_bits(pick_bytes(turned, 0x4b000000u, 0x7440u | uint32_t(byte))) - 8388736.0f;
}

/// How rows of a type are copied and decoded. kChunkGroups groups of a row, kChunkBytes, are copied at once; they begin
/// at a multiple of 16 bytes if kIsAligned.
template <typename Block>
struct WeightSource {
  static constexpr int32_t kGroups = BlockTraits<Block>::kGroups;
  static constexpr int32_t kChunkGroups = 8;
  static constexpr int32_t kChunkBytes = static_cast<int32_t>(sizeof(Block)) * kChunkGroups / kGroups;
  static constexpr bool kIsAligned = kGroups == kChunkGroups && sizeof(Block) % 16 == 0;

  /// Elements 16 kHalf to 16 kHalf + 15 of group g of a chunk, in pairs.
  template <int kHalf>
  static GPU_FN void decode(SharedPtr<const uint8_t> chunk, int32_t g, uint32_t (&pairs)[8]) {
    GPU_BLOCK_REF(Block) block = block_at<Block>(chunk, kGroups == 1 ? g : 0);
    const Group group = decode_group(block, kGroups == 1 ? 0 : g);
    const float scale = group.scale[kHalf], offset = group.offset[kHalf];
    GPU_UNROLL for (int32_t w = 0; w < 4; ++w) {
      const uint32_t turned = group.codes[4 * kHalf + w] ^ 0x80808080u;
      float values[4];
      GPU_UNROLL for (int32_t i = 0; i < 4; ++i) {
        const float code = float_of_byte(turned, i);
        values[i] = BlockTraits<Block>::kHasOffset ? fma32(scale, code, offset) : scale * code;
      }
      pairs[2 * w] = half_pair(values[0], values[1]);
      pairs[2 * w + 1] = half_pair(values[2], values[3]);
    }
  }
};

/// f16 and bf16: sixteen elements are 32 bytes, which may lie anywhere.
template <typename Element>
struct ElementSource {
  static constexpr int32_t kGroups = 1;
  static constexpr int32_t kChunkGroups = 4;
  static constexpr int32_t kChunkBytes = 32 * kChunkGroups * static_cast<int32_t>(sizeof(Element));
  static constexpr bool kIsAligned = false;

  template <int kHalf>
  static GPU_FN void decode(SharedPtr<const uint8_t> chunk, int32_t g, uint32_t (&pairs)[8]) {
    const int32_t first = 32 * g + 16 * kHalf;
    GPU_UNROLL for (int32_t i = 0; i < 8; ++i) pairs[i] = half_pair(
        float_of(block_at<Element>(chunk, first + 2 * i)), float_of(block_at<Element>(chunk, first + 2 * i + 1)));
  }
};
template <>
struct WeightSource<ElementF16> : ElementSource<ElementF16> {};
template <>
struct WeightSource<ElementBF16> : ElementSource<ElementBF16> {};

}  // namespace gpu
}  // namespace outpost
