#include "model/hparams.h"

#include <limits>

#include "backend/backend.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

/// Metadata under "<architecture>.", with ranges.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufFile& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  int32_t get(const char* name, int64_t min, int64_t max) const {
    const auto value = file_.get_uint(prefix_ + name);
    if (!value.has_value()) fail(name, " is missing");
    return checked(name, *value, min, max);
  }
  int32_t get(const char* name, int64_t min, int64_t max, int32_t fallback) const {
    const auto value = file_.get_uint(prefix_ + name);
    return value.has_value() ? checked(name, *value, min, max) : fallback;
  }
  float get_float(const char* name, double min, double max, double fallback) const {
    const double value = file_.get_float(prefix_ + name).value_or(fallback);
    if (!(value >= min && value <= max)) fail(name, " is ", value, "; expected ", min, " to ", max);
    return static_cast<float>(value);
  }
  bool has(const char* name) const { return file_.find(prefix_ + name) != nullptr; }

  template <typename... Args>
  [[noreturn]] void fail(const char* name, const Args&... what) const {
    throw EngineError(ErrorCode::kModelInvalid, concat(file_.path(), ": ", prefix_, name, what..., "."));
  }

 private:
  int32_t checked(const char* name, uint64_t value, int64_t min, int64_t max) const {
    if (value < static_cast<uint64_t>(min) || value > static_cast<uint64_t>(max))
      fail(name, " is ", value, "; expected ", min, " to ", max);
    return static_cast<int32_t>(value);
  }

  const GgufFile& file_;
  std::string prefix_;
};

/// 1 / factor of linear scaling. As in llama.cpp (src/llama-context.cpp), a factor without a type is linear, and
/// the type "none" switches it off.
float read_rope_freq_scale(const GgufFile& file, const ArchitectureKeys& keys, const std::string& architecture) {
  const auto type = file.get_string(architecture + ".rope.scaling.type").value_or("linear");
  const float factor = keys.get_float("rope.scaling.factor", 1e-3, 1e6, 1.0);
  if (type == "none") return 1.0f;
  if (type == "linear") return 1.0f / factor;
  throw EngineError(ErrorCode::kModelUnsupported, concat(file.path(), ": RoPE scaling ", quoted(type),
                                                         " is not supported; expected none or linear."));
}

}  // namespace

Hparams read_hparams(const GgufFile& file, int32_t n_vocab) {
  // Bounds far above today's models, so that products of any two stay well inside 64 bits.
  constexpr int64_t kMaxWidth = 1 << 20;
  Hparams hp{};
  hp.architecture = std::string(file.get_string("general.architecture").value_or(""));
  const ArchitectureKeys keys(file, hp.architecture);
  hp.n_vocab = n_vocab;
  hp.n_ctx_train = keys.get("context_length", 1, 1 << 28);
  hp.n_layer = keys.get("block_count", 1, 4096);
  hp.n_embd = keys.get("embedding_length", 1, kMaxWidth);
  hp.n_ff = keys.get("feed_forward_length", 1, kMaxWidth);
  hp.n_head = keys.get("attention.head_count", 1, 65536);
  hp.n_head_kv = keys.get("attention.head_count_kv", 1, 65536, hp.n_head);
  if (hp.n_head % hp.n_head_kv != 0) {
    keys.fail("attention.head_count", " is ", hp.n_head, ", which is no multiple of head_count_kv, ", hp.n_head_kv);
  }
  if (!keys.has("attention.key_length") && hp.n_embd % hp.n_head != 0) {
    keys.fail("embedding_length", " is ", hp.n_embd, ", which is no multiple of head_count, ", hp.n_head);
  }
  hp.head_dim = keys.get("attention.key_length", 2, kMaxHeadDim, hp.n_embd / hp.n_head);
  if (hp.head_dim > kMaxHeadDim)
    keys.fail("embedding_length", " / head_count is ", hp.head_dim, "; expected at most ", kMaxHeadDim);
  if (keys.get("attention.value_length", 2, kMaxHeadDim, hp.head_dim) != hp.head_dim) {
    keys.fail("attention.value_length", " differs from key_length, ", hp.head_dim, ", which is not supported");
  }
  hp.n_rot = keys.get("rope.dimension_count", 2, hp.head_dim, hp.head_dim);
  if (hp.n_rot % 2 != 0) keys.fail("rope.dimension_count", " is ", hp.n_rot, "; expected an even number");
  hp.rms_eps = keys.get_float("attention.layer_norm_rms_epsilon", 0.0, 1.0, 1e-5);
  hp.rope_freq_base = keys.get_float("rope.freq_base", 1.0, 1e12, 10000.0);
  hp.rope_freq_scale = read_rope_freq_scale(file, keys, hp.architecture);
  return hp;
}

}  // namespace outpost
