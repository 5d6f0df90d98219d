// Loading a model: what it knows of itself, progress and cancelling, and what each wrong file is told.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// Rows of 256 elements, so that every block type fits.
TinyLlama wide_llama(const std::vector<TensorType>& types = {TensorType::kF32}, bool is_tied = false) {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.n_layer = 1;
  tiny.n_embd = 256;
  tiny.n_ff = 256;
  tiny.head_dim = 64;
  return with_random_weights(tiny, types, is_tied);
}

LoadOptions one_thread() {
  LoadOptions options;
  options.n_threads = 1;
  return options;
}

/// The error that loading the file ends with; its path is written as PATH.
struct LoadError {
  std::optional<ErrorCode> code;
  std::string message;
};

LoadError load_error(const TinyLlama& tiny) {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiny.bytes());
  LoadError error;
  error.code = error_of([&] { Model::load(path, one_thread()); });
  error.message = message_of([&] { Model::load(path, one_thread()); });
  if (const size_t at = error.message.find(path); at != std::string::npos)
    error.message.replace(at, path.size(), "PATH");
  return error;
}

template <typename Change>
LoadError load_error_of(Change&& change) {
  TinyLlama tiny = wide_llama();
  change(tiny);
  return load_error(tiny);
}

/// Blocks of zeros in the shape of the tensor.
void set_type(TinyTensor& tensor, TensorType type) {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  tensor.data.type = type;
  tensor.data.bytes.assign(
      static_cast<size_t>(tensor.data.n_rows * tensor.data.n_cols) / traits.block_elements * traits.block_bytes,
      std::byte{0});
}

void set_shape(TinyTensor& tensor, int64_t n_rows, int64_t n_cols) {
  tensor.data.n_rows = n_rows;
  tensor.data.n_cols = n_cols;
  set_type(tensor, TensorType::kF32);
}

}  // namespace

TEST_CASE("a loaded model knows what it is") {
  const TempDir dir;
  const TinyLlama tiny = wide_llama({TensorType::kQ4_K});
  const std::string bytes = tiny.bytes(), path = dir.write("tiny.gguf", bytes);
  LoadOptions options = one_thread();
  options.cpu_kernels = CpuKernels::kScalar;
  const auto model = Model::load(path, options);
  const ModelInfo& info = model->info();
  CHECK(info.path == path);
  CHECK(info.name == "tiny");
  CHECK(info.architecture == "llama");
  CHECK(info.file_type == "q4_K");
  CHECK(info.file_bytes == bytes.size());
  CHECK(info.n_vocab == 387);
  CHECK(info.n_ctx_train == 512);
  CHECK(info.n_layer == 1);
  CHECK(info.n_embd == 256);
  CHECK(info.n_head == 4);
  CHECK(info.n_head_kv == 2);
  // embedding and head, q and output, k and v, three of the FFN, three norms
  CHECK(info.n_params == 2 * 387 * 256 + 2 * 256 * 256 + 2 * 128 * 256 + 3 * 256 * 256 + 3 * 256);
  CHECK(info.kv_bytes_per_token == 2 * 2 * 2 * 64);  // k and v, two bytes, two heads of 64
  CHECK(info.bos_text == "<s>");
  CHECK(info.eos_text == "</s>");
  CHECK(info.chat_template.empty());
  CHECK(info.backend == "cpu (scalar, 1 thread)");
}

TEST_CASE("text goes to tokens and back") {
  const TempDir dir;
  const auto model = Model::load(dir.write("tiny.gguf", wide_llama().bytes()), one_thread());
  const auto ids = model->tokenize("bada do\xE2\x82\xAC");
  CHECK(ids.front() == 1);
  CHECK(model->detokenize(ids) == " bada do\xE2\x82\xAC");
  const std::vector<int32_t> half = {byte_token(0xE2)}, outside = {1, 387};
  CHECK(model->detokenize(half) == "\xE2");
  CHECK(model->detokenize({}).empty());
  CHECK(message_of([&] { model->detokenize(outside); }) == "Token number 1 is 387; expected 0 to 386.");
}

TEST_CASE("progress rises from above 0 to 1 and never beyond") {
  const TempDir dir;
  for (const bool is_tied : {false, true}) {
    CAPTURE(is_tied);
    const std::string path = dir.write("tiny.gguf", wide_llama({TensorType::kF32}, is_tied).bytes());
    std::vector<float> fractions;
    LoadOptions options = one_thread();
    options.on_progress = [&](float fraction) {
      fractions.push_back(fraction);
      return true;
    };
    Model::load(path, options);
    REQUIRE(fractions.size() > 5);
    CHECK(fractions.front() > 0.0f);
    CHECK(std::is_sorted(fractions.begin(), fractions.end()));
    CHECK(fractions.back() == 1.0f);
  }
}

TEST_CASE("loading stops where progress says so") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", wide_llama().bytes());
  int n_calls = 0;
  LoadOptions options = one_thread();
  options.on_progress = [&](float) { return ++n_calls < 3; };
  CHECK(error_of([&] { Model::load(path, options); }) == ErrorCode::kCancelled);
  CHECK(n_calls == 3);
}

TEST_CASE("a file that is absent or no model is refused") {
  const TempDir dir;
  CHECK(error_of([&] { Model::load(dir.path("absent.gguf"), one_thread()); }) == ErrorCode::kFileNotFound);
  CHECK(error_of([&] { Model::load(dir.path(""), one_thread()); }) == ErrorCode::kFileNotFound);  // a directory
  CHECK(error_of([&] { Model::load(dir.write("text", "not a model"), one_thread()); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { Model::load(dir.write("empty", ""), one_thread()); }) == ErrorCode::kModelInvalid);
  const std::string bytes = wide_llama().bytes();
  CHECK(error_of([&] { Model::load(dir.write("cut", bytes.substr(0, bytes.size() - 1)), one_thread()); }) ==
        ErrorCode::kModelInvalid);
}

TEST_CASE("an impossible number of threads is refused") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", wide_llama().bytes());
  for (const int32_t n_threads : {-1, 1025, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    LoadOptions options;
    options.n_threads = n_threads;
    CHECK(message_of([&] { Model::load(path, options); }) ==
          "n_threads is " + std::to_string(n_threads) + "; expected 0 to 1024.");
    CHECK(error_of([&] { Model::load(path, options); }) == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("an architecture that is not built in is named") {
  const LoadError error = load_error_of([](TinyLlama& t) { t.architecture = "mamba"; });
  CHECK(error.code == ErrorCode::kModelUnsupported);
  CHECK(error.message ==
        "PATH: the architecture \"mamba\" is not supported. Supported are llama, qwen2, qwen2moe, qwen3, qwen3moe, "
        "gemma, "
        "gemma2, gemma3, phi3, starcoder, starcoder2, deepseek2, gpt-oss, granite, granitemoe, glm4moe.");
}

TEST_CASE("a missing tensor is named") {
  for (const char* name :
       {"token_embd.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight",
        "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight",
        "blk.0.ffn_up.weight", "blk.0.ffn_down.weight", "output_norm.weight"}) {
    const LoadError error = load_error_of([&](TinyLlama& t) { t.remove_tensor(name); });
    CHECK(error.code == ErrorCode::kModelInvalid);
    CHECK(error.message == std::string("PATH: the tensor ") + name + " is missing.");
  }
  const LoadError error = load_error_of([](TinyLlama& t) { t.n_layer = 2; });
  CHECK(error.message == "PATH: the tensor blk.1.attn_norm.weight is missing.");
}

TEST_CASE("a tensor of the wrong shape is named with what it has and should have") {
  LoadError error = load_error_of([](TinyLlama& t) { set_shape(t.tensor("blk.0.attn_k.weight"), 64, 256); });
  CHECK(error.code == ErrorCode::kModelInvalid);
  CHECK(error.message == "PATH: the tensor blk.0.attn_k.weight has the shape [64, 256]; expected [128, 256].");
  error = load_error_of([](TinyLlama& t) { set_shape(t.tensor("blk.0.ffn_down.weight"), 256, 128); });
  CHECK(error.message == "PATH: the tensor blk.0.ffn_down.weight has the shape [256, 128]; expected [256, 256].");
  error = load_error_of([](TinyLlama& t) { t.tensor("output_norm.weight").is_vector = false; });
  CHECK(error.message == "PATH: the tensor output_norm.weight has the shape [1, 256]; expected [256].");
  error = load_error_of([](TinyLlama& t) { t.tensor("blk.0.attn_norm.weight").data.n_cols = 255; });
  CHECK(error.message == "PATH: the tensor blk.0.attn_norm.weight has the shape [255]; expected [256].");
  error = load_error_of([](TinyLlama& t) { t.add_vector("rope_freqs.weight", {1, 1, 1}); });
  CHECK(error.message == "PATH: the tensor rope_freqs.weight has the shape [3]; expected [8].");
}

TEST_CASE("a vocabulary that does not fit the embedding is refused with both sizes") {
  const LoadError error = load_error_of([](TinyLlama& t) { t.pieces.pop_back(); });
  CHECK(error.code == ErrorCode::kModelInvalid);
  CHECK(error.message == "PATH: the tensor token_embd.weight has the shape [387, 256]; expected [386, 256].");
}

TEST_CASE("a type that holds no weights is refused while loading, with the tensor's name") {
  for (const char* name :
       {"blk.0.attn_q.weight", "blk.0.ffn_up.weight", "output.weight", "token_embd.weight", "blk.0.attn_norm.weight"}) {
    CAPTURE(name);
    for (const TensorType type : {TensorType::kQ8_1, TensorType::kF64, TensorType::kI8}) {
      const LoadError error = load_error_of([&](TinyLlama& t) { set_type(t.tensor(name), type); });
      CHECK(error.code == ErrorCode::kModelUnsupported);
      CHECK(error.message.find(std::string("Tensor \"") + name + "\" has the type " + tensor_type_traits(type).name +
                               ",") != std::string::npos);
    }
  }
}

TEST_CASE("hyperparameters out of range are named with their value and what is expected") {
  const auto message = [](auto&& change) {
    const LoadError error = load_error_of(change);
    CHECK(error.code == ErrorCode::kModelInvalid);
    return error.message;
  };
  CHECK(message([](auto& t) { t.n_layer = 0; }) == "PATH: llama.block_count is 0; expected 1 to 4096.");
  CHECK(message([](auto& t) { t.n_layer = -1; }) == "PATH: llama.block_count is 4294967295; expected 1 to 4096.");
  CHECK(message([](auto& t) { t.n_head_kv = 3; }) ==
        "PATH: llama.attention.head_count is 4, which is no multiple of head_count_kv, 3.");
  CHECK(message([](auto& t) { t.n_head = 0; }) == "PATH: llama.attention.head_count is 0; expected 1 to 65536.");
  CHECK(message([](auto& t) { t.n_rot = 66; }) == "PATH: llama.rope.dimension_count is 66; expected 2 to 64.");
  CHECK(message([](auto& t) { t.n_rot = 7; }) == "PATH: llama.rope.dimension_count is 7; expected an even number.");
  CHECK(message([](auto& t) { t.head_dim = 1024; }) == "PATH: llama.attention.key_length is 1024; expected 2 to 576.");
  CHECK(message([](auto& t) { t.rms_eps = -1; }) ==
        "PATH: llama.attention.layer_norm_rms_epsilon is -1; expected 0 to 1.");
  CHECK(message([](auto& t) { t.rope_freq_base = 0; }) == "PATH: llama.rope.freq_base is 0; expected 1 to 1e+12.");
  CHECK(message([](auto& t) { t.rope_scaling_factor = -2; }) ==
        "PATH: llama.rope.scaling.factor is -2; expected 0 to 1e+06.");
}

TEST_CASE("RoPE scaling that is not built in is named") {
  const LoadError error = load_error_of([](TinyLlama& t) {
    t.rope_scaling_type = "spiral";
    t.rope_scaling_factor = 4;
  });
  CHECK(error.code == ErrorCode::kModelUnsupported);
  CHECK(
      error.message ==
      "PATH: llama.rope.scaling.type is \"spiral\", which is not supported; expected none, linear, yarn or longrope.");
}

TEST_CASE("a tensor that the architecture does not know is named") {
  const LoadError error =
      load_error_of([](TinyLlama& t) { t.add_vector("blk.1.attn_gate_bias.weight", std::vector<float>(16, 1.0f)); });
  CHECK(error.code == ErrorCode::kModelUnsupported);
  CHECK(error.message ==
        "PATH: the tensor \"blk.1.attn_gate_bias.weight\" is not part of the architecture \"llama\" as "
        "Outpost knows it; computing without it would be wrong.");
}

TEST_CASE("the factor of RoPE scaling counts unless the type is none") {
  // llama.cpp (src/llama-context.cpp): "never scale if scaling type is none"; without a type it is linear.
  const TempDir dir;
  const std::vector<int32_t> tokens = {1, 300, 310, 320};
  const auto logits_with = [&](const char* type, float factor) {
    TinyLlama tiny = wide_llama();
    tiny.rope_scaling_type = type;
    tiny.rope_scaling_factor = factor;
    return evaluate_logits(*Model::load(dir.write("tiny.gguf", tiny.bytes()), one_thread()), tokens, 1, 4);
  };
  const auto unscaled = logits_with("", 0);
  CHECK(logits_with("linear", 4) != unscaled);
  CHECK(logits_with("", 4) == logits_with("linear", 4));
  CHECK(logits_with("none", 4) == unscaled);
}
