#include "tests/support/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "core/half.h"

namespace outpost::test {
namespace {

constexpr int32_t kEos = 2;

FileMatrix f32_matrix(int64_t n_rows, int64_t n_cols, const std::vector<float>& values) {
  FileMatrix matrix{TensorType::kF32, n_rows, n_cols, {}};
  matrix.bytes.resize(values.size() * sizeof(float));
  std::memcpy(matrix.bytes.data(), values.data(), matrix.bytes.size());
  return matrix;
}

FileMatrix zeros(int64_t n_rows, int64_t n_cols) {
  return f32_matrix(n_rows, n_cols, std::vector<float>(static_cast<size_t>(n_rows * n_cols)));
}

double root_mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float x : values) sum += double{x} * x;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

/// "_word" for " word"
std::string escape_spaces(std::string text) {
  for (size_t at; (at = text.find(' ')) != std::string::npos;) text.replace(at, 1, "\xE2\x96\x81");
  return text;
}

}  // namespace

TinyTensor& TinyLlama::tensor(const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const TinyTensor& t) { return t.name == name; });
}

bool TinyLlama::has_tensor(const std::string& name) const {
  return std::any_of(tensors.begin(), tensors.end(), [&](const TinyTensor& t) { return t.name == name; });
}

void TinyLlama::remove_tensor(const std::string& name) {
  std::erase_if(tensors, [&](const TinyTensor& t) { return t.name == name; });
}

void TinyLlama::add_vector(const std::string& name, const std::vector<float>& values) {
  tensors.push_back({name, f32_matrix(1, static_cast<int64_t>(values.size()), values), true});
}

void TinyLlama::add_matrix(const std::string& name, FileMatrix matrix) {
  tensors.push_back({name, std::move(matrix), false});
}

void TinyLlama::add_matrix(const std::string& name, int64_t n_rows, int64_t n_cols, const std::vector<float>& values) {
  add_matrix(name, f32_matrix(n_rows, n_cols, values));
}

std::string TinyLlama::bytes() const {
  GgufWriter writer;
  const auto add_uint32 = [&](const char* key, int32_t value) {
    writer.add_uint32(architecture + "." + key, static_cast<uint32_t>(value));
  };
  writer.add_string("general.architecture", architecture);
  writer.add_string("general.name", "tiny");
  add_uint32("context_length", n_ctx_train);
  add_uint32("block_count", n_layer);
  add_uint32("embedding_length", n_embd);
  add_uint32("feed_forward_length", n_ff);
  add_uint32("attention.head_count", n_head);
  add_uint32("attention.head_count_kv", n_head_kv);
  add_uint32("attention.key_length", head_dim);
  add_uint32("attention.value_length", head_dim);
  add_uint32("rope.dimension_count", n_rot);
  if (n_expert > 0) {
    add_uint32("expert_count", n_expert);
    add_uint32("expert_used_count", n_expert_used);
  }
  for (const auto& [key, value] : more_keys) {
    const std::string name = architecture + "." + key;
    value < 0 ? writer.add_int32(name, value) : writer.add_uint32(name, static_cast<uint32_t>(value));
  }
  writer.add_float(architecture + ".attention.layer_norm_rms_epsilon", rms_eps);
  writer.add_float(architecture + ".rope.freq_base", rope_freq_base);
  if (!rope_scaling_type.empty()) writer.add_string(architecture + ".rope.scaling.type", rope_scaling_type);
  if (pooling_type != 0) writer.add_uint32(architecture + ".pooling_type", static_cast<uint32_t>(pooling_type));
  if (rope_scaling_factor != 0) writer.add_float(architecture + ".rope.scaling.factor", rope_scaling_factor);
  add_spm_vocabulary(writer, pieces);
  for (const TinyTensor& tensor : tensors) {
    std::vector<int64_t> shape = {tensor.data.n_cols};
    if (!tensor.is_vector) shape.insert(shape.begin(), tensor.data.n_rows / tensor.n_stacked);
    if (tensor.n_stacked > 1) shape.insert(shape.begin(), tensor.n_stacked);
    const auto* data = reinterpret_cast<const char*>(tensor.data.bytes.data());
    writer.add_tensor(tensor.name, tensor.data.type, shape, {data, tensor.data.bytes.size()});
  }
  return writer.bytes();
}

FileMatrix random_matrix_of_size(TensorType type, int64_t n_rows, int64_t n_cols, double rms, uint32_t seed) {
  FileMatrix matrix = random_matrix(type, n_rows, n_cols, seed);
  if (type == TensorType::kF32) {
    std::vector<float> values = matrix.values();
    const auto factor = static_cast<float>(rms / root_mean_square(values));
    for (float& x : values) x *= factor;
    return f32_matrix(n_rows, n_cols, values);
  }
  // Values are proportional to the scales of their blocks.
  set_block_scales(matrix, float_to_half(1.0f));
  set_block_scales(matrix, float_to_half(static_cast<float>(rms / root_mean_square(matrix.values()))));
  return matrix;
}

TinyLlama with_random_weights(TinyLlama model, const std::vector<TensorType>& types, bool is_tied) {
  uint32_t seed = 1;
  const auto add_matrix = [&](const std::string& name, int64_t n_rows, int64_t n_cols, double gain) {
    const double rms = gain / std::sqrt(static_cast<double>(n_cols));
    const TensorType type = types[seed % types.size()];
    model.add_matrix(name, random_matrix_of_size(type, n_rows, n_cols, rms, seed++));
  };
  const auto add_norm = [&](const std::string& name) {
    std::vector<float> weight = random_f32(static_cast<size_t>(model.n_embd), seed++);
    for (float& x : weight) x = 1.0f + x / 2;
    model.add_vector(name, weight);
  };
  const int64_t n_q = int64_t{model.n_head} * model.head_dim, n_kv = int64_t{model.n_head_kv} * model.head_dim;
  // Elements of size 1, as they are after the layers.
  add_matrix("token_embd.weight", model.n_vocab(), model.n_embd, std::sqrt(model.n_embd));
  for (int32_t il = 0; il < model.n_layer; ++il) {
    const std::string blk = "blk." + std::to_string(il) + ".";
    add_norm(blk + "attn_norm.weight");
    add_matrix(blk + "attn_q.weight", n_q, model.n_embd, 2);
    add_matrix(blk + "attn_k.weight", n_kv, model.n_embd, 2);
    add_matrix(blk + "attn_v.weight", n_kv, model.n_embd, 1);
    add_matrix(blk + "attn_output.weight", model.n_embd, n_q, 1);
    add_norm(blk + "ffn_norm.weight");
    add_matrix(blk + "ffn_gate.weight", model.n_ff, model.n_embd, 1);
    add_matrix(blk + "ffn_up.weight", model.n_ff, model.n_embd, 1);
    add_matrix(blk + "ffn_down.weight", model.n_embd, model.n_ff, 1);
  }
  add_norm("output_norm.weight");
  if (!is_tied) add_matrix("output.weight", model.n_vocab(), model.n_embd, 2);
  return model;
}

TinyLlama tiniest_llama(int32_t n_ff, int32_t n_layer) {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.pieces.resize(16);
  tiny.n_layer = n_layer;
  tiny.n_embd = 32;
  tiny.n_head = 2;
  tiny.n_head_kv = 1;
  tiny.n_ff = n_ff;
  return with_random_weights(tiny);
}

TinyLlama with_random_experts(TinyLlama model, const std::vector<TensorType>& types) {
  uint32_t seed = 1000;
  const auto add = [&](const std::string& name, int64_t n_stacked, int64_t n_rows, int64_t n_cols) {
    const double rms = 1 / std::sqrt(static_cast<double>(n_cols));
    const TensorType type = n_stacked == 1 ? TensorType::kF32 : types[seed % types.size()];
    model.tensors.push_back(
        {name, random_matrix_of_size(type, n_stacked * n_rows, n_cols, rms, seed++), false, n_stacked});
  };
  for (int32_t il = 0; il < model.n_layer; ++il) {
    const std::string blk = "blk." + std::to_string(il) + ".";
    for (const char* part : {"ffn_gate", "ffn_up", "ffn_down"}) model.remove_tensor(blk + part + ".weight");
    add(blk + "ffn_gate_inp.weight", 1, model.n_expert, model.n_embd);
    add(blk + "ffn_gate_exps.weight", model.n_expert, model.n_ff, model.n_embd);
    add(blk + "ffn_up_exps.weight", model.n_expert, model.n_ff, model.n_embd);
    add(blk + "ffn_down_exps.weight", model.n_expert, model.n_embd, model.n_ff);
  }
  return model;
}

TinyLlama with_merged_experts(TinyLlama model) {
  for (int32_t il = 0; il < model.n_layer; ++il) {
    const std::string blk = "blk." + std::to_string(il) + ".";
    for (const std::string kind : {".weight", ".bias"}) {
      const std::string gate = blk + "ffn_gate_exps" + kind, up = blk + "ffn_up_exps" + kind;
      if (!model.has_tensor(gate)) continue;
      // Each expert's rows of the gate, then its rows of the up. Biases have a row of each expert.
      const FileMatrix a = model.tensor(gate).data, b = model.tensor(up).data;
      const bool is_bias = kind == ".bias";
      FileMatrix merged{a.type, is_bias ? a.n_rows : 2 * a.n_rows, is_bias ? 2 * a.n_cols : a.n_cols, {}};
      const auto n = static_cast<std::ptrdiff_t>(a.bytes.size()) / model.n_expert;
      for (std::ptrdiff_t at = 0; at < n * model.n_expert; at += n) {
        for (const FileMatrix* part : {&a, &b})
          merged.bytes.insert(merged.bytes.end(), part->bytes.begin() + at, part->bytes.begin() + at + n);
      }
      model.remove_tensor(gate);
      model.remove_tensor(up);
      model.tensors.push_back({blk + "ffn_gate_up_exps" + kind, merged, false, is_bias ? 1 : model.n_expert});
    }
  }
  return model;
}

TinyLlama with_predictor(TinyLlama model) {
  model.architecture = "glm4moe";
  model.more_keys["nextn_predict_layers"] = 1;
  model.more_keys["leading_dense_block_count"] = model.n_layer;
  for (TinyTensor& tensor : model.tensors) {
    if (const size_t at = tensor.name.find("ffn_norm"); at != std::string::npos)
      tensor.name.replace(at, std::string("ffn_norm").size(), "post_attention_norm");
  }
  const std::string blk = "blk." + std::to_string(model.n_layer - 1) + ".nextn.";
  const auto n = static_cast<size_t>(model.n_embd);
  std::vector<float> of_embedding(2 * n * n);
  for (size_t i = 0; i < n; ++i) of_embedding[2 * n * i + i] = 1.0f;
  const std::vector<float> ones(n, 1.0f);
  model.add_matrix(blk + "eh_proj.weight", f32_matrix(model.n_embd, 2 * int64_t{model.n_embd}, of_embedding));
  for (const char* norm : {"enorm", "hnorm", "shared_head_norm"}) model.add_vector(blk + norm + ".weight", ones);
  return model;
}

std::vector<Piece> word_pieces() {
  static constexpr const char* kOnsets[] = {"b", "d", "f", "g", "k", "l", "m", "n",
                                            "p", "r", "s", "t", "v", "w", "z", "h"};
  std::vector<Piece> pieces;
  for (const char* space : {"", "\xE2\x96\x81"}) {
    for (const char* onset : kOnsets) {
      for (const char* vowel : {"a", "e", "i", "o"}) pieces.push_back({std::string(space) + onset + vowel, -1.0f});
    }
  }
  return pieces;
}

TinyLlama scripted_llama(const std::vector<std::string>& texts, const std::vector<std::vector<int32_t>>& chains) {
  TinyLlama model;
  for (const std::string& text : texts) model.pieces.push_back({escape_spaces(text), -1.0f});
  const int32_t n_vocab = model.n_vocab();
  model.n_embd = n_vocab;
  model.n_layer = 1;
  const auto at = [&](int32_t row, int32_t col) {
    return static_cast<size_t>(row) * static_cast<size_t>(n_vocab) + static_cast<size_t>(col);
  };

  // Layers add nothing to the residual stream: what reaches the head is the last token's own embedding, one
  // dimension per token, which the norm scales by sqrt(n_embd).
  std::map<int32_t, int32_t> successors;
  for (const auto& chain : chains) {
    for (size_t i = 0; i + 1 < chain.size(); ++i) successors[chain[i]] = chain[i + 1];
  }
  std::vector<float> embedding(at(n_vocab, 0)), head(at(n_vocab, 0));
  for (int32_t id = 0; id < n_vocab; ++id) {
    const auto next = successors.find(id);
    embedding[at(id, id)] = 1.0f;
    head[at(next == successors.end() ? kEos : next->second, id)] = 1.0f;
  }
  const std::vector<float> ones(static_cast<size_t>(n_vocab), 1.0f);
  const int64_t n_q = int64_t{model.n_head} * model.head_dim, n_kv = int64_t{model.n_head_kv} * model.head_dim;
  model.rms_eps = 1e-5f;
  model.add_matrix("token_embd.weight", f32_matrix(n_vocab, n_vocab, embedding));
  model.add_vector("blk.0.attn_norm.weight", ones);
  model.add_matrix("blk.0.attn_q.weight", zeros(n_q, n_vocab));
  model.add_matrix("blk.0.attn_k.weight", zeros(n_kv, n_vocab));
  model.add_matrix("blk.0.attn_v.weight", zeros(n_kv, n_vocab));
  model.add_matrix("blk.0.attn_output.weight", zeros(n_vocab, n_q));
  model.add_vector("blk.0.ffn_norm.weight", ones);
  model.add_matrix("blk.0.ffn_gate.weight", zeros(model.n_ff, n_vocab));
  model.add_matrix("blk.0.ffn_up.weight", zeros(model.n_ff, n_vocab));
  model.add_matrix("blk.0.ffn_down.weight", zeros(n_vocab, model.n_ff));
  model.add_vector("output_norm.weight", ones);
  model.add_matrix("output.weight", f32_matrix(n_vocab, n_vocab, head));
  return model;
}

}  // namespace outpost::test
