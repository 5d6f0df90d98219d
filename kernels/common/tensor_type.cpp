#include "kernels/common/tensor_type.h"

#include <iterator>

namespace outpost {

// Block sizes follow the GGUF specification and ggml's type table (ggml-org/ggml, ggml.c `type_traits`).
const TensorTypeTraits* tensor_type_traits(uint32_t type_id) {
  static constexpr TensorTypeTraits kTraits[] = {
      /*  0 */ {"f32", 1, 4},        {"f16", 1, 2},       {"q4_0", 32, 18},     {"q4_1", 32, 20},
      /*  4 */ {nullptr, 0, 0},      {nullptr, 0, 0},     {"q5_0", 32, 22},     {"q5_1", 32, 24},
      /*  8 */ {"q8_0", 32, 34},     {"q8_1", 32, 36},    {"q2_K", 256, 84},    {"q3_K", 256, 110},
      /* 12 */ {"q4_K", 256, 144},   {"q5_K", 256, 176},  {"q6_K", 256, 210},   {"q8_K", 256, 292},
      /* 16 */ {"iq2_xxs", 256, 66}, {"iq2_xs", 256, 74}, {"iq3_xxs", 256, 98}, {"iq1_s", 256, 50},
      /* 20 */ {"iq4_nl", 32, 18},   {"iq3_s", 256, 110}, {"iq2_s", 256, 82},   {"iq4_xs", 256, 136},
      /* 24 */ {"i8", 1, 1},         {"i16", 1, 2},       {"i32", 1, 4},        {"i64", 1, 8},
      /* 28 */ {"f64", 1, 8},        {"iq1_m", 256, 56},  {"bf16", 1, 2},       {nullptr, 0, 0},
      /* 32 */ {nullptr, 0, 0},      {nullptr, 0, 0},     {"tq1_0", 256, 54},   {"tq2_0", 256, 66},
      /* 36 */ {nullptr, 0, 0},      {nullptr, 0, 0},     {nullptr, 0, 0},      {"mxfp4", 32, 17},
  };
  if (type_id >= std::size(kTraits) || kTraits[type_id].name == nullptr) return nullptr;
  return &kTraits[type_id];
}

}  // namespace outpost
