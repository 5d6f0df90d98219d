// What the backend computes on Metal and does not promise elsewhere.
#include "kernels/emulated_device/emulated_device.h"
#include "kernels/emulated_metal/emulated_metal.h"
#include "model/layer_plan.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("metal: prompts are computed on simdgroup matrices, as exact as f16 is, and alike in chunks") {
  const TempDir dir;
  const TinyLlama tiny = tiny_llama({TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kF16}, 256);
  const ModelPair pair = load_pair(dir, tiny);
  const auto tokens = random_tokens(*pair.on_cpu, 70);
  const auto exact = exact_logits(dir.path("tiny.gguf"), tokens);
  emulator::take_dispatched();
  const auto many = logits(*pair.on_device, tokens, 70, 70);
  const auto dispatched = emulator::take_dispatched();
  check_halves(many, exact, pair.on_cpu->info());
  // Which rounds activations to int8, an eighth as finely.
  CHECK(distance(many, exact) < distance(logits(*pair.on_cpu, tokens, 70, 70), exact) / 5);
  CHECK(logits(*pair.on_device, tokens, 70, 35) == many);  // 17 and more at once
  CHECK(logits(*pair.on_device, tokens, 70, 10) != many);  // by other kernels
  for (const char* name :
       {"halve_activations", "gemm_simdgroup_BlockQ4_K", "gemm_simdgroup_WideQ8_0", "flash_simdgroup_64"})
    CHECK(dispatched.contains(name));
}

TEST_CASE("metal: prompts of mixtures take simdgroup matrices for their experts") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kQ4_0, TensorType::kF16}, 64, 4));
  const auto tokens = random_tokens(*pair.on_cpu, 70);
  const auto exact = exact_logits(dir.path("tiny.gguf"), tokens);
  emulator::take_dispatched();
  const auto many = logits(*pair.on_device, tokens, 70, 70);
  const auto dispatched = emulator::take_dispatched();
  check_halves(many, exact, pair.on_cpu->info());
  CHECK(logits(*pair.on_device, tokens, 70, 35) == many);
  for (const char* name :
       {"arrange_choices", "halve_choices", "experts_simdgroup_BlockQ4_0", "experts_simdgroup_ElementF16"})
    CHECK(dispatched.contains(name));
  for (const char* name : {"group_experts", "experts_gated_BlockQ4_0", "experts_matvec_BlockQ4_0"})
    CHECK(!dispatched.contains(name));
}

TEST_CASE("metal: a pass of few tokens has no launch of its own for rotation") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kF32}));
  const auto tokens = random_tokens(*pair.on_cpu, 20);
  const auto kernels_of = [&](int32_t n_chunk, const std::string& kv) {
    emulator::take_dispatched();
    logits(*pair.on_device, tokens, 20, n_chunk, kv);
    return emulator::take_dispatched();
  };
  for (const int32_t n_chunk : {1, 10}) {
    const auto few = kernels_of(n_chunk, "exact");
    CHECK(few.contains("rope_and_attention_128"));
    CHECK(!few.contains("rope_and_store_kv"));
  }
  CHECK(kernels_of(20, "exact").contains("rope_and_store_kv"));
  CHECK(kernels_of(1, "compact").contains("rope_and_store_codes_one_128"));
}

TEST_CASE("metal: weights are computed with where the file is mapped, but those that kernels want in another order") {
  // Of 256 columns, so that rows of q8_0 and q6_K may be widened.
  struct Sizes {
    uint64_t matrices = 0, lent, used, said;
  };
  const auto sizes_with = [](TensorType type, int32_t n_expert) {
    const TempDir dir;
    const std::string path = dir.write("tiny.gguf", tiny_llama({type}, 256, n_expert).bytes());
    const size_t used_before = emulator::device_bytes_in_use();
    LoadOptions options;
    options.devices = {device_id(0)};
    const auto model = Model::load(path, options);
    Sizes sizes{0, emulator::lent_bytes(), emulator::device_bytes_in_use() - used_before, model->info().weight_bytes};
    const GgufFile file = GgufFile::open(path);
    for (const TensorInfo& tensor : file.tensors())
      if (tensor.shape.size() >= 2) sizes.matrices += tensor.bytes.size();
    return sizes;
  };
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kF16, TensorType::kQ4_0}) {
    for (const int32_t n_expert : {0, 4}) {
      CAPTURE(type);
      CAPTURE(n_expert);
      const Sizes sizes = sizes_with(type, n_expert);
      CHECK(sizes.lent == sizes.matrices);
      CHECK(sizes.said >= sizes.matrices);  // with vectors, which become f32
      CHECK(sizes.used - sizes.lent < sizes.matrices / 4);
    }
  }
  const Sizes wide = sizes_with(TensorType::kQ8_0, 0);
  CHECK(wide.lent == 0);
  CHECK(wide.used >= wide.matrices);
  CHECK(emulator::lent_bytes() == 0);
}

TEST_CASE("metal: experts are never in slots, as what is not there would be in the same memory") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiny_llama({TensorType::kQ4_0}, 64, 6).bytes());
  LoadOptions options;
  options.devices = {device_id(0)};
  const LayerBytes bytes = read_layer_bytes(GgufFile::open(path), "exact");
  const uint64_t need = device_need(bytes, {0, bytes.n_layer()}, false, usual_positions(bytes)).total();
  const auto leave_room = [](uint64_t n) { emulator::set_device_memory(emulator::device_bytes_in_use() + n); };
  leave_room(need - 1);
  CHECK(error_of([&] { Model::load(path, options); }) == ErrorCode::kOutOfMemory);
  leave_room(need);
  const auto model = Model::load(path, options);
  const ExpertCacheStats experts = Engine::create(model)->stats().experts;
  emulator::set_device_memory(size_t{1} << 30);
  CHECK(experts.total_bytes > 0);
  CHECK(experts.resident_bytes == experts.total_bytes);
}

TEST_CASE("metal: there is one device, and the ids of others are refused") {
  std::string reason;
  const auto devices = list_gpus(reason);
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].id == "metal:0");
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiny_llama({TensorType::kF32}).bytes());
  const auto load = [&](const char* id) {
    LoadOptions options;
    options.devices = {id};
    Model::load(path, options);
  };
  CHECK(!error_of([&] { load("metal:0"); }).has_value());
  for (const char* id : {"metal:1", "cuda:0", "metal"})
    CHECK(error_of([&] { load(id); }) == ErrorCode::kInvalidArgument);
}
