// The element types of GGUF tensors: their ids in the file, names and block sizes. Layouts of the blocks
// themselves are in block_layouts.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outpost {

/// Values are the ids in a GGUF file (ggml's `enum ggml_type`). Gaps are types that GGUF has retired.
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

struct TensorTypeTraits {
  const char* name;         ///< as GGUF spells it: "q4_K"
  uint32_t block_elements;  ///< elements in one block; a row is a whole number of blocks
  uint32_t block_bytes;
};

/// @return null for an id that GGUF does not define
const TensorTypeTraits* tensor_type_traits(uint32_t type_id);

inline const TensorTypeTraits& tensor_type_traits(TensorType type) {
  return *tensor_type_traits(static_cast<uint32_t>(type));
}

}  // namespace outpost
