// Tiny models on an emulated device, and beside them on the processor.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/gpu_devices.h"
#include "core/strings.h"
#include "engine.h"
#include "gguf/gguf_file.h"
#include "quant/quantize_file.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace outpost::test {

/// Of the runtime that these tests are linked with.
inline std::string device_id(int32_t i) { return concat(gpu_platform(), ":", i); }

inline TinyLlama tiny_llama(const std::vector<TensorType>& types, int32_t n_embd = 64, int32_t n_expert = 0) {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.pieces.resize(24);
  tiny.n_layer = 2;
  tiny.n_embd = n_embd;
  tiny.n_ff = n_embd;
  tiny.head_dim = n_embd / tiny.n_head;
  tiny.n_rot = tiny.head_dim;
  tiny.n_expert = n_expert;
  tiny = with_random_weights(tiny, types);
  return n_expert > 0 ? with_random_experts(tiny, types) : tiny;
}

struct ModelPair {
  std::shared_ptr<Model> on_cpu, on_device;
};

inline ModelPair load_pair(const TempDir& dir, const TinyLlama& tiny) {
  const std::string path = dir.write("tiny.gguf", tiny.bytes());
  LoadOptions options;
  options.n_threads = 1;
  ModelPair pair;
  pair.on_cpu = Model::load(path, options);
  options.devices = {device_id(0)};
  pair.on_device = Model::load(path, options);
  return pair;
}

inline std::vector<int32_t> random_tokens(const Model& model, int32_t n) {
  std::mt19937 random(7);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(model.info().n_vocab)));
  return tokens;
}

/// The logits of the last n_last tokens, computed in chunks.
inline std::vector<float> logits(const Model& model, const std::vector<int32_t>& tokens, int32_t n_last,
                                 int32_t n_chunk, const std::string& kv = "exact") {
  return evaluate_logits(model, tokens, n_last, n_chunk, kv);
}

/// What the processor computes with the weights of the file as f32, where it rounds nothing; all at once.
inline std::vector<float> exact_logits(const std::string& path, const std::vector<int32_t>& tokens) {
  const TempDir dir;
  const std::string exact = dir.path("exact.gguf");
  quantize_file(GgufFile::open(path), exact, {TensorType::kF32, {}, {}}, [](const QuantizeProgress&) { return true; });
  const auto n = static_cast<int32_t>(tokens.size());
  return logits(*Model::load(exact, LoadOptions{}), tokens, n, n);
}

/// Root mean square of the differences.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(double{a[i]} - b[i], 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// That a device which rounds weights and activations to f16 is as near to the exact logits as outpost-gpu-models has
/// it (docs/gpu.md): the median token may be off by four times an estimate from the roundings and the spread of the
/// logits. Single tokens of models as small as these, and with random weights, may be off by far more, on any device.
/// @param more that each may be off besides
inline void check_halves(const std::vector<float>& got, const std::vector<float>& exact, const ModelInfo& info,
                         double more = 0) {
  const auto n_vocab = static_cast<std::ptrdiff_t>(info.n_vocab);
  std::vector<double> distances;
  double variances = 0;
  for (auto at = exact.begin(); at != exact.end(); at += n_vocab) {
    const std::vector<float> token(at, at + n_vocab);
    const auto own = got.begin() + (at - exact.begin());
    distances.push_back(distance({own, own + n_vocab}, token));
    double sum = 0;
    for (const float x : token) sum += x;
    variances += std::pow(distance(token, std::vector<float>(token.size(), static_cast<float>(sum / info.n_vocab))), 2);
  }
  const double spread = std::sqrt(variances / static_cast<double>(distances.size()));
  const double limit = 4 * 0.58 * 0x1p-11 * std::sqrt(6 * info.n_layer + 1) * spread;
  std::sort(distances.begin(), distances.end());
  CHECK(distances[distances.size() / 2] <= limit + more);
}

}  // namespace outpost::test
