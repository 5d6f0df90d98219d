#include "kernels/common/tensor_type.h"

#include <doctest/doctest.h>

#include <string>

using namespace outpost;

TEST_CASE("block sizes are those of the GGUF format") {
  struct Row {
    TensorType type;
    uint32_t id;
    const char* name;
    uint32_t block_elements;
    uint32_t block_bytes;  // summed from the fields of ggml's block structs: scales + codes
  };
  const Row rows[] = {
      {TensorType::kF32, 0, "f32", 1, 4},
      {TensorType::kF16, 1, "f16", 1, 2},
      {TensorType::kQ4_0, 2, "q4_0", 32, 2 + 16},
      {TensorType::kQ4_1, 3, "q4_1", 32, 2 + 2 + 16},
      {TensorType::kQ5_0, 6, "q5_0", 32, 2 + 4 + 16},
      {TensorType::kQ5_1, 7, "q5_1", 32, 2 + 2 + 4 + 16},
      {TensorType::kQ8_0, 8, "q8_0", 32, 2 + 32},
      {TensorType::kQ8_1, 9, "q8_1", 32, 2 + 2 + 32},
      {TensorType::kQ2_K, 10, "q2_K", 256, 16 + 64 + 2 + 2},
      {TensorType::kQ3_K, 11, "q3_K", 256, 32 + 64 + 12 + 2},
      {TensorType::kQ4_K, 12, "q4_K", 256, 2 + 2 + 12 + 128},
      {TensorType::kQ5_K, 13, "q5_K", 256, 2 + 2 + 12 + 32 + 128},
      {TensorType::kQ6_K, 14, "q6_K", 256, 128 + 64 + 16 + 2},
      {TensorType::kQ8_K, 15, "q8_K", 256, 4 + 256 + 32},
      {TensorType::kIQ2_XXS, 16, "iq2_xxs", 256, 2 + 64},
      {TensorType::kIQ2_XS, 17, "iq2_xs", 256, 2 + 64 + 8},
      {TensorType::kIQ3_XXS, 18, "iq3_xxs", 256, 2 + 96},
      {TensorType::kIQ1_S, 19, "iq1_s", 256, 2 + 32 + 16},
      {TensorType::kIQ4_NL, 20, "iq4_nl", 32, 2 + 16},
      {TensorType::kIQ3_S, 21, "iq3_s", 256, 2 + 64 + 8 + 32 + 4},
      {TensorType::kIQ2_S, 22, "iq2_s", 256, 2 + 64 + 8 + 8},
      {TensorType::kIQ4_XS, 23, "iq4_xs", 256, 2 + 2 + 4 + 128},
      {TensorType::kI8, 24, "i8", 1, 1},
      {TensorType::kI16, 25, "i16", 1, 2},
      {TensorType::kI32, 26, "i32", 1, 4},
      {TensorType::kI64, 27, "i64", 1, 8},
      {TensorType::kF64, 28, "f64", 1, 8},
      {TensorType::kIQ1_M, 29, "iq1_m", 256, 32 + 16 + 8},
      {TensorType::kBF16, 30, "bf16", 1, 2},
      {TensorType::kTQ1_0, 34, "tq1_0", 256, 48 + 4 + 2},
      {TensorType::kTQ2_0, 35, "tq2_0", 256, 64 + 2},
      {TensorType::kMXFP4, 39, "mxfp4", 32, 1 + 16},
  };
  int n_known = 0;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(static_cast<uint32_t>(row.type) == row.id);
    const TensorTypeTraits& traits = tensor_type_traits(row.type);
    CHECK(std::string(traits.name) == row.name);
    CHECK(traits.block_elements == row.block_elements);
    CHECK(traits.block_bytes == row.block_bytes);
    ++n_known;
  }
  for (uint32_t id = 0; id < 1000; ++id) n_known -= tensor_type_traits(id) != nullptr;
  CHECK(n_known == 0);  // no id beyond the table above
  CHECK(tensor_type_traits(UINT32_MAX) == nullptr);
}
