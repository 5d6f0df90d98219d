// Activation functions and gates of feed-forward layers, one element at a time.
#pragma once

#include "kernels/portable/dialect.h"

namespace outpost {
namespace gpu {

/// As outpost::Gate and outpost::Activation (native/backend/backend.h).
enum GateKind { kGateSwiGlu = 0, kGateGeGlu = 1, kGateSwiGluOai = 2 };
enum ActivationKind { kActivationSilu = 0, kActivationGelu = 1 };

GPU_FN float sigmoid32(float x) { return 1.0f / (1.0f + exp32(-x)); }
GPU_FN float silu32(float x) { return x * sigmoid32(x); }

/// The tanh approximation (arXiv:1606.08415).
GPU_FN float gelu32(float x) {
  const float kSqrt2OverPi = 0.79788456080286536f;
  return 0.5f * x * (1.0f + tanh32(kSqrt2OverPi * x * fma32(0.044715f * x, x, 1.0f)));
}

GPU_FN float activated(float x, int32_t kind) { return kind == kActivationSilu ? silu32(x) : gelu32(x); }

GPU_FN float gated(float gate, float up, int32_t kind) {
  if (kind == kGateSwiGlu) return silu32(gate) * up;
  if (kind == kGateGeGlu) return gelu32(gate) * up;
  // min and max drop a NaN, the result must not.
  const float g = gate > 7.0f ? 7.0f : gate;
  const float u = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
  return g * sigmoid32(1.702f * g) * (u + 1.0f);
}

}  // namespace gpu
}  // namespace outpost
