#include "quant/quantize_file.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <vector>

#include "core/paths.h"
#include "core/strings.h"
#include "core/thread_pool.h"
#include "engine.h"
#include "gguf/gguf_file_writer.h"
#include "quant/dequantize.h"
#include "quant/quantize.h"

namespace outpost {
namespace {

/// Elements that a thread takes at once: a whole number of blocks of every type, some milliseconds of work.
constexpr int64_t kSliceElements = 64 * 1024;
/// Slices per thread between two writes.
constexpr int64_t kSlicesPerThread = 4;

constexpr std::string_view kFileTypeKey = "general.file_type";
constexpr std::string_view kVersionKey = "general.quantization_version";
constexpr std::string_view kSplitKeys = "split.";  // what is written is one file
constexpr uint32_t kQuantizationVersion = 2;       // of ggml's block formats (ggml.h, GGML_QNT_VERSION)

/// Names of weights that steer many others and are small: not worth the error.
constexpr std::string_view kKeptNames[] = {"_norm.weight", "ffn_gate_inp", "position_embd",  "pos_embd",
                                           "token_types",  "ssm_conv1d",   "shortconv.conv", "attn_rel_b"};

bool is_kept(const TensorInfo& tensor) {
  if (tensor.shape.size() < 2 || !tensor.name.ends_with(".weight") || !can_dequantize(tensor.type)) return true;
  return std::any_of(std::begin(kKeptNames), std::end(kKeptNames),
                     [&](std::string_view part) { return tensor.name.find(part) != std::string_view::npos; });
}

/// See planned_type; the fallbacks are llama.cpp's (llama-quant.cpp), so that files are alike.
TensorType relative_with_smaller_blocks(TensorType type) {
  switch (type) {
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kIQ4_XS: return TensorType::kIQ4_NL;
    case TensorType::kQ4_K: return TensorType::kQ5_0;
    case TensorType::kQ5_K: return TensorType::kQ5_1;
    case TensorType::kQ6_K: return TensorType::kQ8_0;
    case TensorType::kTQ1_0:
    case TensorType::kTQ2_0: return TensorType::kQ4_0;
    default: return TensorType::kF16;
  }
}

/// llama.cpp's number of a file that is mostly of one type (llama.h, `enum llama_ftype`).
uint32_t file_type_id(TensorType type) {
  switch (type) {
    case TensorType::kF16: return 1;
    case TensorType::kQ4_0: return 2;
    case TensorType::kQ4_1: return 3;
    case TensorType::kQ8_0: return 7;
    case TensorType::kQ5_0: return 8;
    case TensorType::kQ5_1: return 9;
    case TensorType::kQ2_K: return 10;
    case TensorType::kQ3_K: return 11;
    case TensorType::kQ4_K: return 14;
    case TensorType::kQ5_K: return 16;
    case TensorType::kQ6_K: return 18;
    case TensorType::kIQ4_NL: return 25;
    case TensorType::kIQ4_XS: return 30;
    case TensorType::kBF16: return 32;
    case TensorType::kTQ1_0: return 36;
    case TensorType::kTQ2_0: return 37;
    case TensorType::kMXFP4: return 38;
    default: return 0;  // f32
  }
}

struct Metadata {
  std::string file_type, version;  ///< entries that `entries` may refer to
  std::vector<std::string_view> entries;
};

/// The two keys keep their places, or come last.
void collect_metadata(const GgufFile& in, TensorType type, Metadata& out) {
  out.file_type = encode_uint32_entry(kFileTypeKey, file_type_id(type));
  out.version = encode_uint32_entry(kVersionKey, kQuantizationVersion);
  for (const auto& [key, value] : in.metadata()) {
    if (key.starts_with(kSplitKeys)) continue;
    out.entries.push_back(key == kFileTypeKey ? out.file_type : key == kVersionKey ? out.version : value.entry);
  }
  if (in.find(kFileTypeKey) == nullptr) out.entries.push_back(out.file_type);
  if (in.find(kVersionKey) == nullptr) out.entries.push_back(out.version);
}

void check_target(const GgufFile& in, const std::string& path, const QuantizeOptions& options,
                  std::span<const TensorHeader> tensors) {
  namespace fs = std::filesystem;
  const fs::path target = path_of(path);
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (fs::exists(status)) {
    if (!options.overwrites) throw EngineError(ErrorCode::kInvalidArgument, concat(path, " exists already."));
    if (!fs::is_regular_file(status)) {
      throw EngineError(ErrorCode::kInvalidArgument, concat(path, " is not a regular file."));
    }
#ifdef _WIN32
    if (fs::equivalent(target, path_of(in.path()), error)) {
      throw EngineError(
          ErrorCode::kInvalidArgument,
          concat(path, " is what is read, and Windows replaces no file that is in use; choose another name."));
    }
#else
    (void)in;  // is not needed once it is mapped
#endif
  }
  uint64_t n_bytes = 0;
  for (const TensorHeader& tensor : tensors) n_bytes += tensor.n_bytes();
  const fs::space_info space = fs::space(target.has_parent_path() ? target.parent_path() : fs::path("."), error);
  if (!error && space.available < n_bytes) {
    throw EngineError(ErrorCode::kFileUnreadable, concat("Cannot write ", path, ": it needs ", n_bytes,
                                                         " bytes, but only ", space.available, " are free."));
  }
}

[[noreturn]] void fail_value(const TensorInfo& tensor, TensorType to, int64_t index, float value) {
  throw EngineError(ErrorCode::kModelInvalid,
                    concat("Tensor ", in_quotes(tensor.name), " has the value ", value, " at index ", index, ", which ",
                           tensor_type_traits(to).name, " cannot hold; expected finite values of at most ",
                           largest_quantizable(to), " in magnitude."));
}

/// Converts tensors slice by slice.
class Converter {
 public:
  explicit Converter(int32_t n_threads)
      : pool_(n_threads), values_(static_cast<size_t>(n_threads * kSlicesPerThread * kSliceElements)) {}

  /// @param on_part called with bytes of the result, in order
  template <typename OnPart>
  void convert(const TensorInfo& tensor, TensorType to, const OnPart& on_part) {
    const auto n_elements = static_cast<int64_t>(tensor.n_elements);
    const auto n_part = static_cast<int64_t>(values_.size());
    for (int64_t begin = 0; begin < n_elements; begin += n_part) {
      on_part(convert_part(tensor, to, begin, std::min(n_part, n_elements - begin)));
    }
  }

 private:
  std::span<const std::byte> convert_part(const TensorInfo& tensor, TensorType to, int64_t begin, int64_t n) {
    const auto bytes_of = [](TensorType type, int64_t n_elements) {
      const TensorTypeTraits& traits = tensor_type_traits(type);
      return static_cast<size_t>(n_elements) / traits.block_elements * traits.block_bytes;
    };
    blocks_.resize(std::max(blocks_.size(), bytes_of(to, n)));
    std::atomic<int64_t> first_bad{INT64_MAX};
    pool_.run((n + kSliceElements - 1) / kSliceElements, [&](int64_t slice) {
      const int64_t at = slice * kSliceElements, n_slice = std::min(kSliceElements, n - at);
      float* values = values_.data() + at;
      dequantize(tensor.type, tensor.bytes.data() + bytes_of(tensor.type, begin + at), values, n_slice);
      if (const auto bad = find_unquantizable(to, values, n_slice)) {
        int64_t lowest = first_bad;
        while (at + *bad < lowest && !first_bad.compare_exchange_weak(lowest, at + *bad)) {
        }
        return;
      }
      quantize(to, values, n_slice, blocks_.data() + bytes_of(to, at));
    });
    if (first_bad != INT64_MAX) {
      fail_value(tensor, to, begin + first_bad, values_[static_cast<size_t>(first_bad.load())]);
    }
    return {blocks_.data(), bytes_of(to, n)};
  }

  ThreadPool pool_;
  std::vector<float> values_;
  std::vector<std::byte> blocks_;
};

}  // namespace

TensorType planned_type(const TensorInfo& tensor, const QuantizeOptions& options) {
  if (is_kept(tensor)) return tensor.type;
  TensorType type = options.type;
  if (tensor.name == "token_embd.weight") type = options.embedding.value_or(type);
  if (tensor.name == "output.weight") type = options.output.value_or(type);
  while (tensor.shape.back() % tensor_type_traits(type).block_elements != 0) type = relative_with_smaller_blocks(type);
  return type;
}

void quantize_file(const GgufFile& in, const std::string& path, const QuantizeOptions& options,
                   const std::function<bool(const QuantizeProgress&)>& on_progress) {
  std::vector<TensorHeader> headers;
  for (const TensorInfo& tensor : in.tensors()) {
    headers.push_back({tensor.name, planned_type(tensor, options), tensor.shape});
  }
  check_target(in, path, options, headers);
  Metadata metadata;
  collect_metadata(in, options.type, metadata);
  GgufFileWriter writer(path, metadata.entries, headers, in.alignment());
  Converter converter(options.n_threads);
  for (size_t i = 0; i < headers.size(); ++i) {
    const TensorInfo& tensor = in.tensors()[i];
    const auto report = [&](bool is_done) {
      const QuantizeProgress progress{
          i,      headers.size(), tensor.name, tensor.type, headers[i].type, tensor.bytes.size(), headers[i].n_bytes(),
          is_done};
      if (!on_progress(progress))
        throw EngineError(ErrorCode::kCancelled, concat("Cancelled; ", path, " is not written."));
    };
    if (headers[i].type == tensor.type) {
      report(false);
      writer.write(tensor.bytes);
    } else {
      converter.convert(tensor, headers[i].type, [&](std::span<const std::byte> bytes) {
        report(false);
        writer.write(bytes);
      });
    }
    writer.end_tensor();
    in.release(tensor.bytes);
    report(true);
  }
  writer.commit();
}

}  // namespace outpost
