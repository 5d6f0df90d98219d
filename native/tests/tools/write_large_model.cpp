// outpost-write-large-model PATH 1b|8b TYPE: a llama model of realistic shape with random weights, for measurements:
// how fast a model computes depends on its shape and types, not on its values. 1b is TinyLlama's shape, 8b that of
// Llama 3 8B. TYPE is q4_K or q8_0; the head is q6_K with q4_K, as in usual files. The file is assembled in memory.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "tests/support/tiny_model.h"

namespace {

using namespace outpost;
using namespace outpost::test;

/// Random rows over and over: as good as fresh ones for a device, and ready in no time.
FileMatrix repeated_matrix(TensorType type, int64_t n_rows, int64_t n_cols, double rms, uint32_t seed) {
  FileMatrix part = random_matrix_of_size(type, std::min<int64_t>(n_rows, 61), n_cols, rms, seed);
  FileMatrix matrix{type, n_rows, n_cols, {}};
  const size_t row_bytes = part.bytes.size() / static_cast<size_t>(part.n_rows);
  matrix.bytes.resize(row_bytes * static_cast<size_t>(n_rows));
  for (size_t at = 0; at < matrix.bytes.size(); at += part.bytes.size())
    std::memcpy(matrix.bytes.data() + at, part.bytes.data(), std::min(part.bytes.size(), matrix.bytes.size() - at));
  return matrix;
}

TinyLlama large_model(const std::string& size, TensorType type) {
  TinyLlama model;
  const bool is_8b = size == "8b";
  model.n_layer = is_8b ? 32 : 22;
  model.n_embd = is_8b ? 4096 : 2048;
  model.n_head = 32;
  model.n_head_kv = is_8b ? 8 : 4;
  model.head_dim = model.n_rot = is_8b ? 128 : 64;
  model.n_ff = is_8b ? 14336 : 5632;
  model.n_ctx_train = is_8b ? 8192 : 4096;
  model.rms_eps = 1e-5f;
  model.rope_freq_base = is_8b ? 500000.0f : 10000.0f;
  const int32_t n_vocab = is_8b ? 128256 : 32000;
  for (int32_t i = kFirstPiece; i < n_vocab; ++i) model.pieces.push_back({"w" + std::to_string(i), -1.0f});

  uint32_t seed = 1;
  const auto add = [&](const std::string& name, TensorType t, int64_t n_rows, int64_t n_cols, double gain) {
    model.add_matrix(name, repeated_matrix(t, n_rows, n_cols, gain / std::sqrt(static_cast<double>(n_cols)), seed++));
  };
  const auto add_norm = [&](const std::string& name) {
    model.add_vector(name, std::vector<float>(static_cast<size_t>(model.n_embd), 1.0f));
  };
  const TensorType head = type == TensorType::kQ4_K ? TensorType::kQ6_K : type;
  const int64_t n_q = int64_t{model.n_head} * model.head_dim, n_kv = int64_t{model.n_head_kv} * model.head_dim;
  add("token_embd.weight", type, n_vocab, model.n_embd, std::sqrt(model.n_embd));
  for (int32_t il = 0; il < model.n_layer; ++il) {
    const std::string blk = "blk." + std::to_string(il) + ".";
    add_norm(blk + "attn_norm.weight");
    add(blk + "attn_q.weight", type, n_q, model.n_embd, 2);
    add(blk + "attn_k.weight", type, n_kv, model.n_embd, 2);
    add(blk + "attn_v.weight", type, n_kv, model.n_embd, 1);
    add(blk + "attn_output.weight", type, model.n_embd, n_q, 1);
    add_norm(blk + "ffn_norm.weight");
    add(blk + "ffn_gate.weight", type, model.n_ff, model.n_embd, 1);
    add(blk + "ffn_up.weight", type, model.n_ff, model.n_embd, 1);
    add(blk + "ffn_down.weight", type, model.n_embd, model.n_ff, 1);
  }
  add_norm("output_norm.weight");
  add("output.weight", head, n_vocab, model.n_embd, 2);
  return model;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string size = argc == 4 ? argv[2] : "", type = argc == 4 ? argv[3] : "";
  if ((size != "1b" && size != "8b") || (type != "q4_K" && type != "q8_0")) {
    std::fprintf(stderr, "usage: outpost-write-large-model PATH 1b|8b q4_K|q8_0\n");
    return 2;
  }
  const std::string bytes = large_model(size, type == "q4_K" ? TensorType::kQ4_K : TensorType::kQ8_0).bytes();
  std::ofstream out(argv[1], std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) {
    std::fprintf(stderr, "outpost-write-large-model: cannot write %s\n", argv[1]);
    return 1;
  }
}
