// Models of which devices compute the last layers and the processor the others. Here all devices are the processor:
// whatever layers the borders are before, all results have the bits of a model that nobody shares.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/device_layers.h"
#include "runtime/decode_engine.h"
#include "runtime/loaded_model.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kLayers = 4;

TinyLlama small_llama(int32_t n_expert = 0) {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.pieces.resize(24);
  tiny.n_layer = kLayers;
  tiny.n_embd = 32;
  tiny.n_head = 2;
  tiny.n_head_kv = 1;
  tiny.n_ff = 32;
  tiny.n_expert = n_expert;
  tiny = with_random_weights(tiny);
  return n_expert > 0 ? with_random_experts(tiny) : tiny;
}

using Numbers = std::vector<int32_t>;

/// @param numbers of layers of each device
std::shared_ptr<Model> load(const std::string& path, const Numbers& numbers = {kAllLayers}) {
  LoadOptions options;
  options.n_threads = 1;
  options.devices.assign(numbers.size(), "cpu");
  options.n_device_layers = numbers;
  return Model::load(path, options);
}

/// Every way to share kLayers layers: the processor before the devices, or without layers of its own.
std::vector<Numbers> all_splits() {
  std::vector<Numbers> splits;
  for (int32_t borders = 1; borders < 1 << (kLayers - 1); ++borders) {  // bit i: one is behind layer i
    Numbers sizes = {1};
    for (int32_t il = 0; il + 1 < kLayers; ++il) {
      if ((borders >> il & 1) != 0)
        sizes.push_back(1);
      else
        ++sizes.back();
    }
    splits.push_back(sizes);
    splits.emplace_back(sizes.begin() + 1, sizes.end());
  }
  return splits;
}

std::string text_of(const Numbers& numbers) {
  std::string text;
  for (const int32_t n : numbers) text += std::to_string(n) + " ";
  return text;
}

std::vector<int32_t> random_text(int32_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens = {1};
  while (static_cast<int32_t>(tokens.size()) < n) tokens.push_back(text_token(static_cast<int32_t>(random() % 24)));
  return tokens;
}

/// What replies to several requests at once are.
struct Outcome {
  std::string text;
  std::vector<float> log_probs;
  bool operator==(const Outcome&) const = default;
};

/// @param n_reused tokens of prompts that were in the cache, added to
std::vector<Outcome> run(Engine& engine, int64_t* n_reused = nullptr) {
  constexpr size_t kRequests = 5;
  std::vector<Recorder> recorders(kRequests);
  for (size_t i = 0; i < kRequests; ++i) {
    GenerateRequest request;
    request.tokens = random_text(i % 2 == 0 ? 150 : 20, /*seed=*/static_cast<uint32_t>(i / 2));
    request.n_predict = 60;
    request.sampler.temperature = i == 0 ? 0.0f : 0.8f;
    request.sampler.seed = i;
    request.log_probs = true;
    engine.submit(request, recorders[i].sink());
  }
  std::vector<Outcome> outcomes;
  for (Recorder& recorder : recorders) {
    recorder.wait();
    REQUIRE_FALSE(recorder.error.has_value());
    outcomes.push_back({recorder.text(), recorder.stats.log_probs});
    if (n_reused != nullptr) *n_reused += recorder.stats.n_reused;
  }
  return outcomes;
}

/// Three tokens are guessed in every pass, whatever that costs, and few of them are right.
DecodeParts guessing(int64_t& n_taken_back) {
  DecodeParts parts;
  parts.draft = [](std::span<const int32_t> history) {
    const auto n = static_cast<int32_t>(history.size());
    return std::vector<int32_t>{text_token(n % 24), text_token(7 * n % 24), text_token(n % 5)};
  };
  parts.accepts = [&](int32_t drafted, int32_t chosen) {
    if (drafted != chosen) ++n_taken_back;
    return drafted == chosen;
  };
  return parts;
}

EngineOptions with(KvPreset preset) {
  EngineOptions options;
  options.kv = preset;
  return options;
}

}  // namespace

TEST_CASE("logits do not depend on where a model is shared out, to the bit") {
  const TempDir dir;
  const auto text = random_text(200, 1);
  for (const int32_t n_expert : {0, 4}) {
    CAPTURE(n_expert);
    const std::string path = dir.write("tiny.gguf", small_llama(n_expert).bytes());
    const auto whole = load(path);
    std::vector<int32_t> calibration_text;
    for (uint32_t seed = 10; seed < 12; ++seed) {
      for (const int32_t token : random_text(200, seed)) calibration_text.push_back(token);
    }
    if (n_expert == 0) calibrate_kv(*whole, calibration_text);  // bases of the layers, which are shared out too
    for (const char* kv : {"exact", "safe", "compact", "compact-plain"}) {
      CAPTURE(kv);
      const auto expected = evaluate_logits(*whole, text, 200, 200, kv);
      for (const Numbers& numbers : all_splits()) {
        const std::string split = text_of(numbers);
        CAPTURE(split);
        const auto shared = load(path, numbers);
        REQUIRE(shared->info().shares.size() > 1);
        for (const int32_t n_chunk : {1, 7, 64}) CHECK(evaluate_logits(*shared, text, 200, n_chunk, kv) == expected);
      }
    }
    const auto direction = embed(*whole, text);
    for (const Numbers& numbers : {Numbers{2}, {1, 1}, {1, 1, 1, 1}})
      CHECK(embed(*load(path, numbers), text) == direction);
  }
}

TEST_CASE("replies of several requests at once, drafts and what is taken back of them are those of a whole model") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", small_llama().bytes());
  const auto whole = load(path);
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact}) {
    CAPTURE(kKvPresetNames[static_cast<size_t>(preset)]);
    const auto expected = run(*Engine::create(whole, with(preset)));
    for (const Numbers& numbers : {Numbers{1}, {3}, {1, 1}, {2, 1, 1}, {1, 1, 1, 1}}) {
      const std::string split = text_of(numbers);
      CAPTURE(split);
      int64_t n_taken_back = 0, n_reused = 0;
      const auto engine = create_engine(load(path, numbers), with(preset), guessing(n_taken_back));
      CHECK(run(*engine) == expected);
      CHECK(n_taken_back > 0);
      CHECK(run(*engine, &n_reused) == expected);
      // Of a compressed text that goes on behind where it is left, what is kept as it was depends on who came first.
      if (preset == KvPreset::kExact) CHECK(n_reused > 0);
    }
  }
}

TEST_CASE("a saved context goes on in a model that is shared out the same way, and is refused by any other") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", small_llama().bytes()), saved = dir.path("context.kv");
  struct Case {
    Numbers saved;
    std::vector<Numbers> others;
  };
  const Case cases[] = {{{1}, {{2}, {kAllLayers}, {1, 1}}},
                        {{1, 1}, {{2}, {1}, {1, 2}, {2, 2}, {1, 1, 1}, {kAllLayers}}},
                        {{1, 1, 1, 1}, {{2, 1, 1}, {2, 1}, {1, 1, 2}, {kAllLayers}}}};
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact}) {
    CAPTURE(kKvPresetNames[static_cast<size_t>(preset)]);
    for (const auto& [numbers, others] : cases) {
      const std::string split = text_of(numbers);
      CAPTURE(split);
      const auto shared = load(path, numbers);
      const auto first = Engine::create(shared, with(preset));
      const auto expected = run(*first);
      const CacheFile file = first->save_cache(saved);
      CHECK(file.n_tokens > 0);
      const auto second = Engine::create(shared, with(preset));
      CHECK(second->restore_cache(saved).n_tokens == file.n_tokens);
      int64_t n_reused = 0;
      CHECK(run(*second, &n_reused) == expected);
      if (preset == KvPreset::kExact) CHECK(n_reused >= 3 * 128);

      for (const Numbers& of_other : others) {
        const std::string other_split = text_of(of_other);
        CAPTURE(other_split);
        const auto other = Engine::create(load(path, of_other), with(preset));
        CHECK(error_of([&] { other->restore_cache(saved); }) == ErrorCode::kInvalidArgument);
        CHECK(run(*other) == expected);
      }
    }
  }
}

TEST_CASE("a page is what all stages have of it") {
  const TempDir dir;
  const auto model = load(dir.write("tiny.gguf", small_llama().bytes()), {1, 1, 1});
  const auto& loaded = dynamic_cast<const LoadedModel&>(*model);
  const auto kv = loaded.stages().alloc_kv(loaded.network().kv_shape(), loaded.kv_format(KvPreset::kCompact), 3);
  CHECK(kv->is_compressed());
  for (const KvForm form : {KvForm::kFresh, KvForm::kPacked, KvForm::kSinks}) {
    std::vector<std::byte> bytes(kv->form_bytes(form)), read(bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 251);
    CHECK_FALSE(kv->has(1, form));
    CHECK(kv->write_form(1, form, bytes));
    CHECK(kv->has(1, form));
    CHECK(kv->read_form(1, form, read));
    CHECK(read == bytes);
    CHECK(kv->allocated_bytes() == bytes.size());
    kv->drop(1, form);
    CHECK_FALSE(kv->has(1, form));
    CHECK(kv->allocated_bytes() == 0);
  }
}

TEST_CASE("a model says who computes which of its layers, and what each has of its weights") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", small_llama().bytes());
  const ModelInfo whole = load(path)->info();
  REQUIRE(whole.shares.size() == 1);
  CHECK(whole.shares[0].device == "cpu");
  CHECK(whole.shares[0].n_layer == kLayers);
  CHECK(whole.shares[0].weight_bytes == whole.weight_bytes);
  // Of the embeddings a token reads a row, so that they are told apart; the head and its norm are of no layer.
  const FileMatrix table = small_llama().tensor("token_embd.weight").data;
  const auto n_table = static_cast<uint64_t>(table.n_rows * table.n_cols);
  CHECK(whole.table_bytes == n_table * sizeof(float));
  CHECK(whole.n_params - whole.n_layer_params == 2 * n_table + static_cast<uint64_t>(whole.n_embd));

  const auto model = load(path, {1});
  const ModelInfo& shared = model->info();
  REQUIRE(shared.shares.size() == 2);
  CHECK(shared.shares[0].first_layer == 0);
  CHECK(shared.shares[0].n_layer == 3);
  CHECK(shared.shares[1].first_layer == 3);
  CHECK(shared.shares[1].n_layer == 1);
  CHECK(shared.weight_bytes == whole.weight_bytes);
  CHECK(shared.shares[0].weight_bytes + shared.shares[1].weight_bytes == whole.weight_bytes);
  CHECK(shared.backend.find(" for layers 1 to 3, ") != std::string::npos);
  CHECK(shared.backend.ends_with(" for 4 to 4"));
  // More than there are is all, and so is what fits, where everything does.
  CHECK(load(path, {99})->info().shares.size() == 1);
  CHECK(load(path, {kFittingLayers})->info().shares.size() == 1);
  CHECK(error_of([&] { load(path, {-2}); }) == ErrorCode::kInvalidArgument);

  const ModelInfo of_three = load(path, {1, 2})->info();
  REQUIRE(of_three.shares.size() == 3);
  CHECK(of_three.backend.find(" for layers 1 to 1, ") != std::string::npos);
  CHECK(of_three.backend.find(" for 2 to 2, ") != std::string::npos);
  CHECK(of_three.backend.ends_with(" for 3 to 4"));
  for (size_t i = 0; i < 3; ++i) {
    CHECK(of_three.shares[i].first_layer == static_cast<int32_t>(i));
    CHECK(of_three.shares[i].n_layer == (i < 2 ? 1 : 2));
  }
  // Two devices that have room for all layers share them evenly, and the processor has none.
  for (const int32_t wanted : {kAllLayers, kFittingLayers}) {
    LoadOptions options;
    options.n_threads = 1;
    options.devices = {"cpu", "cpu"};
    options.n_device_layers = {wanted};
    const ModelInfo of_two = Model::load(path, options)->info();
    REQUIRE(of_two.shares.size() == 2);
    CHECK(of_two.shares[1].first_layer == 2);
  }
  CHECK(error_of([&] { load(path, {1, 1, 1, 1, 1}); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { load(path, {}); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { calibrate_kv(*model, random_text(400, 1)); }) == ErrorCode::kModelUnsupported);
}

TEST_CASE("what the layers of a file take is read from its head") {
  const TempDir dir;
  const GgufFile file = GgufFile::open(dir.write("tiny.gguf", small_llama().bytes()));
  const LayerBytes bytes = read_layer_bytes(file, "exact");
  REQUIRE(bytes.n_layer() == kLayers);
  // Of f32: four matrices of attention, of which keys and values have one head, three of the feed-forward, two norms.
  CHECK(bytes.layers[2] == 4 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 32 + 2 * 32));
  REQUIRE(bytes.kv.size() == kLayers);
  CHECK(bytes.kv[0].fresh == 64 * 2 * (16 + 16));
  CHECK(bytes.kv[0].packed == 0);
  CHECK(bytes.kv_unpacked == 0);
  CHECK(bytes.workspace_per_page == 16 * 4 * 2 * 16);  // 16 tokens of two heads of 16
  const uint64_t n_vocab = 3 + 256 + 24;
  CHECK(bytes.embeddings == 4 * 32 * n_vocab);
  CHECK(bytes.table == bytes.embeddings);
  CHECK(bytes.output == 4 * 32 * (n_vocab + 1));
}

TEST_CASE("what a pass through experts takes besides is counted for every expert that a token uses") {
  const TempDir dir;
  TinyLlama tiny = small_llama();
  const LayerBytes dense = read_layer_bytes(GgufFile::open(dir.write("dense.gguf", tiny.bytes())), "exact");
  tiny.n_expert = 4;
  tiny = with_random_experts(tiny, {TensorType::kF32});
  const LayerBytes mixture = read_layer_bytes(GgufFile::open(dir.write("mixture.gguf", tiny.bytes())), "exact");
  // For two experts: what gate and up make of a token, the results, and the wider of both as f16.
  CHECK(mixture.workspace_per_token - dense.workspace_per_token == 2 * (4 * (32 + 32 + 32) + 2 * 32));
  // Rows between experts, and those that the last tile may reach past the end.
  CHECK(mixture.workspace - dense.workspace == 2 * 32 * (8 * 4 + 128 + 256));
}

TEST_CASE("what the heads of latent attention take besides is counted") {
  const TempDir dir;
  TinyLlama tiny = small_llama();
  const LayerBytes plain = read_layer_bytes(GgufFile::open(dir.write("plain.gguf", tiny.bytes())), "exact");
  tiny.more_keys["attention.kv_lora_rank"] = 48;
  const LayerBytes latent = read_layer_bytes(GgufFile::open(dir.write("latent.gguf", tiny.bytes())), "exact");
  // Of two heads: queries of 16, absorbed of 48 and the 16 that are rotated, attended of 48, values of 16; doubled.
  CHECK(latent.workspace_per_token - plain.workspace_per_token == 2 * 4 * 2 * (16 + 48 + 16 + 48 + 16));
  CHECK(latent.workspace_per_page == 16 * 4 * 2 * 48);
}

TEST_CASE("what keys and values of a layer take follows from how they are kept") {
  const TempDir dir;
  const GgufFile file = GgufFile::open(dir.write("tiny.gguf", small_llama().bytes()));
  const LayerBytes bytes = read_layer_bytes(file, "k4v2/0-0:k8v8");
  REQUIRE(bytes.kv.size() == kLayers);
  // Codes of keys come in groups of 32 dimensions, here for 16; two scales of a byte for each position.
  CHECK(bytes.kv[0].packed == 64 * (32 + 16 + 2));
  CHECK(bytes.kv[1].packed == 64 * (32 / 2 + 16 / 4 + 2));
  CHECK(bytes.kv[1].fresh == 64 * (32 + 16 + 8));
  CHECK(bytes.kv[1].sinks == 16 * 2 * (16 + 16));
  CHECK(bytes.kv_unpacked == 64 * 2 * (16 + 16));
  CHECK(bytes.workspace_per_page == 16 * 4 * 2 * 16 / 4);
  CHECK(error_of([&] { read_layer_bytes(file, "k5v5"); }) == ErrorCode::kInvalidArgument);
}

TEST_CASE("embeddings that are the head as well are where the head is") {
  const TempDir dir;
  TinyLlama tiny = small_llama();
  tiny.remove_tensor("output.weight");
  const GgufFile file = GgufFile::open(dir.write("tiny.gguf", tiny.bytes()));
  const LayerBytes bytes = read_layer_bytes(file, "exact");
  CHECK(bytes.table == 0);
  CHECK(bytes.embeddings == 4 * 32 * (3 + 256 + 24));
  CHECK(bytes.output == 4 * 32 * (3 + 256 + 24 + 1));
  const auto text = random_text(90, 2);
  CHECK(evaluate_logits(*load(file.path(), {2}), text, 90, 16) == evaluate_logits(*load(file.path()), text, 90, 16));
}
