// From a model's metadata to the frequencies of its rotary embedding: plain, linear, YaRN, llama 3 and LongRoPE.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/stages.h"
#include "model/layers.h"
#include "model/model_keys.h"
#include "model/weight_loader.h"

namespace outpost {

/// One rotation, prepared by the backend of each stage.
class StageRopes {
 public:
  StageRopes() = default;  ///< none
  StageRopes(const Stages& stages, const RopeParams& params) {
    for (size_t i = 0; i < stages.size(); ++i) ropes_.push_back(stages.backend(i).create_rope(params));
  }

  bool is_empty() const { return ropes_.empty(); }
  /// Null if there is none.
  Rope* at(size_t stage) const { return is_empty() ? nullptr : ropes_[stage].get(); }

 private:
  std::vector<std::unique_ptr<Rope>> ropes_;
};

/// The rotations of a model. LongRoPE (arXiv:2402.13753) has two sets of them, chosen by the context's size: keys that
/// were rotated with one are never met by queries rotated with the other.
struct ModelRope {
  StageRopes rope;
  StageRopes rope_long;        ///< empty without LongRoPE
  int32_t n_ctx_original = 0;  ///< largest context of `rope` where there is a `rope_long`

  Rope* at(const Pass& pass) const {
    const bool is_long = !rope_long.is_empty() && pass.batch.n_ctx > n_ctx_original;
    return (is_long ? rope_long : rope).at(pass.stage);
  }
};

/// The scheme that a file names under "rope.scaling".
struct RopeScaling {
  bool is_yarn = false;
  double factor = 1.0;     ///< positions count as 1/factor
  float magnitude = 1.0f;  ///< of the rotated vectors: YaRN's temperature, LongRoPE's attention factor
  int32_t n_ctx_original = 0;
  double beta_fast = 32.0, beta_slow = 1.0;  ///< YaRN's bounds, in turns over the original context
  double log_multiplier = 0.0;               ///< of the temperature over all dimensions; 0: not set
};

RopeScaling read_rope_scaling(const ModelKeys& keys, int32_t n_ctx_train);

/// frequencies[i] = base^(-2i / n_rot), scaled.
std::vector<double> rope_frequencies(int32_t n_rot, double base, const RopeScaling& scaling);

/// The model's rotation by its metadata and, if there are any, its tensors rope_freqs, rope_factors_short and _long.
ModelRope load_rope(const ModelKeys& keys, WeightLoader& loader, const RopeScaling& scaling, int32_t n_rot,
                    RopePairing pairing, int32_t offset = 0);

}  // namespace outpost
