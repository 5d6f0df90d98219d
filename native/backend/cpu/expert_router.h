// From router logits to the chosen experts of a token and their weights.
//
// Everything is plain f32 in the order of the experts' indices, with the kernels' exponential: the choice is the same
// on every instruction set. Semantics as in llama.cpp (src/llama-graph.cpp, build_moe_ffn).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace outpost {

class ExpertRouter {
 public:
  /// y[i] = exp(x[i]), NaN for NaN; y may be x.
  using Exp = void (*)(float* y, const float* x, int64_t n);

  /// @param selection_bias [n_expert], copied; may be empty
  /// @param where for messages: "layer 3"
  /// @throws EngineError kModelInvalid for parameters that no choice satisfies
  ExpertRouter(const RouterParams& params, std::span<const float> selection_bias, Exp exp, const std::string& where);

  const RouterParams& params() const { return params_; }

  /// The n_used best experts, best first by (biased) probability, ties to the lower index. A NaN ranks below every
  /// number, and makes those weights NaN that its probability takes part in. May run on several threads at once.
  /// @param logits [n_expert]
  /// @param experts,weights [n_used]
  void route(const float* logits, int32_t* experts, float* weights) const;

 private:
  /// Experts of the groups that take part.
  void find_candidates(const float* scores, std::vector<int32_t>& candidates) const;

  RouterParams params_;
  std::vector<float> selection_bias_;
  Exp exp_;
};

}  // namespace outpost
