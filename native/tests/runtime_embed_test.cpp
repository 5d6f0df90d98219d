// Embeddings: by their definition from the logits, for both kinds of pooling.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// A model whose logits are its hidden state: the head is the identity on the first n_embd ids.
TinyLlama transparent_llama() {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny = with_random_weights(tiny);
  TinyTensor& head = tiny.tensor("output.weight");
  std::vector<float> identity(static_cast<size_t>(tiny.n_vocab() * tiny.n_embd));
  for (int32_t i = 0; i < tiny.n_embd; ++i) identity[static_cast<size_t>(i * tiny.n_embd + i)] = 1;
  const auto bytes = std::as_bytes(std::span(identity));
  head.data.type = TensorType::kF32;
  head.data.bytes.assign(bytes.begin(), bytes.end());
  return tiny;
}

std::vector<double> normalized(std::vector<double> vector) {
  const double length = std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0));
  for (double& x : vector) x /= length;
  return vector;
}

}  // namespace

TEST_CASE("an embedding is the mean of the hidden states, or the last one, of length 1") {
  const TempDir dir;
  std::vector<int32_t> tokens(300);  // more than one chunk
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = 259 + static_cast<int32_t>(i * 7 % 100);
  for (const int32_t pooling : {0, 1, 3}) {
    CAPTURE(pooling);
    TinyLlama tiny = transparent_llama();
    tiny.pooling_type = pooling;
    LoadOptions options;
    options.n_threads = 1;
    const auto model = Model::load(dir.write("tiny.gguf", tiny.bytes()), options);
    const auto n_embd = static_cast<size_t>(tiny.n_embd), n_vocab = static_cast<size_t>(model->info().n_vocab);
    const int32_t n_last = pooling == 3 ? 1 : 300;
    const std::vector<float> logits = evaluate_logits(*model, tokens, n_last, 512);
    std::vector<double> expected(n_embd);
    for (int32_t row = 0; row < n_last; ++row) {
      for (size_t i = 0; i < n_embd; ++i) expected[i] += double{logits[static_cast<size_t>(row) * n_vocab + i]};
    }
    expected = normalized(expected);
    const std::vector<float> vector = embed(*model, tokens);
    REQUIRE(vector.size() == n_embd);
    // A product with a row of the identity adds zeros to one value: the same numbers, rounded to f32 at the end.
    for (size_t i = 0; i < n_embd; ++i) CHECK(std::abs(double{vector[i]} - expected[i]) < 1e-6);

    options.n_threads = 2;
    CHECK(embed(*Model::load(dir.path("tiny.gguf"), options), tokens) == vector);
  }
}

TEST_CASE("what cannot be embedded is said") {
  const TempDir dir;
  TinyLlama tiny = transparent_llama();
  const auto model = Model::load(dir.write("tiny.gguf", tiny.bytes()));
  CHECK(error_of([&] { embed(*model, {}); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { embed(*model, std::vector<int32_t>(513, 300)); }) == ErrorCode::kContextFull);
  CHECK(error_of([&] { embed(*model, std::vector<int32_t>{-1}); }) == ErrorCode::kInvalidArgument);
  tiny.pooling_type = 2;
  CHECK(error_of([&] { Model::load(dir.write("cls.gguf", tiny.bytes())); }) == ErrorCode::kModelUnsupported);
}

TEST_CASE("what a layer costs besides its weights is measured") {
  LoadOptions options;
  options.n_threads = 1;
  const LayerSpeed speed = measure_layer_speed(options);
  CHECK(speed.seconds_per_layer > 1e-7);
  CHECK(speed.seconds_per_layer < 0.1);
  CHECK(speed.kv_bytes_per_second > 1e6);
  options.n_threads = -1;
  CHECK(error_of([&] { measure_layer_speed(options); }) == ErrorCode::kInvalidArgument);
}

TEST_CASE("the speed of weights is measured for every type that has a kernel") {
  LoadOptions options;
  options.n_threads = 1;
  CHECK(measure_weight_speed("q4_K", options) > 1e6);
  CHECK(error_of([&] { measure_weight_speed("q9_X", options); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { measure_weight_speed("i64", options); }) == ErrorCode::kModelUnsupported);
}
