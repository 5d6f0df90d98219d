// Models with experts from the file on: what the loader accepts and refuses, results that do not depend on the memory
// for experts, and the figures that a user sees.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "backend/device_experts.h"
#include "core/available_memory.h"
#include "runtime/expert_budget.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// A small Mixtral: three layers of six experts, of which a token uses two.
TinyLlama mixtral(const std::vector<TensorType>& expert_types = {TensorType::kF32}, int32_t width = 64) {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.n_embd = width;
  tiny.n_ff = width;
  tiny.n_expert = 6;
  return with_random_experts(with_random_weights(tiny), expert_types);
}

std::vector<int32_t> some_tokens(size_t n) {
  std::vector<int32_t> tokens = {1};
  for (size_t i = 1; i < n; ++i) tokens.push_back(static_cast<int32_t>(kFirstPiece + i * 37 % 128));
  return tokens;
}

std::shared_ptr<Model> load(const TinyLlama& tiny, uint64_t expert_cache_bytes = 0) {
  const TempDir dir;
  LoadOptions options;
  options.n_threads = 2;
  options.expert_cache_bytes = expert_cache_bytes;
  return Model::load(dir.write("tiny.gguf", tiny.bytes()), options);
}

std::vector<float> logits_of(const Model& model, size_t n_tokens = 40, int32_t n_chunk = 16) {
  return evaluate_logits(model, some_tokens(n_tokens), static_cast<int32_t>(n_tokens), n_chunk);
}

/// The message of a refused file, which is written as PATH.
std::string refusal(const TinyLlama& tiny) {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiny.bytes());
  std::string message = message_of([&] { Model::load(path); });
  if (const size_t at = message.find(path); at != std::string::npos) message.replace(at, path.size(), "PATH");
  return message;
}

void rename_tensor(TinyLlama& tiny, const std::string& from, const std::string& to) { tiny.tensor(from).name = to; }

/// [n_expert, n_rows] f32, as one tensor of two dimensions.
void add_biases(TinyLlama& tiny, const std::string& name, int64_t n_rows, uint32_t seed) {
  tiny.add_matrix(name, random_matrix(TensorType::kF32, tiny.n_expert, n_rows, seed));
}

}  // namespace

TEST_CASE("logits do not depend on the memory for experts, to the bit") {
  for (const auto& types : {std::vector{TensorType::kF32}, {TensorType::kQ4_K, TensorType::kQ6_K}}) {
    const TinyLlama tiny = mixtral(types, 256);
    const auto everything = load(tiny, UINT64_MAX);
    const std::vector<float> expected = logits_of(*everything);
    const auto engine = Engine::create(everything);
    const ExpertCacheStats all = engine->stats().experts;
    CHECK(all.resident_bytes == all.total_bytes);
    CHECK(all.n_misses == 0);
    CHECK(all.n_hits > 0);
    CHECK(all.hit_rate() == 1.0);
    for (const uint64_t budget : {uint64_t{1}, all.total_bytes / 18, all.total_bytes / 2, all.total_bytes - 1}) {
      CAPTURE(budget);
      const auto model = load(tiny, budget);
      CHECK(logits_of(*model) == expected);
      CHECK(logits_of(*model, 40, 3) == expected);
      const ExpertCacheStats stats = Engine::create(model)->stats().experts;
      CHECK(stats.total_bytes == all.total_bytes);
      CHECK(stats.budget_bytes == budget);
      CHECK(stats.resident_bytes <= budget);
      CHECK(stats.n_misses > 0);
      CHECK(stats.hit_rate() < 1.0);
      CHECK(stats.hit_rate() == doctest::Approx(1.0 * static_cast<double>(stats.n_hits) /
                                                static_cast<double>(stats.n_hits + stats.n_misses)));
    }
  }
}

TEST_CASE("equal experts compute what one feed-forward layer computes") {
  TinyLlama dense;
  dense.pieces = word_pieces();
  dense = with_random_weights(dense);
  TinyLlama experts = dense;
  experts.n_expert = 4;
  for (int32_t il = 0; il < dense.n_layer; ++il) {
    const std::string blk = "blk." + std::to_string(il) + ".";
    experts.add_matrix(blk + "ffn_gate_inp.weight", random_matrix(TensorType::kF32, 4, dense.n_embd, 1));
    for (const char* part : {"ffn_gate", "ffn_up", "ffn_down"}) {
      FileMatrix stacked = dense.tensor(blk + part + ".weight").data;
      const std::vector<std::byte> one = stacked.bytes;
      for (int i = 1; i < 4; ++i) stacked.bytes.insert(stacked.bytes.end(), one.begin(), one.end());
      stacked.n_rows *= 4;
      experts.remove_tensor(blk + part + ".weight");
      experts.tensors.push_back({blk + part + "_exps.weight", stacked, false, 4});
    }
  }
  // The normalized weights sum to 1 up to rounding.
  CHECK(nmse(logits_of(*load(experts)), logits_of(*load(dense))) < 1e-10);
}

TEST_CASE("gate and up may be one tensor, and experts may have biases") {
  TinyLlama apart = mixtral();
  const int64_t n_ff = apart.n_ff, n_embd = apart.n_embd;
  const std::vector<float> without = logits_of(*load(apart));
  for (int32_t il = 0; il < apart.n_layer; ++il) {
    const std::string blk = "blk." + std::to_string(il) + ".";
    add_biases(apart, blk + "ffn_gate_exps.bias", n_ff, 1);
    add_biases(apart, blk + "ffn_up_exps.bias", n_ff, 2);
    add_biases(apart, blk + "ffn_down_exps.bias", n_embd, 3);
  }
  const TinyLlama merged = with_merged_experts(apart);
  const std::vector<float> expected = logits_of(*load(apart));
  CHECK(expected != without);
  CHECK(logits_of(*load(merged)) == expected);
  CHECK(logits_of(*load(merged, 1)) == expected);
}

TEST_CASE("a selection bias moves the choice") {
  TinyLlama tiny = mixtral();
  for (int32_t il = 0; il < tiny.n_layer; ++il)
    tiny.add_vector("blk." + std::to_string(il) + ".exp_probs_b.bias", {0, 9, 0, 0, 9, 0});
  const auto model = load(tiny);
  logits_of(*model);
  for (const ExpertUsage& usage : model->expert_usage())
    CHECK(usage.n_tokens == std::vector<uint64_t>{0, 40, 0, 0, 40, 0});
}

TEST_CASE("usage counts every token in every layer, whatever the chunks") {
  const auto model = load(mixtral());
  CHECK(model->info().n_expert == 6);
  CHECK(model->info().n_expert_used == 2);
  logits_of(*model, 40, 40);
  const auto whole = model->expert_usage();
  REQUIRE(whole.size() == 3);
  for (size_t il = 0; il < 3; ++il) {
    CHECK(whole[il].il == static_cast<int32_t>(il));
    CHECK(std::accumulate(whole[il].n_tokens.begin(), whole[il].n_tokens.end(), uint64_t{0}) == 40 * 2);
    CHECK(std::count(whole[il].n_tokens.begin(), whole[il].n_tokens.end(), 0) < 6 - 2);  // tokens choose differently
  }
  logits_of(*model, 40, 7);
  const auto twice = model->expert_usage();
  for (size_t il = 0; il < 3; ++il) {
    for (size_t i = 0; i < 6; ++i) CHECK(twice[il].n_tokens[i] == 2 * whole[il].n_tokens[i]);
  }
}

TEST_CASE("a model without experts reports none") {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  const auto model = load(with_random_weights(tiny), 12345);
  CHECK(model->info().n_expert == 0);
  CHECK(model->info().n_expert_used == 0);
  CHECK(model->expert_usage().empty());
  const ExpertCacheStats stats = Engine::create(model)->stats().experts;
  CHECK(stats.total_bytes + stats.budget_bytes + stats.n_hits + stats.n_misses == 0);
}

TEST_CASE("the size of weights counts the experts in memory") {
  const TinyLlama tiny = mixtral();
  const auto all = load(tiny, UINT64_MAX), one = load(tiny, 1);
  CHECK(all->info().weight_bytes - one->info().weight_bytes == Engine::create(all)->stats().experts.total_bytes);
}

TEST_CASE("files with wrong experts are refused with the tensor's name") {
  const auto refusal_of = [](const auto& change) {
    TinyLlama tiny = mixtral();
    change(tiny);
    return refusal(tiny);
  };
  CHECK(refusal_of([](TinyLlama& tiny) { tiny.remove_tensor("blk.1.ffn_up_exps.weight"); }) ==
        "PATH: the tensor blk.1.ffn_up_exps.weight is missing.");
  CHECK(refusal_of([](TinyLlama& tiny) { tiny.tensor("blk.1.ffn_down_exps.weight").n_stacked = 3; }) ==
        "PATH: the tensor blk.1.ffn_down_exps.weight has the shape [3, 128, 64]; expected [6, 64, 64].");
  CHECK(refusal_of([](TinyLlama& tiny) { tiny.n_expert = 3; }) ==
        "PATH: the tensor blk.0.ffn_gate_inp.weight has the shape [6, 64]; expected [3, 64].");
  CHECK(refusal_of([](TinyLlama& tiny) { tiny.n_expert_used = 7; }) ==
        "PATH: llama.expert_used_count is 7; expected 1 to 6.");
  CHECK(refusal_of([](TinyLlama& tiny) {
          for (const char* part : {"gate", "up", "down"}) {
            const std::string name = std::string("blk.0.ffn_") + part;
            rename_tensor(tiny, name + "_exps.weight", name + ".0.weight");
          }
        }) ==
        "PATH: the tensor blk.0.ffn_gate.0.weight is that of a single expert, as only files from before April 2024 "
        "have it. Choose a newer file of this model.");
  // A scale per expert, as some formats have it: computing without it would be wrong.
  CHECK(refusal_of([](TinyLlama& tiny) {
          tiny.add_vector("blk.0.ffn_up_exps.scale", std::vector<float>(6));
        }).find("blk.0.ffn_up_exps.scale") != std::string::npos);
}

TEST_CASE("the automatic budget leaves room for the rest") {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  // 16 GiB, of which 4 go to other weights: 12, of which three quarters are 9, an eighth of it in reserve.
  CHECK(expert_cache_budget(7 * kGiB, 4 * kGiB, 16 * kGiB) == 9 * kGiB);
  CHECK(expert_cache_budget(8 * kGiB, 4 * kGiB, 16 * kGiB) == 6 * kGiB);
  CHECK(expert_cache_budget(1000 * kGiB, 4 * kGiB, 16 * kGiB) == 6 * kGiB);
  CHECK(expert_cache_budget(1000 * kGiB, 16 * kGiB, 16 * kGiB) == 1);
  CHECK(expert_cache_budget(kGiB, 20 * kGiB, 16 * kGiB) == 1);
  CHECK(expert_cache_budget(UINT64_MAX, UINT64_MAX, UINT64_MAX) == 1);
  CHECK(expert_cache_budget(kGiB, kGiB, std::nullopt) == UINT64_MAX);
}

TEST_CASE("the automatic budget of a GPU is what everything else leaves, if not all experts have room") {
  const DeviceNeed need{/*weights=*/100, /*kv=*/20, /*workspace=*/10, /*experts=*/80};
  CHECK(device_expert_budget(need, 130) == UINT64_MAX);
  CHECK(device_expert_budget(need, 129) == 79);
  CHECK(device_expert_budget(need, 51) == 1);
  CHECK(device_expert_budget(need, 50) == 1);
  CHECK(device_expert_budget(need, 0) == 1);
}

TEST_CASE("experts that a GPU has no room for are refused where the machine's memory has none either") {
  constexpr uint64_t kMib = uint64_t{1} << 20;
  const DeviceNeed need{/*weights=*/100 * kMib, 0, 0, /*experts=*/70 * kMib};
  check_pinned_experts("cuda:0", need, 70 * kMib, 0);  // all of them are on the device
  check_pinned_experts("cuda:0", need, 1, std::nullopt);
  check_pinned_experts("cuda:0", need, 1, 80 * kMib);
  const auto refused = [&] { check_pinned_experts("cuda:0", need, 20 * kMib, 80 * kMib - 8); };
  CHECK(error_of(refused) == ErrorCode::kOutOfMemory);
  CHECK(message_of(refused) ==
        "The experts take 70 MiB, of which cuda:0 has room for 20: all of them would have to stay in this machine's "
        "memory, of which 79 MiB are available. Choose a smaller file, fewer layers on cuda:0, or the processor.");
}

TEST_CASE("a layer on a GPU has its share of the budget in slots, and as many as a token uses") {
  CHECK(DeviceExperts().slots_of(128, 8) == 128);
  CHECK(DeviceExperts{1000, 1000}.slots_of(128, 8) == 128);
  CHECK(DeviceExperts{999, 1000}.slots_of(128, 8) == 127);
  CHECK(DeviceExperts{500, 1000}.slots_of(128, 8) == 64);
  CHECK(DeviceExperts{500, 1000}.slots_of(64, 8) == 32);
  CHECK(DeviceExperts{1, 1000}.slots_of(128, 8) == 8);
  CHECK(DeviceExperts{1, 1000}.slots_of(4, 4) == 4);
}

TEST_CASE("the system says how much memory is available") {
  const auto available = available_memory_bytes();
  REQUIRE(available.has_value());
  CHECK(*available > uint64_t{1} << 20);
  CHECK(*available < uint64_t{1} << 50);
}
