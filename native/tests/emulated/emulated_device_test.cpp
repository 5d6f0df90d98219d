// The GPU backend on an emulated device: whole models against the processor, and against themselves in other chunks.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "backend/device_kv_bytes.h"
#include "backend/gpu/gpu_memory.h"
#include "kernels/emulated_device/emulated_device.h"
#include "kernels/emulator/fault.h"
#include "kernels/launchers/launchers.h"
#include "model/device_layers.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/kv_life.h"
#include "tests/support/quantized_data.h"
#include "tests/support/recorder.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("emulated device: a model computes what the processor does, the same bits in any chunks") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kF32}));
  const auto tokens = random_tokens(*pair.on_cpu, 40);
  const auto expected = logits(*pair.on_cpu, tokens, 40, 40);
  const auto one = logits(*pair.on_device, tokens, 40, 1);
  CHECK(distance(one, expected) <= 1e-3);  // keys and values are rounded to f16 after sums in another order
  for (const int32_t n_chunk : {3, 16}) CHECK(logits(*pair.on_device, tokens, 40, n_chunk) == one);
  const auto all = logits(*pair.on_device, tokens, 40, 40);
  CHECK(distance(all, expected) <= 1e-3);
  // The first 34 in two passes of 17: what follows has fewer than 17, and other bits.
  const auto halves = logits(*pair.on_device, {tokens.begin(), tokens.begin() + 34}, 34, 17);
  CHECK(std::equal(halves.begin(), halves.end(), all.begin()));
}

TEST_CASE("emulated device: weights in blocks and experts, as on the processor") {
  const TempDir dir;
  // Both round activations to int8, in the same groups, after sums in another order.
  for (const auto& model : {std::pair{tiny_llama({TensorType::kQ4_0}), 0.1},
                            {tiny_llama({TensorType::kQ4_K, TensorType::kQ8_0}, 256), 0.1},
                            {tiny_llama({TensorType::kF16}, 64, 4), 1e-3},
                            {tiny_llama({TensorType::kQ4_0}, 64, 4), 0.1}}) {
    const TinyLlama& tiny = model.first;
    const double limit = model.second;
    const ModelPair pair = load_pair(dir, tiny);
    CAPTURE(pair.on_cpu->info().file_type);
    CAPTURE(tiny.n_expert);
    const auto tokens = random_tokens(*pair.on_cpu, 21);
    const auto expected = logits(*pair.on_cpu, tokens, 21, 21);
    const auto one = logits(*pair.on_device, tokens, 21, 1);
    CHECK(distance(one, expected) <= limit);
    CHECK(logits(*pair.on_device, tokens, 21, 8) == one);
    // Many at once are rounded to f16.
    check_halves(logits(*pair.on_device, tokens, 21, 21), exact_logits(dir.path("tiny.gguf"), tokens),
                 pair.on_cpu->info());
  }
}

TEST_CASE("emulated device: one token's norms and additions in its products change no bit") {
  const TempDir dir;
  // Matrices of one kind; some that need the norm by itself; experts, whose router does.
  for (const TinyLlama& tiny : {tiny_llama({TensorType::kQ4_K}, 256), tiny_llama({TensorType::kQ8_0}, 256),
                                tiny_llama({TensorType::kQ4_K, TensorType::kF32}, 256, 2)}) {
    const ModelPair pair = load_pair(dir, tiny);
    CAPTURE(pair.on_cpu->info().file_type);
    CAPTURE(tiny.n_expert);
    const auto tokens = random_tokens(*pair.on_cpu, 4);
    const auto one = logits(*pair.on_device, tokens, 4, 1);
    CHECK(logits(*pair.on_device, tokens, 4, 4) == one);
    CHECK(distance(one, logits(*pair.on_cpu, tokens, 4, 4)) <= 0.1);
  }
}

TEST_CASE("emulated device: experts in slots have the bits of experts that are all there") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kQ4_0}, 64, 6));
  const auto tokens = random_tokens(*pair.on_cpu, 20);
  LoadOptions options;
  options.devices = {device_id(0)};
  options.device_expert_bytes = 1;  // as many slots as a token uses
  const auto in_slots = Model::load(dir.path("tiny.gguf"), options);
  for (const int32_t n_chunk : {1, 20})
    CHECK(logits(*in_slots, tokens, 20, n_chunk) == logits(*pair.on_device, tokens, 20, n_chunk));
  const ExpertCacheStats stats = Engine::create(in_slots)->stats().experts;
  CHECK(stats.resident_bytes < stats.total_bytes);
  CHECK(stats.n_hits > 0);
  CHECK(stats.n_misses > 0);
  CHECK(stats.n_evictions > 0);
}

TEST_CASE("emulated device: experts may have their gates and ups in one tensor") {
  const TempDir dir;
  const TinyLlama tiny = tiny_llama({TensorType::kQ4_0}, 64, 6);
  const ModelPair apart = load_pair(dir, tiny);
  const auto tokens = random_tokens(*apart.on_cpu, 20);
  LoadOptions options;
  options.devices = {device_id(0)};
  const auto merged = Model::load(dir.write("merged.gguf", with_merged_experts(tiny).bytes()), options);
  for (const int32_t n_chunk : {1, 20})
    CHECK(logits(*merged, tokens, 20, n_chunk) == logits(*apart.on_device, tokens, 20, n_chunk));
}

TEST_CASE("emulated device: layers are shared with the processor, and between two devices if there are two") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kF32}));
  const auto tokens = random_tokens(*pair.on_cpu, 20);
  LoadOptions options;
  options.n_threads = 1;
  const std::string path = dir.path("tiny.gguf");
  options.devices = {device_id(0)};
  options.n_device_layers = {1};
  const auto beside_cpu = Model::load(path, options);
  REQUIRE(beside_cpu->info().shares.size() == 2);
  const auto expected = logits(*pair.on_cpu, tokens, 20, 20);
  const auto one = logits(*beside_cpu, tokens, 20, 1);
  CHECK(distance(one, expected) <= 1e-3);
  CHECK(logits(*beside_cpu, tokens, 20, 7) == one);
  std::string reason;
  if (list_gpus(reason).size() < 2) return;
  options.devices = {device_id(0), device_id(1)};
  options.n_device_layers = {1, 1};
  const auto on_two = Model::load(path, options);
  REQUIRE(on_two->info().shares.size() == 2);
  for (const int32_t n_chunk : {1, 20})
    CHECK(logits(*on_two, tokens, 20, n_chunk) == logits(*pair.on_device, tokens, 20, n_chunk));
}

TEST_CASE("emulated device: of two devices none takes the other's kernels, memory or marks") {
  std::string reason;
  if (gpu::n_devices(reason) < 2) return;
  void* data[2] = {};
  gpu::Stream streams[2] = {};
  gpu::Mark mark = nullptr;
  for (const int32_t device : {1, 0}) {
    check_gpu(gpu::choose_device(device), "choosing a device");
    check_gpu(gpu::create_stream(streams[device]), "making a stream");
    check_gpu(gpu::allocate(data[device], 4 * sizeof(float)), "allocating");
    check_gpu(gpu::fill(data[device], 0, 4 * sizeof(float)), "clearing");
  }
  check_gpu(gpu::create_mark(mark), "making a mark");
  const auto scale = [&](gpu::Stream stream, void* x) {
    return gpu::launch_scale(stream, static_cast<float*>(x), {4, 2.0f, 0});
  };
  CHECK(scale(streams[0], data[0]) == gpu::Error::kNone);
  CHECK(scale(streams[1], data[1]) != gpu::Error::kNone);
  CHECK(gpu::set_mark(mark, streams[0]) == gpu::Error::kNone);
  CHECK(gpu::set_mark(mark, streams[1]) != gpu::Error::kNone);
  check_gpu(gpu::synchronize(streams[0]), "computing");
  check_gpu(gpu::choose_device(1), "choosing a device");
  // A thread begins with the first device, whatever others have chosen.
  gpu::Error error = gpu::Error::kNone;
  std::thread([&] { error = scale(streams[1], data[1]); }).join();
  CHECK(error != gpu::Error::kNone);
  CHECK(scale(streams[1], data[0]) == gpu::Error::kNone);
  CHECK_THROWS_AS(gpu::synchronize(streams[1]), emulator::Fault);
  check_gpu(gpu::choose_device(0), "choosing a device");
  gpu::destroy_mark(mark);
  for (const int32_t device : {0, 1}) {
    gpu::release(data[device]);
    gpu::destroy_stream(streams[device]);
  }
}

TEST_CASE("emulated device: keys and values in codes, as the processor packs them") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama());
  const int32_t n_tokens = 230, n_last = 38;  // of the fourth page: the first two are read packed
  const auto tokens = random_tokens(*pair.on_cpu, n_tokens);
  const auto in_f16 = logits(*pair.on_cpu, tokens, n_last, 64);
  for (const std::string kv : {"safe", "compact"}) {
    CAPTURE(kv);
    const auto expected = logits(*pair.on_cpu, tokens, n_last, 64, kv);
    const double of_format = distance(expected, in_f16);
    CAPTURE(of_format);
    const auto few = logits(*pair.on_device, tokens, n_last, 16, kv),
               many = logits(*pair.on_device, tokens, n_last, 115, kv);
    // What differs is how sums, queries and weights are rounded, and with it a code here and there: less than packing
    // itself changes.
    CHECK(distance(few, expected) <= of_format / 2);
    CHECK(distance(many, expected) <= of_format / 2);
    CHECK(logits(*pair.on_device, tokens, n_last, 5, kv) == few);
    CHECK(logits(*pair.on_device, tokens, n_last, n_tokens, kv) == many);
  }
}

TEST_CASE("emulated device: keys and values are packed in a model's own bases") {
  const TempDir dir;
  ModelPair pair = load_pair(dir, tiniest_llama());
  calibrate_kv(*pair.on_cpu, random_tokens(*pair.on_cpu, 400), [](float) { return true; });
  LoadOptions options;
  options.devices = {device_id(0)};
  const auto calibrated = Model::load(dir.path("tiny.gguf"), options);
  const auto tokens = random_tokens(*pair.on_cpu, 230);
  const auto in_f16 = logits(*pair.on_cpu, tokens, 38, 64);
  const auto expected = logits(*pair.on_cpu, tokens, 38, 64, "compact");
  const double of_format = distance(expected, in_f16);
  for (const int32_t n_chunk : {16, 115})
    CHECK(distance(logits(*calibrated, tokens, 38, n_chunk, "compact"), expected) <= of_format / 5);
  // Without the bases other codes are chosen.
  CHECK(distance(logits(*pair.on_device, tokens, 38, 115, "compact"), expected) > of_format / 5);
}

TEST_CASE("emulated device: passes are recorded and repeated, in f16 and in codes") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama());
  const auto tokens = random_tokens(*pair.on_cpu, 70);
  for (const std::string kv : {"exact", "compact"}) {
    CAPTURE(kv);
    const auto before = emulator::replays();
    const auto one = logits(*pair.on_device, tokens, 20, 1, kv);
    // Up to 64 positions, and up to 128: a shape is computed once, then recorded and repeated.
    if (before) CHECK(*emulator::replays() - *before >= 60);
    CHECK(logits(*pair.on_device, tokens, 20, 10, kv) == one);
  }
}

TEST_CASE("emulated device: a pass without room to be recorded is computed all the same") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama());
  const auto tokens = random_tokens(*pair.on_cpu, 70);
  for (const std::string kv : {"exact", "compact"}) {
    CAPTURE(kv);
    const auto expected = logits(*pair.on_device, tokens, 20, 1, kv);
    const auto before = emulator::replays();
    emulator::refuse_recordings(true);
    const auto unrecorded = logits(*pair.on_device, tokens, 20, 1, kv);
    emulator::refuse_recordings(false);
    CHECK(unrecorded == expected);
    CHECK(emulator::replays() == before);
    CHECK(logits(*pair.on_device, tokens, 20, 1, kv) == expected);
  }
}

TEST_CASE("emulated device: rotations that had no room are made when there is some") {
  const RopeParams params = {RopePairing::kAdjacent, 0, {1.0, 0.25}, 1.0f};
  const auto table = [](const GpuRope& rope, size_t n_positions) {
    std::vector<float> values(4 * n_positions);
    CHECK(gpu::copy(values.data(), rope.turns(), values.size() * sizeof(float), gpu::Copy::kToHost) ==
          gpu::Error::kNone);
    return values;
  };
  gpu::Stream stream = nullptr;
  REQUIRE(gpu::create_stream(stream) == gpu::Error::kNone);
  GpuRope whole(params), rope(params);
  REQUIRE(whole.reserve(1500, 1501, stream));
  for (const int32_t position : {7, 1024}) {  // the first table, and one that is longer
    CAPTURE(position);
    emulator::set_device_memory(emulator::device_bytes_in_use() + 1000);
    CHECK(error_of([&] { rope.reserve(position, 1501, stream); }) == ErrorCode::kOutOfMemory);
    emulator::set_device_memory(size_t{1} << 30);
    CHECK(rope.reserve(position, 1501, stream));
    CHECK(!rope.reserve(position, 1501, stream));
    const auto n = static_cast<size_t>(position) + 1;
    CHECK(table(rope, n) == table(whole, n));
  }
  gpu::destroy_stream(stream);
}

TEST_CASE("emulated device: rotations take what the longest context needs, also while their table grows") {
  const RopeParams params = {RopePairing::kAdjacent, 0, std::vector<double>(64, 0.5), 1.0f};
  constexpr size_t kPositionBytes = 2 * 64 * sizeof(float);
  gpu::Stream stream = nullptr;
  REQUIRE(gpu::create_stream(stream) == gpu::Error::kNone);
  {
    GpuRope rope(params);
    const size_t before = emulator::device_bytes_in_use();
    const auto n_positions = [&] { return (emulator::device_bytes_in_use() - before) / kPositionBytes; };
    emulator::set_device_memory(before + 3000 * kPositionBytes);
    REQUIRE(rope.reserve(0, 3000, stream));
    CHECK(n_positions() == 1024);
    REQUIRE(!error_of([&] { rope.reserve(1024, 3000, stream); }));
    CHECK(n_positions() == 2048);
    REQUIRE(!error_of([&] { rope.reserve(2048, 3000, stream); }));  // where 4096 have no room, nor both
    CHECK(n_positions() == 3000);
    emulator::set_device_memory(size_t{1} << 30);
  }
  {
    GpuRope rope(params);
    const size_t before = emulator::device_bytes_in_use();
    REQUIRE(rope.reserve(0, 256, stream));
    CHECK(emulator::device_bytes_in_use() - before == 256 * kPositionBytes);
  }
  gpu::destroy_stream(stream);
}

TEST_CASE("emulated device: more numbers than kernels count to are refused, not left out") {
  const auto backend = create_gpu_backend(0, {});
  const auto one = backend->alloc_f32(1);
  constexpr size_t kMost = size_t{INT32_MAX} + 1;
  const DeviceSpan<float> many = {one->span().data, kMost};
  CHECK(error_of([&] { backend->scale(many, 2.0f); }) == ErrorCode::kInternal);
  CHECK(error_of([&] { backend->softcap(many, 2.0f); }) == ErrorCode::kInternal);
  CHECK(error_of([&] { backend->activate(many, Activation::kGelu); }) == ErrorCode::kInternal);
}

TEST_CASE("emulated device: a pass that is given up leaves no page packed whose layers it did not compute") {
  const TempDir dir;
  LoadOptions options;
  options.devices = {device_id(0)};
  const auto model = std::dynamic_pointer_cast<const LoadedModel>(
      Model::load(dir.write("tiny.gguf", tiniest_llama().bytes()), options));
  const auto kv = model->stages().alloc_kv(model->network().kv_shape(), kv_format(KvPreset::kCompact, 2), 4);
  const auto tokens = random_tokens(*model, 200);
  const std::vector<int32_t> page_table = {0, 1, 2, 3};
  const std::vector<SequenceRun> runs = {{page_table, 0, 200}};
  const std::vector<int32_t> rows = {199};
  std::vector<float> row(static_cast<size_t>(model->info().n_vocab));
  Network& network = const_cast<LoadedModel&>(*model).network();
  int n_layers = 0;
  const auto compute = [&](const std::function<bool()>& goes_on) {
    return error_of([&] { network.forward({tokens, runs, rows, 512, false, goes_on}, *kv, row); });
  };
  CHECK(compute([&] { return n_layers++ < 1; }) == ErrorCode::kCancelled);
  CHECK(!kv->has(0, KvForm::kPacked));
  CHECK(compute({}) == std::nullopt);
  CHECK(kv->has(0, KvForm::kPacked));
  CHECK(row == logits(*model, tokens, 1, 200, "compact"));
}

TEST_CASE("emulated device: of a long pass, two layers at most are under way when it is given up") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama(32, 7));
  const auto tokens = random_tokens(*pair.on_device, 70);  // more than a pass that is recorded
  const auto expected = logits(*pair.on_device, tokens, 1, 70);
  std::vector<size_t> waiting;
  const auto compute = [&](size_t n_layers) {
    waiting.clear();
    return error_of([&] {
      evaluate_logits(*pair.on_device, tokens, 1, 70, "exact", [&] {
        waiting.push_back(emulator::n_waiting());
        return waiting.size() <= n_layers;
      });
    });
  };
  CHECK(compute(5) == ErrorCode::kCancelled);
  REQUIRE(waiting.size() == 6);
  const size_t of_layer = waiting[1] - waiting[0];
  REQUIRE(of_layer > 4);
  for (const size_t n : waiting) CHECK(n <= waiting[0] + 2 * of_layer);
  CHECK(compute(7) == std::nullopt);
  CHECK(logits(*pair.on_device, tokens, 1, 70) == expected);
}

TEST_CASE("emulated device: memory that does not suffice is an error, and what follows is right") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama());
  const auto tokens = random_tokens(*pair.on_cpu, 230);
  const auto expected = logits(*pair.on_device, tokens, 2, 115, "compact");
  const size_t n_used = emulator::device_bytes_in_use();
  emulator::set_device_memory(n_used + 1000);
  const auto compute = [&] { logits(*pair.on_device, tokens, 2, 115, "compact"); };
  CHECK(error_of(compute) == ErrorCode::kOutOfMemory);
  CHECK(message_of(compute).find("The GPU has no room for") == 0);
  CHECK(emulator::device_bytes_in_use() <= n_used);
  emulator::set_device_memory(size_t{1} << 30);
  CHECK(logits(*pair.on_device, tokens, 2, 115, "compact") == expected);
}

TEST_CASE("emulated device: a prompt takes smaller slices where a pass has no room for larger ones") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiniest_llama().bytes());
  /// @return what was said, and the memory that the request took beyond that of model and engine
  const auto say = [&](int32_t n_slice, size_t room, std::optional<ErrorCode>& error) {
    LoadOptions on_device;
    on_device.devices = {device_id(0)};
    const auto model = Model::load(path, on_device);
    EngineOptions options;
    options.n_prefill = n_slice;
    options.slice_ms = 0;
    const auto engine = Engine::create(model, options);
    const size_t before = emulator::device_bytes_in_use();
    emulator::set_device_memory(before + room);
    GenerateRequest request;
    request.tokens = random_tokens(*model, 300);
    request.n_predict = 4;
    request.sampler.temperature = 0;
    Recorder recorder;
    engine->submit(request, recorder.sink());
    recorder.wait();
    emulator::set_device_memory(size_t{1} << 30);
    error = recorder.error;
    return std::pair(recorder.text(), emulator::device_bytes_in_use() - before);
  };
  std::optional<ErrorCode> error;
  const auto small = say(64, size_t{1} << 28, error);
  const auto large = say(256, size_t{1} << 28, error);
  REQUIRE(small.second < large.second);
  say(256, 1000, error);
  CHECK(error == ErrorCode::kOutOfMemory);
  const auto shrunk = say(256, (small.second + large.second) / 2, error);
  CHECK(!error);
  CHECK(shrunk.first == large.first);
}

TEST_CASE("emulated device: keys and values take what is planned for them") {
  const TempDir dir;
  const auto model = std::dynamic_pointer_cast<const LoadedModel>(load_pair(dir, tiniest_llama()).on_device);
  for (const KvShape& shape : {model->network().kv_shape(), KvShape{2, 3, 80, 64}}) {
    for (const std::string name : {"exact", "compact", "k8v4", "k2v3"}) {
      CAPTURE(name);
      const KvFormat format = parse_kv_format(name, shape.n_layer);
      DeviceKvBytes planned;
      for (const KvBits& bits : format.layers) planned += device_kv_bytes(shape, bits);
      const auto kv = model->stages().alloc_kv(shape, format, 2);
      CHECK(planned.fresh == kv->form_bytes(KvForm::kFresh));
      if (format.is_exact()) continue;
      CHECK(planned.packed == kv->form_bytes(KvForm::kPacked));
      CHECK(planned.sinks == kv->form_bytes(KvForm::kSinks));
    }
  }
}

TEST_CASE("emulated device: more layers fit with keys and values in codes") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiniest_llama().bytes());
  LoadOptions options;
  options.n_threads = 1;
  options.devices = {device_id(0)};
  options.n_device_layers = {kFittingLayers};
  const auto bytes = read_layer_bytes(GgufFile::open(path), "exact");
  options.n_device_positions = (uint64_t{300} << 20) / bytes.kv[0].fresh * kKvPageSize;  // 300 MiB of a layer
  emulator::set_device_memory(emulator::device_bytes_in_use() + (size_t{800} << 20));
  CHECK(Model::load(path, options)->info().shares.back().n_layer == 1);
  options.device_kv = "max";
  CHECK(Model::load(path, options)->info().shares.back().n_layer == 2);
  emulator::set_device_memory(size_t{1} << 30);
}

TEST_CASE("emulated device: weights of the same bytes are one where the bytes stay, and several where they do not") {
  const auto backend = create_gpu_backend(0, {});
  const FileMatrix matrix = random_matrix(TensorType::kF16, 512, 2048, 1);
  const auto bytes_of_two = [&](bool is_mapped) {
    WeightView view = matrix.view();
    view.is_mapped = is_mapped;
    const size_t before = emulator::device_bytes_in_use();
    const auto first = backend->load_weight(view), second = backend->load_weight(view);
    return emulator::device_bytes_in_use() - before;
  };
  CHECK(bytes_of_two(true) == matrix.view().bytes.size());
  CHECK(bytes_of_two(false) == 2 * matrix.view().bytes.size());  // else a speed would be that of the caches
}

TEST_CASE("emulated device: experts in slots beside the processor, which has another layer") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiny_llama({TensorType::kQ4_0}, 64, 6));
  const auto tokens = random_tokens(*pair.on_cpu, 20);
  LoadOptions options;
  options.n_threads = 1;
  options.devices = {device_id(0)};
  options.n_device_layers = {1};
  const std::string path = dir.path("tiny.gguf");
  const auto all = Model::load(path, options);
  options.device_expert_bytes = 1;
  const auto in_slots = Model::load(path, options);
  for (const int32_t n_chunk : {1, 20})
    CHECK(logits(*in_slots, tokens, 20, n_chunk) == logits(*all, tokens, 20, n_chunk));
  const auto engine = Engine::create(in_slots);
  CHECK(engine->stats().experts.n_misses > 0);
  emulator::lose_device(true);
  CHECK_NOTHROW(engine->stats());  // nobody can count them; the rest is there for whoever asks
  emulator::lose_device(false);
}

TEST_CASE("emulated device: a lost device has an error of its own, and ends the work on its models") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama());
  const auto tokens = random_tokens(*pair.on_cpu, 20);
  const auto expected = logits(*pair.on_device, tokens, 20, 20);
  const auto compute = [&] { logits(*pair.on_device, tokens, 20, 20); };
  emulator::lose_device(true);
  const std::string message = message_of(compute);
  CHECK(message.find("The GPU failed while ") == 0);
  CHECK(error_of(compute) == ErrorCode::kDeviceLost);
  // What was in its memory is gone: also when it answers again, only a model that is loaded again computes.
  emulator::lose_device(false);
  CHECK(error_of(compute) == ErrorCode::kDeviceLost);
  CHECK(message_of(compute) == message);
  CHECK(logits(*load_pair(dir, tiniest_llama()).on_device, tokens, 20, 20) == expected);
}

TEST_CASE("emulated device: requests end with the error of a lost device, the running and the later ones") {
  const TempDir dir;
  const ModelPair pair = load_pair(dir, tiniest_llama());
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact}) {
    CAPTURE(static_cast<int>(preset));
    EngineOptions options;
    options.kv = preset;
    const auto model = Model::load(dir.path("tiny.gguf"), [] {
      LoadOptions on_device;
      on_device.devices = {device_id(0)};
      return on_device;
    }());
    Recorder running, later;
    const auto engine = Engine::create(model, options);
    GenerateRequest request;
    request.tokens = random_tokens(*model, 200);
    request.n_predict = 20;
    running.on_text = [](int32_t n_decoded) { emulator::lose_device(n_decoded >= 3); };
    engine->submit(request, running.sink());
    running.wait();
    CHECK(running.error == ErrorCode::kDeviceLost);
    engine->submit(request, later.sink());
    later.wait();
    CHECK(later.error == ErrorCode::kDeviceLost);
    emulator::lose_device(false);
  }
}

TEST_CASE("emulated device: reuse, drafts and evictions change no bit, in f16 and in codes") {
  const TempDir dir;
  LoadOptions options;
  options.devices = {device_id(0)};
  const auto model = std::dynamic_pointer_cast<const LoadedModel>(
      Model::load(dir.write("tiny.gguf", tiniest_llama().bytes()), options));
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact}) {
    const std::string name = kKvPresetNames[static_cast<size_t>(preset)];
    CAPTURE(name);
    // Pages are packed when a text has come to its fourth.
    const int32_t n_context = preset == KvPreset::kExact ? 100 : 200;
    const auto one = model->stages().alloc_kv(model->network().kv_shape(), kv_format(preset, 2), 1);
    const uint64_t n_bytes = 4 * (kv_promised_bytes(*one, n_context) + kv_pass_bytes(*one, 100));
    KvLife life({model, preset, n_bytes, /*seed=*/11, n_context, /*n_most_tokens=*/16, /*has_recorded_passes=*/true});
    for (int i = 0; i < 60; ++i) life.step();
    life.end();
    CHECK(life.n_reused > 0);
    CHECK(life.n_rolled_back > 0);
    CHECK(life.n_given_up > 0);
  }
}
