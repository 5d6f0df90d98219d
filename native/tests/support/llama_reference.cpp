#include "tests/support/llama_reference.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/half.h"

namespace outpost::test {
namespace {

using Vector = std::vector<double>;

double rounded_to_f16(double x) { return half_to_float(float_to_half(static_cast<float>(x))); }

Vector multiply(const TinyTensor& weight, const Vector& x) {
  const std::vector<float> w = weight.data.values();
  Vector y(static_cast<size_t>(weight.data.n_rows));
  for (size_t row = 0; row < y.size(); ++row) {
    for (size_t col = 0; col < x.size(); ++col) y[row] += double{w[row * x.size() + col]} * x[col];
  }
  return y;
}

/// arXiv:1910.07467
Vector rms_norm(const TinyTensor& weight, const Vector& x, double eps) {
  const std::vector<float> w = weight.data.values();
  double sum = 0;
  for (const double value : x) sum += value * value;
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = double{w[i]} * x[i] / std::sqrt(sum / static_cast<double>(x.size()) + eps);
  return y;
}

/// arXiv:2104.09864, each head turned in the planes of its dimensions (2i, 2i + 1).
void rope(const TinyLlama& model, Vector& heads, int32_t pos) {
  std::vector<float> factors(static_cast<size_t>(model.n_rot / 2), 1.0f);
  if (model.has_tensor("rope_freqs.weight")) factors = model.tensor("rope_freqs.weight").data.values();
  const bool is_scaled = model.rope_scaling_factor != 0 && model.rope_scaling_type != "none";
  const double position = is_scaled ? pos / double{model.rope_scaling_factor} : pos;
  for (size_t head = 0; head < heads.size(); head += static_cast<size_t>(model.head_dim)) {
    for (int32_t i = 0; i < model.n_rot / 2; ++i) {
      const double theta =
          std::pow(double{model.rope_freq_base}, -2.0 * i / model.n_rot) / double{factors[static_cast<size_t>(i)]};
      double& a = heads[head + static_cast<size_t>(2 * i)];
      double& b = heads[head + static_cast<size_t>(2 * i + 1)];
      const double x = a, y = b;
      a = x * std::cos(position * theta) - y * std::sin(position * theta);
      b = x * std::sin(position * theta) + y * std::cos(position * theta);
    }
  }
}

/// Attention of the last token's queries over all keys and values so far; query heads share KV heads in order.
Vector attend(const TinyLlama& model, const Vector& q, const std::vector<Vector>& keys,
              const std::vector<Vector>& values) {
  const auto head_dim = static_cast<size_t>(model.head_dim);
  const int32_t group = model.n_head / model.n_head_kv;
  Vector y(q.size());
  for (int32_t h = 0; h < model.n_head; ++h) {
    const size_t at = static_cast<size_t>(h) * head_dim, at_kv = static_cast<size_t>(h / group) * head_dim;
    Vector weights;
    for (const Vector& k : keys) {
      double dot = 0;
      for (size_t d = 0; d < head_dim; ++d) dot += q[at + d] * k[at_kv + d];
      weights.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    for (size_t p = 0; p < values.size(); ++p) {
      for (size_t d = 0; d < head_dim; ++d) y[at + d] += weights[p] / sum * values[p][at_kv + d];
    }
  }
  return y;
}

void add(Vector& x, const Vector& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

}  // namespace

std::vector<float> reference_logits(const TinyLlama& model, std::span<const int32_t> tokens) {
  struct LayerCache {
    std::vector<Vector> keys, values;
  };
  std::vector<LayerCache> cache(static_cast<size_t>(model.n_layer));
  const std::vector<float> table = model.tensor("token_embd.weight").data.values();
  const TinyTensor& head = model.tensor(model.has_tensor("output.weight") ? "output.weight" : "token_embd.weight");
  std::vector<float> logits;
  for (size_t pos = 0; pos < tokens.size(); ++pos) {
    const auto row = table.begin() + int64_t{tokens[pos]} * model.n_embd;
    Vector x(row, row + model.n_embd);
    for (int32_t il = 0; il < model.n_layer; ++il) {
      const auto weight = [&](const char* name) -> const TinyTensor& {
        return model.tensor("blk." + std::to_string(il) + "." + name + ".weight");
      };
      auto& [keys, values] = cache[static_cast<size_t>(il)];

      const Vector attention_input = rms_norm(weight("attn_norm"), x, model.rms_eps);
      Vector q = multiply(weight("attn_q"), attention_input);
      Vector k = multiply(weight("attn_k"), attention_input);
      Vector v = multiply(weight("attn_v"), attention_input);
      rope(model, q, static_cast<int32_t>(pos));
      rope(model, k, static_cast<int32_t>(pos));
      for (double& value : k) value = rounded_to_f16(value);
      for (double& value : v) value = rounded_to_f16(value);
      keys.push_back(std::move(k));
      values.push_back(std::move(v));
      add(x, multiply(weight("attn_output"), attend(model, q, keys, values)));

      // SwiGLU (arXiv:2002.05202)
      const Vector ffn_input = rms_norm(weight("ffn_norm"), x, model.rms_eps);
      Vector gate = multiply(weight("ffn_gate"), ffn_input);
      const Vector up = multiply(weight("ffn_up"), ffn_input);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      add(x, multiply(weight("ffn_down"), gate));
    }
    for (const double logit : multiply(head, rms_norm(model.tensor("output_norm.weight"), x, model.rms_eps))) {
      logits.push_back(static_cast<float>(logit));
    }
  }
  return logits;
}

}  // namespace outpost::test
