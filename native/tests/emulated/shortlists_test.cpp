// Shortlists in place of logits: what passes give, which rows come whole, and replies that cannot tell the difference.
#include <doctest/doctest.h>

#include <cstring>

#include "runtime/decode_engine.h"
#include "runtime/row_logits.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/recorder.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// @param name of its file, which a device may compute with in place: of two models at once each has its own
std::shared_ptr<const LoadedModel> load_on_device(const TempDir& dir, const TinyLlama& tiny,
                                                  const char* name = "tiny.gguf") {
  LoadOptions options;
  options.devices = {device_id(0)};
  return std::dynamic_pointer_cast<const LoadedModel>(Model::load(dir.write(name, tiny.bytes()), options));
}

void check_list(const Shortlist& list, std::span<const float> logits) {
  REQUIRE(list.n_tokens > 0);
  float lowest = INFINITY;
  for (int32_t i = 0; i < list.n_tokens; ++i) {
    CHECK(list.logits[i] == logits[static_cast<size_t>(list.ids[i])]);
    lowest = std::min(lowest, list.logits[i]);
  }
  const auto reaches = [&](float logit) { return logit >= lowest; };
  CHECK(std::count_if(logits.begin(), logits.end(), reaches) == list.n_tokens);
}

/// Lists and rows that a test makes up.
struct InventedSource : LogitSource {
  std::vector<Shortlist> lists;
  std::vector<int32_t> read;
  bool wanted_lists = false;

  void forward(const Batch& batch, std::span<float> logits) {
    wanted_lists = !batch.shortlists.empty();
    if (wanted_lists) std::memcpy(batch.shortlists.data(), lists.data(), batch.shortlists.size_bytes());
    std::fill(logits.begin(), logits.end(), -1.0f);
  }
  void read_logits(int32_t i, std::span<float> logits) override {
    read.push_back(i);
    std::fill(logits.begin(), logits.end(), static_cast<float>(i));
  }
};

Shortlist list_of(int32_t n_tokens) {
  Shortlist list = {};
  list.n_tokens = n_tokens;
  return list;
}

struct Said {
  std::string text;
  StopReason reason;
  std::vector<float> log_probs;
};

Said reply(Engine& engine, const GenerateRequest& request) {
  Recorder recorder;
  engine.submit(request, recorder.sink());
  recorder.wait();
  return {recorder.text(), recorder.reason, recorder.stats.log_probs};
}

/// Requests of every kind that asks for more or fewer of the logits.
std::vector<GenerateRequest> requests_of(const Model& model) {
  std::vector<GenerateRequest> requests;
  for (const int32_t top_k : {0, 1, 2, 40}) {
    for (const float temperature : {0.0f, 0.9f}) {
      GenerateRequest request;
      request.tokens = random_tokens(model, 5);
      request.n_predict = 8;
      request.sampler.temperature = temperature;
      request.sampler.top_k = top_k;
      request.sampler.seed = 5;
      request.log_probs = true;
      requests.push_back(request);
    }
  }
  requests.push_back(requests[5]);
  requests.back().begin_with = "w";
  requests.push_back(requests[5]);
  requests.back().grammar = "root ::= [a-z ]+";
  requests.push_back(requests[2]);
  requests.back().sampler.repeat_penalty = 1.5f;
  requests.back().sampler.repeat_last_n = 1;
  return requests;
}

}  // namespace

TEST_CASE("emulated device: the shortlists of a pass are those of its logits, which can be had besides") {
  const TempDir dir;
  const auto model = load_on_device(dir, tiny_llama({TensorType::kF32}));
  Network& network = model->network();
  const auto kv = model->stages().alloc_kv(network.kv_shape(), 1);
  const auto n_vocab = static_cast<size_t>(model->info().n_vocab);
  const auto tokens = random_tokens(*model, 4);
  const std::vector<int32_t> page_table = {0}, rows = {1, 3};
  const std::vector<SequenceRun> runs = {{page_table, 0, 4}};
  std::vector<float> all(2 * n_vocab), row(n_vocab), words(2 * kShortlistWords),
      hidden(4 * static_cast<size_t>(model->info().n_embd));
  Batch batch{tokens, runs, rows, 64};
  network.forward(batch, *kv, all);
  batch.shortlists = words;
  for (const bool wants_hidden : {false, true}) {
    batch.hidden = wants_hidden ? std::span(hidden) : std::span<float>{};
    for (int pass = 0; pass < 3; ++pass) {  // computed, recorded, and repeated
      std::fill(words.begin(), words.end(), 0.0f);
      network.forward(batch, *kv, {});
      for (size_t i = 0; i < 2; ++i) {
        const auto expected = std::span(all).subspan(i * n_vocab, n_vocab);
        Shortlist list;
        std::memcpy(&list, words.data() + i * kShortlistWords, sizeof(list));
        check_list(list, expected);
        network.read_logits(static_cast<int32_t>(i), row);
        CHECK(std::equal(row.begin(), row.end(), expected.begin()));
      }
    }
  }
  batch.hidden = {};
  batch.shortlists = {};
  std::vector<float> again(2 * n_vocab);
  network.forward(batch, *kv, again);
  CHECK(again == all);
}

TEST_CASE("emulated device: rows come whole if no list will do, or theirs is too short") {
  const TempDir dir;
  const auto model = load_on_device(dir, tiniest_llama());
  RowLogits logits(*model);
  InventedSource source;
  source.lists = {list_of(50), list_of(40), list_of(39), list_of(kShortlistTooLong), list_of(kShortlistNotFinite)};
  const auto compute = [&](const std::vector<int32_t>& n_best) {
    source.read.clear();
    logits.compute(source, {}, n_best, [&](const Batch& batch, std::span<float> all) { source.forward(batch, all); });
  };
  compute({0, 40, 40, 40, 40});
  CHECK(source.wanted_lists);
  CHECK(source.read == std::vector<int32_t>{0, 2, 3});
  for (const size_t i : {0, 2, 3}) {
    REQUIRE(logits.row(i).best == nullptr);
    CHECK(logits.row(i).all.size() == static_cast<size_t>(model->info().n_vocab));
    CHECK(logits.row(i).all[0] == static_cast<float>(i));
  }
  REQUIRE(logits.row(1).best != nullptr);
  CHECK(logits.row(1).best->n_tokens == 40);
  REQUIRE(logits.row(4).best != nullptr);
  CHECK(logits.row(4).best->n_tokens == kShortlistNotFinite);
  // Nobody wants any: the logits come at once, as from a device without lists.
  compute({0, 0});
  CHECK(!source.wanted_lists);
  CHECK(source.read.empty());
  CHECK(logits.row(1).all[0] == -1);
  compute({});
}

TEST_CASE("emulated device: replies from shortlists are those from all logits") {
  const TempDir dir;
  const auto tiny = tiny_llama({TensorType::kF32});
  const auto model = std::const_pointer_cast<LoadedModel>(load_on_device(dir, tiny));
  DecodeParts whole;
  whole.steer = [](std::span<const int32_t>, std::span<float>) {};  // which needs all logits
  DecodeParts drafted;
  drafted.draft = [](std::span<const int32_t> history) { return std::vector<int32_t>(3, history.back()); };
  const auto from_all = create_engine(model, {}, whole);
  const auto from_lists = create_engine(model, {}, {}), drafting = create_engine(model, {}, drafted);
  for (const GenerateRequest& request : requests_of(*model)) {
    CAPTURE(request.sampler.top_k);
    CAPTURE(request.sampler.temperature);
    CAPTURE(request.grammar);
    const Said expected = reply(*from_all, request);
    REQUIRE(!expected.log_probs.empty());
    for (Engine* engine : {from_lists.get(), drafting.get()}) {
      const Said said = reply(*engine, request);
      CHECK(said.text == expected.text);
      CHECK(said.reason == expected.reason);
      REQUIRE(said.log_probs.size() == expected.log_probs.size());
      for (size_t i = 0; i < said.log_probs.size(); ++i)
        CHECK(std::abs(said.log_probs[i] - expected.log_probs[i]) <= 1e-5);
    }
  }
}

TEST_CASE("emulated device: drafts from shortlists are those from all logits") {
  const TempDir dir;
  const TinyLlama glm = with_predictor(tiny_llama({TensorType::kF32}));
  const TinyLlama small = tiniest_llama(), large = tiny_llama({TensorType::kF32}, 128);
  const auto device_model = [&](const TinyLlama& tiny, const char* name) {
    return std::const_pointer_cast<LoadedModel>(load_on_device(dir, tiny, name));
  };
  GenerateRequest request;
  request.n_predict = 24;
  request.sampler.temperature = 0.9f;
  request.sampler.top_k = 2;
  const auto count = [&](const std::shared_ptr<Model>& model, const std::shared_ptr<Model>& draft, DraftSource source) {
    EngineOptions options;
    options.draft_model = draft;
    request.tokens = random_tokens(*model, 5);
    const auto engine = Engine::create(model, options), plain = Engine::create(model);
    request.draft.is_enabled = true;
    const std::string text = reply(*engine, request).text;
    const DraftCounts counts = engine->stats().drafts[static_cast<size_t>(source)];
    request.draft.is_enabled = false;
    CHECK(text == reply(*plain, request).text);
    return counts.n_drafted;
  };
  CHECK(count(device_model(glm, "glm.gguf"), nullptr, DraftSource::kMtp) > 0);
  const auto target = device_model(large, "large.gguf");
  CHECK(count(target, device_model(small, "small.gguf"), DraftSource::kModel) > 0);
}
