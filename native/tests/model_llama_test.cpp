// The llama forward pass, from a file to logits, against tests/support/llama_reference.cpp, and the promise that a
// token's logits have the same bits however they are computed.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "kv/kv_cache.h"
#include "runtime/loaded_model.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/llama_reference.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::vector<int32_t> random_tokens(int32_t n, int32_t n_vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % static_cast<uint32_t>(n_vocab));
  return tokens;
}

TinyLlama small_llama() {
  TinyLlama model;
  model.pieces = word_pieces();
  return with_random_weights(model);
}

/// One matrix of every kind of product: integer kernels, expanded types and f32 side by side.
TinyLlama quantized_llama() {
  TinyLlama model;
  model.pieces = word_pieces();
  model.n_layer = 2;
  model.n_embd = 256;
  model.n_ff = 512;
  model.head_dim = 64;
  model.n_rot = 64;
  return with_random_weights(model, {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kIQ2_XXS, TensorType::kQ2_K,
                                     TensorType::kQ8_0, TensorType::kF32, TensorType::kQ5_K});
}

std::shared_ptr<Model> load(const TempDir& dir, const TinyLlama& model, CpuKernels kernels = CpuKernels::kScalar,
                            int32_t n_threads = 1) {
  LoadOptions options;
  options.cpu_kernels = kernels;
  options.n_threads = n_threads;
  return Model::load(dir.write("tiny.gguf", model.bytes()), options);
}

std::vector<float> all_logits(const Model& model, const std::vector<int32_t>& tokens, int32_t n_chunk) {
  return evaluate_logits(model, tokens, static_cast<int32_t>(tokens.size()), n_chunk);
}

/// Computes the tokens that `sequence` does not hold yet. @return the logits after each of them
std::vector<float> extend(const LoadedModel& model, KvCache& cache, KvSequence& sequence,
                          std::span<const int32_t> tokens) {
  const auto rest = tokens.subspan(static_cast<size_t>(sequence.n_past()));
  std::vector<int32_t> rows(rest.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  const SequenceRun run{sequence.page_table, sequence.n_past(), static_cast<int32_t>(rest.size())};
  std::vector<float> logits(rest.size() * static_cast<size_t>(model.info().n_vocab));
  model.network().forward({rest, {&run, 1}, rows, model.info().n_ctx_train}, cache.storage(), logits);
  sequence.tokens.assign(tokens.begin(), tokens.end());
  return logits;
}

}  // namespace

TEST_CASE("llama computes what the papers say") {
  TinyLlama plain = small_llama();

  TinyLlama unusual;  // everything a file may choose
  unusual.pieces = word_pieces();
  unusual.n_head = 6;
  unusual.n_head_kv = 1;
  unusual.head_dim = 20;  // not n_embd / n_head
  unusual.n_rot = 12;     // the last dimensions of a head stay as they are
  unusual.rope_scaling_type = "linear";
  unusual.rope_scaling_factor = 4.0f;
  unusual = with_random_weights(unusual, {TensorType::kF32}, /*is_tied=*/true);
  unusual.add_vector("rope_freqs.weight", {1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 8.0f});

  TinyLlama without_groups;
  without_groups.pieces = word_pieces();
  without_groups.n_head_kv = without_groups.n_head;
  without_groups = with_random_weights(without_groups);

  const TempDir dir;
  for (const TinyLlama& tiny : {plain, unusual, without_groups}) {
    CAPTURE(tiny.n_head);
    const auto tokens = random_tokens(150, tiny.n_vocab(), /*seed=*/1);  // two full pages and a part of a third
    const std::vector<float> expected = reference_logits(tiny, tokens);
    const std::vector<float> logits = all_logits(*load(dir, tiny), tokens, 64);
    REQUIRE(logits.size() == expected.size());
    // Sums of about 100 products in f32 have relative errors near 1e-6, an NMSE near 1e-12. One rounding is not
    // smooth: a key or value whose two versions lie on different sides of a boundary of f16 differs by up to 2^-10,
    // and in the end the texts are long enough to have a few of those. Were every key and value off by half a step,
    // 2^-11, logits made of them would have an NMSE of 2^-22 = 2.4e-7; a wrong sign gives one of the order of 1.
    CHECK(nmse(logits, expected) < 2.4e-7);
    // Among the first tokens some come before the first such accident, and show the f32 sums alone.
    double least = 1;
    const auto n_vocab = static_cast<size_t>(tiny.n_vocab());
    for (const size_t t : {1, 2, 3}) {
      const auto of_token = [&](const std::vector<float>& all) { return std::span(all).subspan(t * n_vocab, n_vocab); };
      least = std::min(least, nmse(of_token(logits), of_token(expected)));
    }
    CHECK(least < 1e-11);
  }
}

TEST_CASE("llama with quantized weights differs by the rounding of activations only") {
  const TinyLlama tiny = quantized_llama();
  const TempDir dir;
  const auto tokens = random_tokens(70, tiny.n_vocab(), /*seed=*/2);
  const std::vector<float> logits = all_logits(*load(dir, tiny), tokens, 64);
  // A product rounds its input to steps of max / 127 for each 256 values. With max = 3 rms the error of a value is
  // 3 / 127 / sqrt(12) = 0.7 % of the rms, an NMSE of 5e-5 for each of the 15 products that a logit depends on.
  // Attention and the gate may double what they are given, so ten times the sum is allowed: 7e-3. The reference
  // of another model, or one wrong sign, gives an NMSE of the order of 1.
  CHECK(nmse(logits, reference_logits(tiny, tokens)) < 7e-3);
}

TEST_CASE("steps are measured for each size, and wrong ones are refused") {
  const TempDir dir;
  const auto model = load(dir, small_llama());  // of 512 positions
  const int32_t sizes[] = {1, 4};
  const std::vector<double> ms = measure_steps(*model, /*n_past=*/70, sizes, /*n_rounds=*/2);
  REQUIRE(ms.size() == 2);
  CHECK(ms[0] > 0.0);
  CHECK(ms[1] > 0.0);
  CHECK_THROWS_AS(measure_steps(*model, 509, sizes, 1), EngineError);
  CHECK_THROWS_AS(measure_steps(*model, -1, sizes, 1), EngineError);
  CHECK_THROWS_AS(measure_steps(*model, 0, sizes, 0), EngineError);
  CHECK_THROWS_AS(measure_steps(*model, 0, {}, 1), EngineError);
}

TEST_CASE("logits have the same bits for every chunking, kernel and number of threads") {
  const TempDir dir;
  for (const TinyLlama& tiny : {small_llama(), quantized_llama()}) {
    CAPTURE(tiny.n_embd);
    const auto tokens = random_tokens(150, tiny.n_vocab(), /*seed=*/3);
    const std::vector<float> expected = all_logits(*load(dir, tiny), tokens, 150);
    for (const CpuKernels kernels : runnable_kernels()) {
      for (const int32_t n_threads : {1, 2}) {
        const std::shared_ptr<Model> model = load(dir, tiny, kernels, n_threads);
        CAPTURE(model->info().backend);
        for (const int32_t n_chunk : {1, 7, 64, 150}) {
          CAPTURE(n_chunk);
          CHECK(all_logits(*model, tokens, n_chunk) == expected);
        }
      }
    }
  }
}

TEST_CASE("the last logits alone are the last of all logits") {
  const TinyLlama tiny = small_llama();
  const TempDir dir;
  const auto model = load(dir, tiny);
  const auto tokens = random_tokens(20, tiny.n_vocab(), /*seed=*/4);
  const std::vector<float> all = all_logits(*model, tokens, 8);
  const std::vector<float> last = evaluate_logits(*model, tokens, 3, 8);
  CHECK(last == std::vector<float>(all.end() - 3 * tiny.n_vocab(), all.end()));
}

TEST_CASE("logits have the same bits when a prefix is reused") {
  const TinyLlama tiny = small_llama();
  const TempDir dir;
  const auto loaded = std::dynamic_pointer_cast<LoadedModel>(load(dir, tiny));
  const auto n_vocab = static_cast<size_t>(tiny.n_vocab());
  const auto first = random_tokens(200, tiny.n_vocab(), /*seed=*/5);
  struct Case {
    int32_t n_common;
    int32_t n_reused;
  };
  // Whole pages are shared; of the one where the texts part, rows are copied.
  for (const auto& [n_common, n_reused] : {Case{130, 130}, Case{128, 128}, Case{90, 90}, Case{64, 64}, Case{40, 40}}) {
    CAPTURE(n_common);
    KvCache cache(loaded->stages(), loaded->network().kv_shape(), 8);
    auto sequence = cache.begin(first, 200);
    REQUIRE(sequence != nullptr);
    const std::vector<float> first_logits = extend(*loaded, cache, *sequence, first);
    cache.retire(std::move(sequence));

    auto second = random_tokens(160, tiny.n_vocab(), /*seed=*/6);
    std::copy_n(first.begin(), n_common, second.begin());
    REQUIRE(second[static_cast<size_t>(n_common)] != first[static_cast<size_t>(n_common)]);
    sequence = cache.begin(second, 160);
    REQUIRE(sequence != nullptr);
    CHECK(sequence->n_past() == n_reused);
    const std::vector<float> logits = extend(*loaded, cache, *sequence, second);
    const std::vector<float> expected = all_logits(*loaded, second, 64);
    CHECK(logits == std::vector<float>(expected.begin() + static_cast<int64_t>(n_vocab) * n_reused, expected.end()));
    cache.retire(std::move(sequence));

    // What was shared has not been written to: the first text again, as far as it is still held.
    sequence = cache.begin(first, 200);
    REQUIRE(sequence != nullptr);
    CHECK(sequence->n_past() > 0);
    const auto from = static_cast<int64_t>(n_vocab) * sequence->n_past();
    CHECK(extend(*loaded, cache, *sequence, first) ==
          std::vector<float>(first_logits.begin() + from, first_logits.end()));
  }
}

TEST_CASE("logits have the same bits beside another sequence in the batch") {
  const TinyLlama tiny = small_llama();
  const TempDir dir;
  const auto loaded = std::dynamic_pointer_cast<LoadedModel>(load(dir, tiny));
  const auto a = random_tokens(70, tiny.n_vocab(), /*seed=*/7), b = random_tokens(5, tiny.n_vocab(), /*seed=*/8);
  const auto kv = loaded->stages().alloc_kv(loaded->network().kv_shape(), 3);
  const std::vector<int32_t> a_pages = {2, 0}, b_pages = {1}, rows = {69, 74};
  const SequenceRun runs[] = {{a_pages, 0, 70}, {b_pages, 0, 5}};
  std::vector<int32_t> tokens = a;
  tokens.insert(tokens.end(), b.begin(), b.end());
  std::vector<float> logits(2 * static_cast<size_t>(tiny.n_vocab()));
  loaded->network().forward({tokens, runs, rows, 100}, *kv, logits);
  std::vector<float> expected = evaluate_logits(*loaded, a, 1, 64);
  const std::vector<float> second = evaluate_logits(*loaded, b, 1, 64);
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK(logits == expected);
}

TEST_CASE("evaluate_logits refuses what it cannot compute") {
  const TinyLlama tiny = small_llama();
  const TempDir dir;
  const auto model = load(dir, tiny);
  const std::vector<int32_t> tokens = {1, 2, 3}, none, outside = {1, tiny.n_vocab()}, negative = {-1};
  const std::vector<int32_t> too_many(static_cast<size_t>(tiny.n_ctx_train) + 1, 1);
  CHECK(error_of([&] { evaluate_logits(*model, none, 1, 8); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { evaluate_logits(*model, tokens, 0, 8); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { evaluate_logits(*model, tokens, 4, 8); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { evaluate_logits(*model, tokens, 1, 0); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { evaluate_logits(*model, outside, 1, 8); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { evaluate_logits(*model, negative, 1, 8); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { evaluate_logits(*model, too_many, 1, 8); }) == ErrorCode::kContextFull);
}
