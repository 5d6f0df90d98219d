// GLM-4.5 and its block that predicts a token more: what is wrong with a file is said.
#include <doctest/doctest.h>

#include <string>

#include "gguf/gguf_file.h"
#include "model/device_layers.h"
#include "runtime/loaded_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// Two layers, and the block behind them.
TinyLlama small_glm() {
  TinyLlama model;
  model.pieces = word_pieces();
  return with_predictor(with_random_weights(model));
}

LoadOptions one_thread() {
  LoadOptions options;
  options.n_threads = 1;
  return options;
}

std::shared_ptr<Model> load(const TinyLlama& model) {
  const TempDir dir;
  return Model::load(dir.write("tiny.gguf", model.bytes()), one_thread());
}

template <typename Change>
std::string refusal(Change&& change) {
  TinyLlama model = small_glm();
  change(model);
  CHECK(error_of([&] { load(model); }) == ErrorCode::kModelInvalid);
  const std::string message = message_of([&] { load(model); });
  return message.substr(message.find("tiny.gguf") + 11);
}

}  // namespace

TEST_CASE("a block that predicts further tokens is no layer of the model") {
  const auto model = load(small_glm());
  CHECK(model->info().n_layer == 2);
  CHECK(model->info().kv_bytes_per_token == 2 * 2 * 2 * 2 * 16);  // layers, k and v, two bytes, two heads of 16
  const TempDir dir;
  const GgufFile file = GgufFile::open(dir.write("tiny.gguf", small_glm().bytes()));
  const LayerBytes bytes = read_layer_bytes(file);
  CHECK(bytes.n_layer() == 2);
  CHECK(bytes.kv_per_position == 2 * 2 * 2 * 16);
}

TEST_CASE("the number of blocks that predict further tokens is checked") {
  const auto with = [](int32_t n) { return refusal([n](TinyLlama& t) { t.more_keys["nextn_predict_layers"] = n; }); };
  CHECK(with(-1).find("glm4moe.nextn_predict_layers") != std::string::npos);
  CHECK(with(-1).find("an integer that is not negative") != std::string::npos);
  CHECK(with(3) == "glm4moe.nextn_predict_layers is 3; expected 0 to 2.");
  CHECK(with(2000000000) == "glm4moe.nextn_predict_layers is 2000000000; expected 0 to 2.");
}

TEST_CASE("a tensor of GLM-4.5 that is missing is named") {
  for (const char* name : {"blk.1.attn_norm.weight", "blk.0.post_attention_norm.weight", "blk.1.ffn_up.weight"}) {
    CHECK(refusal([name](TinyLlama& t) { t.remove_tensor(name); }) ==
          std::string("the tensor ") + name + " is missing.");
  }
  // Behind the dense layers there are experts.
  CHECK(refusal([](TinyLlama& t) { t.more_keys["leading_dense_block_count"] = 1; }) ==
        "glm4moe.expert_count is missing.");
}
