// outpost-write-large-model PATH SHAPE TYPE [N_CTX]: a llama model of realistic shape with random weights, for
// measurements: how fast a model computes depends on its shape and types, not on its values. 1b is TinyLlama's shape,
// 8b that of Llama 3 8B, 15m and 110m those of two models that write stories. TYPE is that of the matrices; the head is
// q6_K with the types below five bits, as in usual files. The file is assembled in memory.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "quant/dequantize.h"
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

/// Of the types that hold weights.
std::optional<TensorType> weight_type_named(const std::string& name) {
  for (uint32_t id = 0; id < 64; ++id) {
    const TensorTypeTraits* traits = tensor_type_traits(id);
    if (traits != nullptr && name == traits->name && can_dequantize(static_cast<TensorType>(id)))
      return static_cast<TensorType>(id);
  }
  return {};
}

struct Shape {
  const char* name;
  int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_ctx_train;
  float rope_freq_base;
  int32_t n_vocab;
};
constexpr Shape kShapes[] = {
    {"15m", 6, 288, 6, 6, 48, 768, 2048, 10000.0f, 32000},
    {"110m", 12, 768, 12, 12, 64, 2048, 2048, 10000.0f, 32000},
    {"1b", 22, 2048, 32, 4, 64, 5632, 4096, 10000.0f, 32000},
    {"8b", 32, 4096, 32, 8, 128, 14336, 8192, 500000.0f, 128256},
};

TinyLlama large_model(const Shape& shape, TensorType type, int32_t n_ctx) {
  TinyLlama model;
  model.n_layer = shape.n_layer;
  model.n_embd = shape.n_embd;
  model.n_head = shape.n_head;
  model.n_head_kv = shape.n_head_kv;
  model.head_dim = model.n_rot = shape.head_dim;
  model.n_ff = shape.n_ff;
  model.n_ctx_train = n_ctx > 0 ? n_ctx : shape.n_ctx_train;
  model.rms_eps = 1e-5f;
  model.rope_freq_base = shape.rope_freq_base;
  for (int32_t i = kFirstPiece; i < shape.n_vocab; ++i) model.pieces.push_back({"w" + std::to_string(i), -1.0f});

  uint32_t seed = 1;
  const auto add = [&](const std::string& name, TensorType t, int64_t n_rows, int64_t n_cols, double gain) {
    model.add_matrix(name, repeated_matrix(t, n_rows, n_cols, gain / std::sqrt(static_cast<double>(n_cols)), seed++));
  };
  const auto add_norm = [&](const std::string& name) {
    model.add_vector(name, std::vector<float>(static_cast<size_t>(model.n_embd), 1.0f));
  };
  const TensorTypeTraits& traits = tensor_type_traits(type);
  const bool has_better_head = traits.block_elements == 256 && traits.block_bytes < 160;
  const TensorType head = has_better_head ? TensorType::kQ6_K : type;
  const int64_t n_q = int64_t{model.n_head} * model.head_dim, n_kv = int64_t{model.n_head_kv} * model.head_dim;
  add("token_embd.weight", type, shape.n_vocab, model.n_embd, std::sqrt(model.n_embd));
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
  add("output.weight", head, shape.n_vocab, model.n_embd, 2);
  return model;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "", name = argc > 2 ? argv[2] : "", type_name = argc > 3 ? argv[3] : "";
  const auto shape =
      std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& each) { return name == each.name; });
  const std::optional<TensorType> type = weight_type_named(type_name);
  const int n_ctx = argc > 4 ? std::atoi(argv[4]) : 0;
  if (argc > 5 || shape == std::end(kShapes) || !type || n_ctx < 0 ||
      shape->n_embd % tensor_type_traits(*type).block_elements != 0) {
    std::fprintf(stderr,
                 "usage: outpost-write-large-model PATH 15m|110m|1b|8b TYPE [N_CTX]; the type's blocks must divide the "
                 "shape's rows\n");
    return 2;
  }
  const std::string bytes = large_model(*shape, *type, n_ctx).bytes();
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) {
    std::fprintf(stderr, "outpost-write-large-model: cannot write %s\n", path.c_str());
    return 1;
  }
}
