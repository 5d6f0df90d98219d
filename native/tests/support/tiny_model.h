// Tiny llama models for tests: random ones, whose logits depend on every token before, and scripted ones, whose
// text is known in advance. Fields may be changed before `bytes()` to make a file wrong.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/quantized_data.h"
#include "tests/support/spm_vocabulary.h"

namespace outpost::test {

struct TinyTensor {
  std::string name;
  FileMatrix data;
  bool is_vector;         ///< of one dimension in the file
  int64_t n_stacked = 1;  ///< matrices on top of each other, of three dimensions in the file, if more than 1
};

struct TinyLlama {
  std::string architecture = "llama";
  std::vector<Piece> pieces;  ///< of the vocabulary, after the special and byte tokens
  int32_t n_ctx_train = 512;
  int32_t n_layer = 3;
  int32_t n_embd = 64;
  int32_t n_head = 4;
  int32_t n_head_kv = 2;
  int32_t head_dim = 16;
  int32_t n_ff = 96;
  int32_t n_rot = 16;
  int32_t n_expert = 0;  ///< not written if 0
  int32_t n_expert_used = 2;
  float rms_eps = 0.01f;          // far from any default: a reader that ignores the key is seen
  float rope_freq_base = 500.0f;  // likewise
  std::string rope_scaling_type;  ///< not written if empty
  float rope_scaling_factor = 0;  ///< not written if 0
  int32_t pooling_type = 0;       ///< likewise
  std::map<std::string, int32_t> more_keys;
  std::vector<TinyTensor> tensors;

  int32_t n_vocab() const { return kFirstPiece + static_cast<int32_t>(pieces.size()); }
  /// @pre there is one of that name
  TinyTensor& tensor(const std::string& name);
  const TinyTensor& tensor(const std::string& name) const { return const_cast<TinyLlama*>(this)->tensor(name); }
  bool has_tensor(const std::string& name) const;
  void remove_tensor(const std::string& name);
  void add_vector(const std::string& name, const std::vector<float>& values);
  void add_matrix(const std::string& name, FileMatrix matrix);
  void add_matrix(const std::string& name, int64_t n_rows, int64_t n_cols, const std::vector<float>& values);
  /// The GGUF file.
  std::string bytes() const;
};

/// A matrix whose elements have the given root mean square.
FileMatrix random_matrix_of_size(TensorType type, int64_t n_rows, int64_t n_cols, double rms, uint32_t seed);

/// Fills in the tensors for the shape that `model` has. Products keep the size of their input, so that no layer
/// drowns another, and queries and keys are twice as large, so that attention has clear favourites.
/// @param types of the matrices, taken in turn
TinyLlama with_random_weights(TinyLlama model, const std::vector<TensorType>& types = {TensorType::kF32},
                              bool is_tied = false);

/// As small as a model with so many layers can be.
TinyLlama tiniest_llama(int32_t n_ff = 32, int32_t n_layer = 2);

/// Gives every layer `model.n_expert` experts in place of its feed-forward layer, and a router whose logits are about
/// as large as its input. @pre with_random_weights has filled in the others
TinyLlama with_random_experts(TinyLlama model, const std::vector<TensorType>& types = {TensorType::kF32});

/// The same model of experts whose gates and ups are one tensor, with their biases if they have any.
TinyLlama with_merged_experts(TinyLlama model);

/// The same model as a GLM-4.5 whose last layer is the block behind the others that predicts a token more; nothing but
/// `nextn` tensors that copy the embedding is added.
TinyLlama with_predictor(TinyLlama model);

/// A vocabulary of short words: each of 64 texts once with and once without a space before it.
std::vector<Piece> word_pieces();

/// A model that looks at the last token only: after chain[i] it says chain[i + 1], by a margin of about 17 in the
/// logits; after the last token of a chain, and after tokens in no chain, </s>. A token may have one successor.
TinyLlama scripted_llama(const std::vector<std::string>& texts, const std::vector<std::vector<int32_t>>& chains);

/// The id of a byte token, and of the i-th text of a scripted model.
inline int32_t byte_token(uint8_t byte) { return 3 + byte; }
inline int32_t text_token(int32_t i) { return kFirstPiece + i; }

}  // namespace outpost::test
