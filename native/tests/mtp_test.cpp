// GLM-4.5 and its block that predicts a token more: what is wrong with a file is said, it computes what the paper says,
// and what it predicts rightly is accepted.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "gguf/gguf_file.h"
#include "model/device_layers.h"
#include "runtime/loaded_model.h"
#include "tests/support/recorder.h"
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

std::string nextn_name(const char* name) { return std::string("blk.2.nextn.") + name + ".weight"; }

template <typename Change>
std::string refusal(Change&& change) {
  TinyLlama model = small_glm();
  change(model);
  CHECK(error_of([&] { load(model); }) == ErrorCode::kModelInvalid);
  const std::string message = message_of([&] { load(model); });
  return message.substr(message.find("tiny.gguf") + 11);
}

/// The same with random numbers where with_predictor has ones.
TinyLlama random_glm() {
  TinyLlama model = small_glm();
  uint32_t seed = 77;
  for (const char* name : {"enorm", "hnorm", "shared_head_norm"}) {
    std::vector<float> weight = random_f32(static_cast<size_t>(model.n_embd), seed++);
    for (float& x : weight) x = 1.0f + x / 2;
    model.remove_tensor(nextn_name(name));
    model.add_vector(nextn_name(name), weight);
  }
  model.remove_tensor(nextn_name("eh_proj"));
  model.add_matrix(nextn_name("eh_proj"), random_matrix_of_size(TensorType::kF32, model.n_embd, 2 * model.n_embd,
                                                                std::sqrt(0.5 / model.n_embd), seed));
  return model;
}

const std::vector<int32_t> kText = {1, 300, 270, 271, 350, 270, 300, 301, 302, 290, 270, 271};

std::vector<double> normalized(std::span<const float> x, std::span<const float> weight, double eps) {
  double sum = 0;
  for (const float v : x) sum += double{v} * v;
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i)
    y.push_back(x[i] * weight[i] / std::sqrt(sum / static_cast<double>(x.size()) + eps));
  return y;
}

/// What the head says behind each token of kText but the first, computed in runs of so many.
std::vector<float> head_logits(const LoadedModel& model, size_t n_run) {
  Network& network = model.network();
  const auto n_embd = static_cast<size_t>(model.info().n_embd), n_vocab = static_cast<size_t>(model.info().n_vocab);
  const std::vector<int32_t> page = {0};
  std::vector<float> hidden(kText.size() * n_embd), logits;
  const auto kv = model.stages().alloc_kv(network.kv_shape(), 1);
  const SequenceRun all{page, 0, static_cast<int32_t>(kText.size())};
  Batch batch{kText, {&all, 1}, {}, 64};
  batch.hidden = hidden;
  network.forward(batch, *kv, {});

  const auto head_kv = model.stages().alloc_kv(network.head()->kv_shape(), 1);
  const std::span<const int32_t> next = std::span(kText).subspan(1);
  for (size_t at = 0; at < next.size(); at += n_run) {
    const size_t n = std::min(n_run, next.size() - at);
    const SequenceRun run{page, static_cast<int32_t>(at), static_cast<int32_t>(n)};
    std::vector<int32_t> rows;
    for (size_t i = 0; i < n; ++i) rows.push_back(static_cast<int32_t>(i));
    std::vector<float> of_run(n * n_vocab);
    network.head()->forward({next.subspan(at, n), {&run, 1}, rows, 64},
                            std::span<const float>(hidden).subspan(at * n_embd, n * n_embd), *head_kv, of_run);
    logits.insert(logits.end(), of_run.begin(), of_run.end());
  }
  return logits;
}

/// A model that says a chain of words, and whose head looks at nothing but the hidden state, or at nothing but the
/// next token: both are enough to be right.
TinyLlama scripted_glm(bool looks_at_hidden) {
  std::vector<std::string> texts;
  std::vector<int32_t> chain;
  for (int32_t i = 0; i < 60; ++i) {
    texts.push_back(" word" + std::to_string(i));
    chain.push_back(text_token(i));
  }
  TinyLlama model = scripted_llama(texts, {chain});
  const std::vector<TinyTensor> tensors = model.tensors;
  for (TinyTensor tensor : tensors) {
    if (!tensor.name.starts_with("blk.0.")) continue;
    tensor.name.replace(0, 6, "blk.1.");
    model.tensors.push_back(tensor);
  }
  model.n_layer = 2;
  model = with_predictor(model);
  if (!looks_at_hidden) return model;
  const auto n = static_cast<size_t>(model.n_embd);
  std::vector<float> to_next(2 * n * n);
  for (size_t i = 0; i + 1 < chain.size(); ++i)
    to_next[2 * n * static_cast<size_t>(chain[i + 1]) + n + static_cast<size_t>(chain[i])] = 1.0f;
  model.remove_tensor("blk.1.nextn.eh_proj.weight");
  model.add_matrix("blk.1.nextn.eh_proj.weight", model.n_embd, 2 * int64_t{model.n_embd}, to_next);
  return model;
}

}  // namespace

TEST_CASE("the head computes a layer on what eh_proj makes of a hidden state and the next token") {
  const TinyLlama glm = random_glm();
  const auto model = load(glm);
  const auto& loaded = dynamic_cast<const LoadedModel&>(*model);
  REQUIRE(loaded.network().head() != nullptr);
  const std::vector<float> logits = head_logits(loaded, kText.size());

  // The hidden states, from the model without a head: its logits behind an identity in place of the output.
  TinyLlama bare = glm;
  std::vector<float> identity(static_cast<size_t>(glm.n_vocab()) * static_cast<size_t>(glm.n_embd));
  for (size_t i = 0; i < static_cast<size_t>(glm.n_embd); ++i) identity[i * static_cast<size_t>(glm.n_embd) + i] = 1;
  bare.remove_tensor("output.weight");
  bare.add_matrix("output.weight", glm.n_vocab(), glm.n_embd, identity);
  const auto n_text = static_cast<int32_t>(kText.size());
  const std::vector<float> hidden = evaluate_logits(*load(bare), kText, n_text, n_text);

  // A model of one layer whose embeddings are what eh_proj gives: token p is position p.
  const auto n_embd = static_cast<size_t>(glm.n_embd), n_vocab = static_cast<size_t>(glm.n_vocab());
  const auto values = [&](const char* name) { return glm.tensor(name).data.values(); };
  const auto table = values("token_embd.weight"), eh_proj = values("blk.2.nextn.eh_proj.weight");
  const auto enorm = values("blk.2.nextn.enorm.weight"), hnorm = values("blk.2.nextn.hnorm.weight");
  std::vector<float> embeddings(n_vocab * n_embd);
  for (size_t p = 0; p + 1 < kText.size(); ++p) {
    auto both = normalized(std::span(table).subspan(static_cast<size_t>(kText[p + 1]) * n_embd, n_embd), enorm,
                           double{glm.rms_eps});
    const auto of_hidden = normalized(std::span(hidden).subspan(p * n_vocab, n_embd), hnorm, double{glm.rms_eps});
    both.insert(both.end(), of_hidden.begin(), of_hidden.end());
    for (size_t row = 0; row < n_embd; ++row) {
      double sum = 0;
      for (size_t i = 0; i < both.size(); ++i) sum += eh_proj[row * both.size() + i] * both[i];
      embeddings[p * n_embd + row] = static_cast<float>(sum);
    }
  }
  TinyLlama layer = glm;
  layer.tensors.clear();
  layer.n_layer = 1;
  layer.more_keys = {{"leading_dense_block_count", 1}};
  layer.add_matrix("token_embd.weight", glm.n_vocab(), glm.n_embd, embeddings);
  layer.add_vector("output_norm.weight", values("blk.2.nextn.shared_head_norm.weight"));
  layer.add_matrix("output.weight", glm.tensor("output.weight").data);
  for (TinyTensor tensor : glm.tensors) {
    if (!tensor.name.starts_with("blk.2.") || tensor.name.find("nextn") != std::string::npos) continue;
    tensor.name.replace(0, 6, "blk.0.");
    layer.tensors.push_back(tensor);
  }
  std::vector<int32_t> positions;
  for (int32_t p = 0; p + 1 < n_text; ++p) positions.push_back(p);
  const std::vector<float> expected = evaluate_logits(*load(layer), positions, n_text - 1, n_text);

  REQUIRE(logits.size() == expected.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    error += std::pow(double{logits[i]} - double{expected[i]}, 2);
    size += double{expected[i]} * double{expected[i]};
  }
  // f32 throughout, and keys and values in f16: 2^-11 of what they add.
  CHECK(std::sqrt(error / size) < 1e-3);
  CHECK(size > 1.0);
}

TEST_CASE("what the head says has the same bits however many positions it reads at once") {
  const auto model = load(random_glm());
  const auto& loaded = dynamic_cast<const LoadedModel&>(*model);
  const std::vector<float> expected = head_logits(loaded, kText.size());
  for (const size_t n_run : {size_t{1}, size_t{5}}) CHECK(head_logits(loaded, n_run) == expected);
}

TEST_CASE("what the head predicts is drafted and accepted") {
  constexpr int32_t kPrompt = 5;
  GenerateRequest request;
  for (int32_t i = 0; i < kPrompt; ++i) request.tokens.push_back(text_token(i));
  request.sampler.temperature = 0;
  request.draft.n_max = 4;
  EngineOptions options;
  options.pass_ms.assign(64, 1000);  // so that drafts are taken to pay
  for (const bool looks_at_hidden : {true, false}) {
    const auto model = load(scripted_glm(looks_at_hidden));
    for (const bool is_cached : {false, true}) {
      CAPTURE(looks_at_hidden);
      CAPTURE(is_cached);
      const auto engine = Engine::create(model, options);
      const auto run = [&](int32_t n_predict) {
        request.n_predict = n_predict;
        request.draft.is_enabled = n_predict > 1;
        Recorder recorder;
        engine->submit(request, recorder.sink());
        recorder.wait();
        CHECK(recorder.text().ends_with(" word" + std::to_string(kPrompt + n_predict - 1)));
        return recorder.stats;
      };
      if (is_cached) run(1);  // the head hears nothing of what is computed here
      const GenerateStats stats = run(40);
      CHECK(stats.n_reused == (is_cached ? kPrompt - 1 : 0));
      const DraftCounts& counts = stats.drafts[static_cast<size_t>(DraftSource::kMtp)];
      CHECK(counts.n_accepted == counts.n_drafted);
      // Four words are guessed and a fifth is said in every pass but the first ones, which show what a pass costs.
      CHECK(counts.n_accepted >= 28);
      CHECK(stats.n_passes <= 12);
    }
  }
}

TEST_CASE("a block that predicts further tokens is no layer of the model") {
  const auto model = load(small_glm());
  CHECK(model->info().n_layer == 2);
  CHECK(model->info().kv_bytes_per_token == 2 * 2 * 2 * 2 * 16);  // layers, k and v, two bytes, two heads of 16
  const TempDir dir;
  const GgufFile file = GgufFile::open(dir.write("tiny.gguf", small_glm().bytes()));
  const LayerBytes bytes = read_layer_bytes(file, "exact");
  CHECK(bytes.n_layer() == 2);
  CHECK(bytes.kv.size() == 2);
  CHECK(bytes.kv[0].fresh == 64 * 2 * 2 * 2 * 16);
  // But it takes memory where all layers are: as much as a layer, and what it has besides.
  const uint64_t embeddings = sizeof(float) * 64 * static_cast<uint64_t>(small_glm().n_vocab());
  CHECK(bytes.table == embeddings + bytes.layers[1] + sizeof(float) * (2 * 64 * 64 + 3 * 64));
}

TEST_CASE("the memory of its head's keys and values is told beside that of the model's own") {
  EngineOptions options;
  const auto head_bytes = [&](const TinyLlama& model) {
    return Engine::create(load(model), options)->stats().head_kv_bytes;
  };
  const uint64_t of_position = 2 * 2 * 2 * 16;  // k and v, two bytes, two heads of 16
  options.n_ctx = 65;                           // four windows of two pages
  CHECK(head_bytes(small_glm()) == 4 * 2 * 64 * of_position);
  options.n_ctx = 5000;  // no window is longer than 4096
  CHECK(head_bytes(small_glm()) == 4 * 4096 * of_position);
  TinyLlama bare = small_glm();
  std::erase_if(bare.tensors, [](const TinyTensor& tensor) { return tensor.name.starts_with("blk.2."); });
  CHECK(head_bytes(bare) == 0);
}

TEST_CASE("a file may come without the block that predicts, and two devices that share a model do without") {
  const auto has_head = [](const Model& model) {
    return dynamic_cast<const LoadedModel&>(model).network().head() != nullptr;
  };
  CHECK(has_head(*load(small_glm())));
  TinyLlama bare = small_glm();
  std::erase_if(bare.tensors, [](const TinyTensor& tensor) { return tensor.name.starts_with("blk.2."); });
  CHECK(!has_head(*load(bare)));
  const TempDir dir;
  LoadOptions shared = one_thread();
  shared.n_device_layers = {1};
  CHECK(!has_head(*Model::load(dir.write("tiny.gguf", small_glm().bytes()), shared)));
}

TEST_CASE("the number of blocks that predict further tokens is checked") {
  const auto with = [](int32_t n) { return refusal([n](TinyLlama& t) { t.more_keys["nextn_predict_layers"] = n; }); };
  CHECK(with(-1).find("glm4moe.nextn_predict_layers") != std::string::npos);
  CHECK(with(-1).find("an integer that is not negative") != std::string::npos);
  CHECK(with(3) == "glm4moe.nextn_predict_layers is 3; expected 0 to 2.");
  CHECK(with(2000000000) == "glm4moe.nextn_predict_layers is 2000000000; expected 0 to 2.");
}

TEST_CASE("a tensor of GLM-4.5 that is missing is named") {
  for (const char* name :
       {"blk.1.attn_norm.weight", "blk.0.post_attention_norm.weight", "blk.1.ffn_up.weight", "blk.2.attn_q.weight",
        "blk.2.nextn.eh_proj.weight", "blk.2.nextn.enorm.weight", "blk.2.nextn.hnorm.weight"}) {
    CHECK(refusal([name](TinyLlama& t) { t.remove_tensor(name); }) ==
          std::string("the tensor ") + name + " is missing.");
  }
  // Behind the dense layers there are experts.
  CHECK(refusal([](TinyLlama& t) { t.more_keys["leading_dense_block_count"] = 1; }) ==
        "glm4moe.expert_count is missing.");
}
