// Who has a device's memory: models beside one another, what is left where there is too little, and what they say of
// it.
#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backend/gpu_devices.h"
#include "kernels/emulated_device/emulated_device.h"
#include "kv/kv_file.h"
#include "model/device_layers.h"
#include "runtime/loaded_model.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/recorder.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;

/// So much is free on the device while it lives.
struct LimitedRoom {
  explicit LimitedRoom(size_t n_bytes) { emulator::set_device_memory(emulator::device_bytes_in_use() + n_bytes); }
  ~LimitedRoom() { emulator::set_device_memory(size_t{1} << 30); }
};

LoadOptions on_device(std::vector<int32_t> n_layers = {kAllLayers}) {
  LoadOptions options;
  options.n_threads = 1;
  options.devices = {device_id(0)};
  options.n_device_layers = std::move(n_layers);
  return options;
}

std::shared_ptr<const LoadedModel> load(const std::string& path, const LoadOptions& options) {
  return std::dynamic_pointer_cast<const LoadedModel>(Model::load(path, options));
}

uint64_t tensor_bytes(const GgufFile& file) {
  uint64_t sum = 0;
  for (const TensorInfo& tensor : file.tensors()) sum += tensor.bytes.size();
  return sum;
}

}  // namespace

TEST_CASE("emulated device: a model is planned beside what those that are loaded are going to take") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiniest_llama().bytes());
  const LayerBytes bytes = read_layer_bytes(GgufFile::open(path), "exact");
  LoadOptions options = on_device({kFittingLayers});
  options.n_device_positions = 100 * kMib / bytes.kv[0].fresh * kKvPageSize;  // of a layer
  const DeviceNeed both = device_need(bytes, {0, 2}, false, options.n_device_positions);
  const uint64_t one = device_need(bytes, {1, 2}, true, options.n_device_positions).total();
  // Of what the first was refused without, the headroom is free when it is loaded.
  const LimitedRoom room(both.total() - both.headroom + one + 8 * kMib);
  const auto n_layers_of_next = [&] { return Model::load(path, options)->info().shares.back().n_layer; };
  auto first = Model::load(path, options);
  REQUIRE(first->info().shares.back().n_layer == 2);
  CHECK(planned_gpu_bytes(0) <= both.kv + both.workspace - both.headroom);
  CHECK(planned_gpu_bytes(0) >= both.kv);
  CHECK(n_layers_of_next() == 1);
  {
    // What it has taken is not counted twice.
    const auto engine = Engine::create(first);
    Recorder recorder;
    GenerateRequest request;
    request.tokens = random_tokens(*first, 100);
    request.n_predict = 2;
    engine->submit(request, recorder.sink());
    recorder.wait();
    CHECK(!recorder.error);
    CHECK(n_layers_of_next() == 1);
  }
  CHECK(n_layers_of_next() == 1);
  options.n_device_layers = {2};
  CHECK(message_of(n_layers_of_next).find("that were planned for other models, which is room for 1 layer") !=
        std::string::npos);
  options.n_device_layers = {kFittingLayers};
  first.reset();
  CHECK(n_layers_of_next() == 2);
}

TEST_CASE("emulated device: all layers that have no room are refused before anything is loaded") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiniest_llama().bytes());
  const LayerBytes bytes = read_layer_bytes(GgufFile::open(path), "exact");
  LoadOptions options = on_device();
  options.n_device_positions = 100 * kMib / bytes.kv[0].fresh * kKvPageSize;  // of a layer
  int n_calls = 0;
  options.on_progress = [&](float) { return ++n_calls > 0; };
  const DeviceNeed need = device_need(bytes, {0, 2}, false, options.n_device_positions);
  const auto refusal = [&] {
    n_calls = 0;
    const auto action = [&] { Model::load(path, options); };
    const std::string message = message_of(action);
    if (!message.empty()) CHECK(error_of(action) == ErrorCode::kOutOfMemory);
    return message;
  };
  const auto mib = [](uint64_t n_bytes) { return concat((n_bytes + kMib - 1) / kMib, " MiB"); };
  {
    const LimitedRoom room(need.total() - 1);
    const size_t before = emulator::device_bytes_in_use();
    CHECK(refusal() == concat("2 layers of ", path, " and its output take ", mib(need.total()), " on ", device_id(0),
                              ": ", mib(need.weights), " of weights, ", mib(need.kv), " of keys and values, ",
                              mib(need.workspace), " to compute. ", mib(need.total() - 1),
                              " are free, which is room for 1 layer."));
    CHECK(n_calls == 0);
    CHECK(emulator::device_bytes_in_use() == before);
    options.n_device_layers = {kFittingLayers};
    CHECK(Model::load(path, options)->info().shares.back().n_layer == 1);
    options.n_device_layers = {kAllLayers};
  }
  const LimitedRoom room(need.total());
  const auto first = Model::load(path, options);
  // Beside a model whose keys and values are still to come there is as little as beside one that has them.
  CHECK(refusal().find(" that were planned for other models, which is too little for one layer.") != std::string::npos);
  CHECK(n_calls == 0);
}

TEST_CASE("emulated device: a file that cannot be loaded is refused for what it is, not for its size") {
  const TempDir dir;
  TinyLlama tiny = tiniest_llama();
  tiny.architecture = "mamba";
  const std::string path = dir.write("tiny.gguf", tiny.bytes());
  const LimitedRoom room(kMib);
  for (const auto& n_layers : {std::vector<int32_t>{kAllLayers}, {kFittingLayers}, {1}}) {
    const auto action = [&] { Model::load(path, on_device(n_layers)); };
    CHECK(error_of(action) == ErrorCode::kModelUnsupported);
    CHECK(message_of(action).find("the architecture \"mamba\" is not supported") != std::string::npos);
  }
}

TEST_CASE("emulated device: what a backend has taken is planned no more, until it is given back") {
  REQUIRE(planned_gpu_bytes(0) == 0);
  auto backend = create_gpu_backend(0, {}, 10 * kMib);
  CHECK(planned_gpu_bytes(0) == 10 * kMib);
  CHECK(planned_gpu_bytes(1) == 0);
  {
    const auto four = backend->alloc_f32(kMib);
    CHECK(planned_gpu_bytes(0) == 6 * kMib);
    const auto beyond = backend->alloc_f32(2 * kMib);
    CHECK(planned_gpu_bytes(0) == 0);
  }
  CHECK(planned_gpu_bytes(0) == 10 * kMib);
  const KvShape shape = {1, 2, 64, 64};
  {
    const auto kv = backend->alloc_kv(shape, 3);
    CHECK(planned_gpu_bytes(0) == 10 * kMib - kv->size_bytes());
  }
  {
    const auto kv = backend->alloc_kv(shape, kv_format(KvPreset::kCompact, 1), 3);
    const std::vector<std::byte> page(kv->form_bytes(KvForm::kFresh));
    for (const int32_t i : {0, 1}) REQUIRE(kv->write_form(i, KvForm::kFresh, page));
    CHECK(planned_gpu_bytes(0) == 10 * kMib - 2 * page.size());
    kv->drop(0, KvForm::kFresh);
    CHECK(planned_gpu_bytes(0) == 10 * kMib - page.size());
  }
  CHECK(planned_gpu_bytes(0) == 10 * kMib);
  backend.reset();
  CHECK(planned_gpu_bytes(0) == 0);
}

TEST_CASE("emulated device: the processor's experts leave room for what the device's pin") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiny_llama({TensorType::kQ4_0}, 64, 6).bytes());
  const auto budget_of_processor = [&](uint64_t device_expert_bytes) {
    LoadOptions options = on_device({1});
    options.device_expert_bytes = device_expert_bytes;
    const LoadedModel model(path, options, [] { return 1024 * kMib; });
    REQUIRE(model.stages().size() == 2);
    return model.stages().first().expert_cache_stats().budget_bytes;
  };
  const uint64_t pinned = read_layer_bytes(GgufFile::open(path), "exact").experts[1];
  const uint64_t all_there = budget_of_processor(pinned), in_slots = budget_of_processor(1);
  // Three quarters of what is left. A device that shares the memory has as much less of its own.
  const bool is_shared = device_id(0) == "metal:0";
  CHECK(static_cast<double>(all_there - in_slots) ==
        doctest::Approx(is_shared ? 0 : 0.75 * static_cast<double>(pinned)).epsilon(0.01).scale(1000));
}

TEST_CASE("emulated device: tied embeddings count once where the head is the table") {
  const TempDir dir;
  for (const bool is_tied : {true, false}) {
    CAPTURE(is_tied);
    TinyLlama tiny = tiniest_llama();
    if (is_tied) tiny.remove_tensor("output.weight");
    const std::string path = dir.write("tiny.gguf", tiny.bytes());
    const GgufFile file = GgufFile::open(path);
    const uint64_t table = file.find_tensor("token_embd.weight")->bytes.size();
    const ModelInfo all = Model::load(path, on_device())->info();
    CHECK(all.weight_bytes == tensor_bytes(file));  // of f32
    CHECK(all.shares[0].weight_bytes == all.weight_bytes);
    CHECK(all.table_bytes == (is_tied ? 0 : table));
    // The processor looks them up in the file, and the device has the head.
    const ModelInfo beside = Model::load(path, on_device({1}))->info();
    CHECK(beside.table_bytes == table);
    CHECK(beside.shares[1].weight_bytes >= table);
  }
}

TEST_CASE("emulated device: a pass without room to pack its pages leaves none that is said to be packed") {
  const TempDir dir;
  const auto model = load(dir.write("tiny.gguf", tiniest_llama().bytes()), on_device());
  Network& network = model->network();
  const KvFormat format = kv_format(KvPreset::kCompact, 2);
  const auto tokens = random_tokens(*model, 300);
  const std::vector<int32_t> page_table = {0, 1, 2, 3, 4}, rows = {0};
  std::vector<float> row(static_cast<size_t>(model->info().n_vocab));
  const auto compute = [&](KvStorage& kv, int32_t n) {
    const std::vector<SequenceRun> runs = {{page_table, 0, n}};
    network.forward({std::span(tokens).first(static_cast<size_t>(n)), runs, rows, 512}, kv, row);
  };
  {
    const auto kv = model->stages().alloc_kv(network.kv_shape(), format, 5);
    compute(*kv, 300);  // what belongs to no page is there from here on
    CHECK(kv->has(1, KvForm::kPacked));
  }
  const auto one = model->stages().alloc_kv(network.kv_shape(), format, 1);
  const size_t fresh = one->form_bytes(KvForm::kFresh), packed = one->form_bytes(KvForm::kPacked);
  int n_failed = 0;
  for (size_t halves = 0; halves < 4; ++halves) {  // of a packed page, where three are to be packed
    CAPTURE(halves);
    const auto kv = model->stages().alloc_kv(network.kv_shape(), format, 5);
    compute(*kv, 10);  // its bases, and a page
    const LimitedRoom room(4 * fresh + halves * packed / 2);
    if (!error_of([&] { compute(*kv, 300); })) continue;  // from blocks that were there
    ++n_failed;
    for (const int32_t page : page_table) CHECK(!kv->has(page, KvForm::kPacked));
  }
  if (emulator::replays()) CHECK(n_failed > 0);  // Metal has blocks by the slab, and here they suffice
}

TEST_CASE("emulated device: of a saved context a device takes over whole pages, as many as it has room for") {
  const TempDir dir;
  const auto model = load(dir.write("tiny.gguf", tiniest_llama().bytes()), on_device());
  const auto make_cache = [&] {
    return std::make_unique<KvCache>(model->stages(), model->network().kv_shape(), kv_format(KvPreset::kCompact, 2),
                                     1 << 22);
  };
  const auto tokens = random_tokens(*model, 240);
  const auto expected = logits(*model, tokens, 1, 100, "compact");  // by more than 16 at once, as below
  const auto compute = [&](KvCache& cache, int32_t n) {
    const auto text = std::span(tokens).first(static_cast<size_t>(n));
    auto sequence = cache.begin(text, n);
    REQUIRE(sequence != nullptr);
    const int32_t n_past = sequence->n_past(), row = n - n_past - 1;
    const SequenceRun run{sequence->page_table, n_past, n - n_past};
    std::vector<float> last(static_cast<size_t>(model->info().n_vocab));
    model->network().forward({text.subspan(static_cast<size_t>(n_past)), {&run, 1}, {&row, 1}, 512}, cache.storage(),
                             last);
    sequence->tokens.assign(text.begin(), text.end());
    cache.retire(std::move(sequence));
    return last;
  };
  const std::string path = dir.path("context.kv");
  const auto saved = make_cache();
  compute(*saved, 200);
  const CacheFile file = save_kv(*saved, 42, path);
  int n_partial = 0;
  for (size_t eighths = 0; eighths <= 8; ++eighths) {
    CAPTURE(eighths);
    const auto cache = make_cache();
    CacheFile restored{};
    {
      const LimitedRoom room(eighths * file.n_bytes / 8);
      CHECK(!error_of([&] { restored = restore_kv(*cache, 42, path); }));
    }
    CHECK(cache->n_tokens() == restored.n_tokens);
    KvStorage& pages = cache->storage();
    cache->tree().for_each([&](const KvNode& node) {
      CHECK((pages.has(node.page, KvForm::kFresh) || pages.has(node.page, KvForm::kPacked)));
      CHECK((node.depth > 0 || pages.has(node.page, KvForm::kSinks)));
    });
    if (restored.n_tokens > 0 && restored.n_tokens < file.n_tokens) ++n_partial;
    if (eighths == 4) CHECK(compute(*cache, 240) == expected);
  }
  if (emulator::replays()) CHECK(n_partial > 0);  // likewise
}

TEST_CASE("emulated device: a load that is cancelled leaves nothing on the device, wherever it ends") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiny_llama({TensorType::kQ4_0}, 64, 6).bytes());
  const size_t n_before = emulator::device_bytes_in_use();
  const uint64_t planned_before = planned_gpu_bytes(0);
  for (const uint64_t device_expert_bytes : {uint64_t{0}, uint64_t{1}}) {
    int n_calls = 0, n_most = 1;
    LoadOptions options = on_device();
    options.device_expert_bytes = device_expert_bytes;
    options.on_progress = [&](float) { return ++n_calls < n_most; };
    const auto is_cancelled = [&] {
      n_calls = 0;
      return error_of([&] { Model::load(path, options); }) == ErrorCode::kCancelled;
    };
    for (; is_cancelled(); ++n_most) {
      CHECK(emulator::device_bytes_in_use() == n_before);
      CHECK(planned_gpu_bytes(0) == planned_before);
    }
    CHECK(n_most > 10);
  }
}

TEST_CASE("emulated device: a model is planned when a load that was cancelled has given its memory back") {
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiniest_llama().bytes());
  const LayerBytes bytes = read_layer_bytes(GgufFile::open(path), "exact");
  LoadOptions options = on_device({kFittingLayers});
  options.n_device_positions = 100 * kMib / bytes.kv[0].fresh * kKvPageSize;
  const LimitedRoom room(device_need(bytes, {0, 2}, false, options.n_device_positions).total() + 1000);
  Turnstile at_its_end;
  int n_calls = 0;
  LoadOptions cancelled = options;
  cancelled.on_progress = [&](float) {
    if (++n_calls < 10) return true;
    at_its_end.pass();
    return false;
  };
  std::optional<ErrorCode> error;
  std::thread first([&] { error = error_of([&] { Model::load(path, cancelled); }); });
  at_its_end.wait_for_arrival();
  int32_t n_layers = 0;
  std::thread second([&] { n_layers = Model::load(path, options)->info().shares.back().n_layer; });
  LoadOptions impatient = options;
  impatient.on_progress = [](float) { return false; };
  CHECK(error_of([&] { Model::load(path, impatient); }) == ErrorCode::kCancelled);  // it need not wait for the end
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  at_its_end.open();
  first.join();
  second.join();
  CHECK(error == ErrorCode::kCancelled);
  CHECK(n_layers == 2);
}
