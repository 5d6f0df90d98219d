#include "model/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace outpost {
namespace {

/// YaRN's attention temperature (arXiv:2309.00071, section 3.3).
double yarn_magnitude(double factor, double multiplier) {
  return factor <= 1.0 ? 1.0 : 0.1 * multiplier * std::log(factor) + 1.0;
}

/// The (fractional) pair that turns `n_turns` times over the original context.
double pair_of_turns(double n_turns, int32_t n_rot, double base, int32_t n_ctx_original) {
  return n_rot * std::log(n_ctx_original / (n_turns * 2 * std::numbers::pi)) / (2 * std::log(base));
}

/// @param divisors of the frequencies; may be empty
StageRopes create(const Stages& stages, RopeParams params, const std::vector<float>& divisors) {
  for (size_t i = 0; i < divisors.size(); ++i) params.frequencies[i] /= double{divisors[i]};
  return StageRopes(stages, params);
}

}  // namespace

RopeScaling read_rope_scaling(const ModelKeys& keys, int32_t n_ctx_train) {
  RopeScaling scaling;
  // As in llama.cpp (src/llama-model.cpp, load_hparams): a factor without a type is linear, 0 means none.
  const std::string type = keys.get_string("rope.scaling.type", "linear");
  const bool has_old_key = !keys.has("rope.scaling.factor") && keys.has("rope.scale_linear");
  const float factor = keys.get_float(has_old_key ? "rope.scale_linear" : "rope.scaling.factor", 0.0, 1e6, 1.0);
  if (factor > 0.0f) scaling.factor = double{factor};
  scaling.n_ctx_original = keys.get("rope.scaling.original_context_length", 1, 1 << 28, n_ctx_train);
  const double magnitude = double{keys.get_float("rope.scaling.attn_factor", 1e-6, 1e6, 1.0)};
  scaling.magnitude = static_cast<float>(magnitude);
  keys.get_bool("rope.scaling.finetuned", false);  // a remark on the training
  if (type == "none") {
    scaling.factor = 1.0;
  } else if (type == "yarn") {
    scaling.is_yarn = true;
    scaling.beta_fast = double{keys.get_float("rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32.0)};
    scaling.beta_slow = double{keys.get_float("rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1.0)};
    scaling.log_multiplier = double{keys.get_float("rope.scaling.yarn_log_multiplier", 0.0, 100.0, 0.0)};
    const double over_all = scaling.log_multiplier > 0 ? yarn_magnitude(scaling.factor, scaling.log_multiplier) : 1.0;
    scaling.magnitude = static_cast<float>(magnitude * yarn_magnitude(scaling.factor, 1.0) / over_all);
  } else if (type != "linear" && type != "longrope") {
    keys.fail_unsupported("rope.scaling.type", " is ", in_quotes(type),
                          ", which is not supported; expected none, linear, yarn or longrope");
  }
  return scaling;
}

std::vector<double> rope_frequencies(int32_t n_rot, double base, const RopeScaling& scaling) {
  // YaRN: pairs that turn often keep their frequency, those that turn less than once are interpolated, with a ramp
  // between. llama.cpp rounds the ramp's ends outwards to whole pairs (ggml_rope_yarn_corr_dims).
  double low = 0, high = 0;
  if (scaling.is_yarn) {
    low = std::max(0.0, std::floor(pair_of_turns(scaling.beta_fast, n_rot, base, scaling.n_ctx_original)));
    high = std::min(n_rot - 1.0, std::ceil(pair_of_turns(scaling.beta_slow, n_rot, base, scaling.n_ctx_original)));
  }
  std::vector<double> frequencies;
  for (int32_t i = 0; i < n_rot / 2; ++i) {
    const double frequency = std::pow(base, -2.0 * i / n_rot);
    const double kept = scaling.is_yarn ? 1.0 - std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0) : 0.0;
    frequencies.push_back(frequency * (kept + (1.0 - kept) / scaling.factor));
  }
  return frequencies;
}

ModelRope load_rope(const ModelKeys& keys, WeightLoader& loader, const RopeScaling& scaling, int32_t n_rot,
                    RopePairing pairing, int32_t offset) {
  const double base = double{keys.get_float("rope.freq_base", 1.0, 1e12, 10000.0)};
  const RopeParams params{pairing, offset, rope_frequencies(n_rot, base, scaling), scaling.magnitude};
  const auto factors = [&](const char* name) { return loader.optional_values(name, {n_rot / 2}); };

  ModelRope model;
  model.n_ctx_original = scaling.n_ctx_original;
  const auto factors_short = factors("rope_factors_short.weight"), factors_long = factors("rope_factors_long.weight");
  if (!factors_long.empty()) model.rope_long = create(loader.stages(), params, factors_long);
  const auto factors_all = factors("rope_freqs.weight");  // llama 3
  model.rope = create(loader.stages(), params, !factors_all.empty() ? factors_all : factors_short);
  return model;
}

}  // namespace outpost
