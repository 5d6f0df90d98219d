// A whole GGUF file in another type: `outpost-engine quantize`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gguf/gguf_file.h"
#include "kernels/common/tensor_type.h"

namespace outpost {

struct QuantizeOptions {
  TensorType type;                      ///< can_quantize, likewise the next two
  std::optional<TensorType> embedding;  ///< of token_embd.weight; `type` if absent
  std::optional<TensorType> output;     ///< of output.weight
  int32_t n_threads = 1;
  bool overwrites = false;  ///< an existing file
};

struct QuantizeProgress {
  size_t i_tensor, n_tensors;
  std::string_view name;
  TensorType from, to;
  uint64_t n_bytes_from, n_bytes_to;
  bool is_done;  ///< with this tensor
};

/// The type a tensor gets:
/// - its own if it is a vector, a norm (*_norm.weight), a router (*ffn_gate_inp*), a position or token type embedding,
/// a
///   convolution or a relative attention bias, no weight (not *.weight), or holds no weights (integers, f64);
/// - what `options` say for it, else
/// - where its rows are no whole number of blocks, the relative with blocks of 32 (q2_K, q3_K and iq4_xs: iq4_nl;
///   q4_K: q5_0; q5_K: q5_1; q6_K: q8_0; tq1_0 and tq2_0: q4_0), and f16 where that does not divide the rows either.
TensorType planned_type(const TensorInfo& tensor, const QuantizeOptions& options);

/// Writes `in` to `path`, tensor after tensor; a tensor that has its type already is copied. Metadata is copied byte
/// for byte but for general.file_type and general.quantization_version. Memory: a few MiB per thread.
/// @param on_progress called several times per tensor; returning false ends with kCancelled
/// @throws EngineError kInvalidArgument if `path` exists and may not be overwritten; kModelInvalid for a value that a
///         type cannot hold, with tensor and index; kFileUnreadable if writing fails; kCancelled. No file is left then.
void quantize_file(const GgufFile& in, const std::string& path, const QuantizeOptions& options,
                   const std::function<bool(const QuantizeProgress&)>& on_progress);

}  // namespace outpost
