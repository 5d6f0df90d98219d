// Which devices are to compute which layers, with devices that nobody has.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine.h"
#include "model/layer_plan.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;

/// Layers of 100 MiB, a head of 50 and embeddings of 40; keys and values of 64 positions take 1 MiB of a layer.
LayerBytes model_of(int32_t n_layer) {
  LayerBytes bytes;
  bytes.layers.assign(static_cast<size_t>(n_layer), 100 * kMib);
  bytes.experts.assign(bytes.layers.size(), 60 * kMib);
  bytes.output = 50 * kMib;
  bytes.embeddings = bytes.table = 40 * kMib;
  bytes.kv.assign(bytes.layers.size(), {kMib, 0, 0});
  bytes.workspace = 10 * kMib;
  bytes.workspace_per_token = kMib / 64;  // 1 MiB beside the processor, 32 without it
  bytes.n_ctx_train = 64;
  return bytes;
}

std::vector<DeviceRoom> devices_with(std::vector<uint64_t> free_mib) {
  std::vector<DeviceRoom> devices;
  for (const uint64_t n : free_mib) devices.push_back({"cuda:" + std::to_string(devices.size()), n * kMib});
  return devices;
}

std::vector<int32_t> plan(const LayerBytes& bytes, const std::vector<uint64_t>& free_mib,
                          const std::vector<int32_t>& wanted, uint64_t n_positions = 64, uint64_t expert_budget = 0) {
  return plan_layers(bytes, "model.gguf", devices_with(free_mib), wanted, n_positions, expert_budget);
}

std::string refusal(const LayerBytes& bytes, const std::vector<uint64_t>& free_mib, const std::vector<int32_t>& wanted,
                    ErrorCode code) {
  const auto action = [&] { plan(bytes, free_mib, wanted); };
  CHECK(error_of(action) == code);
  return message_of(action);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

using Numbers = std::vector<int32_t>;
const Numbers kAll = {kAllLayers}, kFit = {kFittingLayers};

}  // namespace

TEST_CASE("of a device that shares the host's memory all experts count") {
  LayerBytes bytes = model_of(4);
  bytes.n_expert = 4;
  bytes.n_expert_used = 1;
  std::vector<DeviceRoom> devices = devices_with({400});
  const auto layers = [&](const Numbers& wanted) { return plan_layers(bytes, "model.gguf", devices, wanted, 64, 0); };
  CHECK(layers(kFit) == Numbers{3});
  CHECK(layers({4}) == Numbers{4});  // with few experts: 4 * 55 + 90
  devices[0].shares_host_memory = true;
  CHECK(layers(kFit) == Numbers{3});
  CHECK(error_of([&] { layers({4}); }) == ErrorCode::kOutOfMemory);
}

TEST_CASE("what layers take depends on where they are in the model") {
  const LayerBytes bytes = model_of(4);
  CHECK(device_need(bytes, {0, 4}, false, 0).weights == (400 + 50 + 40) * kMib);
  CHECK(device_need(bytes, {1, 4}, false, 0).experts == 180 * kMib);
  CHECK(device_need(bytes, {0, 2}, false, 0).weights == (200 + 40) * kMib);
  CHECK(device_need(bytes, {1, 2}, false, 0).weights == 100 * kMib);
  CHECK(device_need(bytes, {2, 4}, true, 0).weights == (200 + 50) * kMib);
  // 100 positions take two pages.
  CHECK(device_need(bytes, {1, 4}, true, 100).kv == 3 * 2 * kMib);
  CHECK(device_need(bytes, {1, 4}, true, 100).workspace == 11 * kMib);
  CHECK(device_need(bytes, {0, 1}, false, 100).workspace == 42 * kMib);

  LayerBytes tied = bytes;  // the head and the embeddings are one, where one device has both
  tied.output = 90 * kMib;
  tied.table = 0;
  CHECK(device_need(tied, {0, 4}, false, 0).weights == (400 + 90) * kMib);
  CHECK(device_need(tied, {0, 2}, false, 0).weights == (200 + 40) * kMib);
}

TEST_CASE("of one device as many layers are chosen as it has room for") {
  const LayerBytes bytes = model_of(4);
  // Beside the processor two layers take 200 + 50 + 2 + 11, all of them 400 + 90 + 4 + 42.
  CHECK(plan(bytes, {263}, kFit) == Numbers{2});
  CHECK(plan(bytes, {262}, kFit) == Numbers{1});
  CHECK(plan(bytes, {536}, kFit) == Numbers{4});
  CHECK(plan(bytes, {535}, kFit) == Numbers{3});
  CHECK(plan(bytes, {263}, {2}) == Numbers{2});
  CHECK(plan(bytes, {10000}, {9}) == Numbers{4});
  CHECK(plan(bytes, {536}, kAll) == Numbers{4});

  const std::string message = refusal(bytes, {263}, {3}, ErrorCode::kOutOfMemory);
  CHECK(message ==
        "3 layers of model.gguf and its output take 364 MiB on cuda:0: 350 MiB of weights, 3 MiB of keys and values, "
        "11 MiB to compute. 263 MiB are free, which is room for 2 layers.");
  CHECK(has(refusal(bytes, {535}, {4}, ErrorCode::kOutOfMemory), "take 536 MiB"));
  CHECK(refusal(bytes, {535}, kAll, ErrorCode::kOutOfMemory) == refusal(bytes, {535}, {4}, ErrorCode::kOutOfMemory));
  CHECK(has(refusal(bytes, {535}, kAll, ErrorCode::kOutOfMemory), "535 MiB are free, which is room for 3 layers."));
  CHECK(has(refusal(bytes, {20}, kFit, ErrorCode::kOutOfMemory),
            "which is too little for one layer. Choose a shorter context, a smaller file or the processor."));
  CHECK(has(refusal(model_of(1), {180}, kFit, ErrorCode::kOutOfMemory), "1 layer of model.gguf and its output take"));
}

TEST_CASE("all layers are shared out by the memory that is free") {
  CHECK(plan(model_of(12), {4000, 4000}, kAll) == Numbers{6, 6});
  CHECK(plan(model_of(12), {8000, 4000}, kAll) == Numbers{8, 4});
  CHECK(plan(model_of(12), {4000, 8000}, kAll) == Numbers{4, 8});
  CHECK(plan(model_of(12), {3000, 6000, 3000}, kAll) == Numbers{3, 6, 3});
  CHECK(plan(model_of(2), {80000, 400}, kAll) == Numbers{1, 1});   // each computes one at least
  CHECK(plan(model_of(12), {9000, 9000}, kFit) == Numbers{6, 6});  // there is room for all: the same

  LayerBytes uneven = model_of(6);  // dense layers before those with experts
  uneven.layers = {20 * kMib, 20 * kMib, 20 * kMib, 20 * kMib, 400 * kMib, 400 * kMib};
  CHECK(plan(uneven, {2000, 2000}, kAll) == Numbers{5, 1});
}

TEST_CASE("a head that is larger than a layer leaves its device fewer of them") {
  LayerBytes bytes = model_of(12);
  bytes.output = 600 * kMib;
  CHECK(plan(bytes, {2000, 2000}, kAll) == Numbers{9, 3});
  // Where only the head and a layer fit, the other device has the rest.
  CHECK(plan(bytes, {2000, 750}, kAll) == Numbers{11, 1});
  CHECK(has(refusal(bytes, {2000, 700}, kAll, ErrorCode::kOutOfMemory),
            "1 layer on cuda:1 would take 743 MiB of the 700 MiB that are free"));
}

TEST_CASE("layers find the only way to share them that has room") {
  // 6 layers take 646 + 40 + 2 x 42 and 50; 5 and 1 is the only way that fits.
  CHECK(plan(model_of(6), {590, 200}, kAll) == Numbers{5, 1});
  CHECK(plan(model_of(6), {190, 645}, kAll) == Numbers{1, 5});
}

TEST_CASE("all layers that have no room are refused with what they would take on each device") {
  const std::string message = refusal(model_of(6), {300, 300}, kAll, ErrorCode::kOutOfMemory);
  CHECK(message ==
        "The 6 layers of model.gguf have no room on cuda:0 and cuda:1: 3 layers on cuda:0 would take 385 MiB of the "
        "300 MiB that are free; 3 layers on cuda:1 would take 395 MiB of the 300 MiB that are free. Choose a shorter "
        "context, a smaller file or fewer layers than all.");
  CHECK(has(refusal(model_of(6), {0, 0, 0}, kAll, ErrorCode::kOutOfMemory), "on cuda:0, cuda:1 and cuda:2: "));
}

TEST_CASE("the layers that fit fill the devices from the last one on, and the processor has those before") {
  // Beside the processor n layers take 101 n + 11, on the last device 50 more.
  CHECK(plan(model_of(12), {314, 364}, kFit) == Numbers{3, 3});
  CHECK(plan(model_of(12), {313, 363}, kFit) == Numbers{2, 2});
  CHECK(plan(model_of(12), {112, 162, 500}, kFit) == Numbers{1, 1, 4});
  // All but one would fit on the last device alone: the first has one, and so has the processor.
  CHECK(plan(model_of(4), {112, 464}, kFit) == Numbers{1, 2});

  const std::string first = refusal(model_of(12), {50, 400}, kFit, ErrorCode::kOutOfMemory);
  CHECK(has(first, "1 layer of model.gguf takes 112 MiB on cuda:0: "));
  CHECK(has(first,
            "50 MiB are free, which is too little for one layer. Choose a shorter context, a smaller file or "
            "other devices."));
  CHECK(has(refusal(model_of(12), {400, 50}, kFit, ErrorCode::kOutOfMemory), " and its output take 162 MiB on cuda:1"));
  // Nobody would be left a layer.
  CHECK(has(refusal(model_of(2), {120, 170}, kFit, ErrorCode::kOutOfMemory), "have no room on cuda:0 and cuda:1"));
}

TEST_CASE("a layer that is too large for its device is refused") {
  LayerBytes bytes = model_of(8);
  bytes.layers[5] = 5000 * kMib;
  CHECK(plan(bytes, {1000, 9000}, kAll) == Numbers{5, 3});
  CHECK(plan(bytes, {1000}, kFit) == Numbers{2});  // the processor has it
  const std::string message = refusal(bytes, {1000, 1000}, kFit, ErrorCode::kOutOfMemory);
  CHECK(has(message, "1 layer of model.gguf takes 5012 MiB on cuda:0: "));
  CHECK(has(message, "too little for one layer"));
  CHECK(has(refusal(bytes, {1000, 1000}, kAll, ErrorCode::kOutOfMemory), "have no room on cuda:0 and cuda:1"));
}

TEST_CASE("numbers of layers are as they were asked for, if there is room") {
  CHECK(plan(model_of(12), {314, 364}, {3, 3}) == Numbers{3, 3});
  CHECK(plan(model_of(12), {9000, 9000}, {11, 1}) == Numbers{11, 1});
  CHECK(has(refusal(model_of(12), {313, 364}, {3, 3}, ErrorCode::kOutOfMemory),
            "3 layers of model.gguf take 314 MiB on cuda:0: 300 MiB of weights, 3 MiB of keys and values, 11 MiB to "
            "compute. "));
  CHECK(has(refusal(model_of(12), {313, 364}, {3, 3}, ErrorCode::kOutOfMemory), "which is room for 2 layers."));
  CHECK(refusal(model_of(4), {9000, 9000}, {3, 2}, ErrorCode::kInvalidArgument) ==
        "cuda:0 and cuda:1 are to compute 5 layers of model.gguf, which has 4.");
}

TEST_CASE("a model is not shared by more devices than it has layers") {
  for (const Numbers& wanted : {kAll, kFit, Numbers{1, 1, 1}}) {
    CHECK(refusal(model_of(2), {9000, 9000, 9000}, wanted, ErrorCode::kInvalidArgument) ==
          "model.gguf has 2 layers: too few for cuda:0, cuda:1 and cuda:2, as each computes one at least. Name fewer "
          "devices.");
  }
}

TEST_CASE("of a context that nobody named there is room for two") {
  // Of 64 positions each: two layers take 250 + 4 + 11.
  CHECK(plan(model_of(4), {265}, kFit, 0) == Numbers{2});
  CHECK(plan(model_of(4), {264}, kFit, 0) == Numbers{1});
  CHECK(plan(model_of(4), {261}, {2}, 0) == Numbers{2});
}

TEST_CASE("what splits of attention leave is counted for the pages of one text, up to what is split") {
  LayerBytes bytes = model_of(4);
  bytes.workspace_per_page = kMib;
  // Of two texts of 50 pages: 50 MiB, and half as many again for what is reserved ahead.
  CHECK(device_need(bytes, {1, 4}, true, 6400).workspace == (11 + 75) * kMib);
  CHECK(device_need(bytes, {1, 4}, true, 6400 * 64).workspace == (11 + 512 * 3 / 2) * kMib);
  bytes.kv_unpacked = kMib;  // in codes, which have no other way: 3,200 MiB, and 6,400 pages to unpack
  CHECK(device_need(bytes, {1, 4}, true, 6400 * 64).workspace == (11 + 3200 * 3 / 2 + 6400) * kMib);
}

TEST_CASE("keys and values that are packed leave room for more layers") {
  LayerBytes bytes = model_of(4);
  // In f16, 6,400 positions take 100 MiB of a layer: two layers take 200 + 50 + 200 + 11.
  CHECK(device_need(bytes, {2, 4}, true, 6400).kv == 200 * kMib);
  CHECK(plan(bytes, {461}, kFit, 6400) == Numbers{2});
  CHECK(plan(bytes, {460}, kFit, 6400) == Numbers{1});
  // Packed to a quarter, they take 25 MiB of a layer. Fresh are a page of the pass, and of each of two texts four pages
  // and the sinks: 2 + 2 x (8 + 1). A long pass reads one layer at a time in f16: 100 more to compute.
  bytes.kv.assign(4, {2 * kMib, kMib / 4, kMib});
  bytes.kv_unpacked = kMib;
  const DeviceNeed need = device_need(bytes, {2, 4}, true, 6400);
  CHECK(need.kv == 2 * (25 + 2 + 18) * kMib);
  CHECK(need.workspace == (11 + 100) * kMib);
  CHECK(device_need(bytes, {2, 3}, true, 6400).workspace == need.workspace);
  // All tokens of a pass without the processor: 32 pages.
  CHECK(device_need(bytes, {2, 4}, false, 6400).kv == 2 * (25 + 64 + 18) * kMib);
  CHECK(plan(bytes, {451}, kFit, 6400) == Numbers{2});
  CHECK(plan(bytes, {450}, kFit, 6400) == Numbers{1});
  CHECK(device_need(bytes, {2, 4}, true, 0).kv == 0);
}

TEST_CASE("a budget for experts is what they take") {
  LayerBytes bytes = model_of(4);  // of 100 MiB of a layer, experts take 60
  bytes.n_expert = 6;
  bytes.n_expert_used = 2;
  // Two layers take 200 + 50 + 2 + 11, of which experts take 120; three 300 + 50 + 3 + 11, of which 180.
  CHECK(plan(bytes, {263}, kFit, 64, 200 * kMib) == Numbers{2});
  CHECK(plan(bytes, {264}, kFit, 64, 80 * kMib) == Numbers{3});
  CHECK(plan(bytes, {263}, kFit, 64, 80 * kMib) == Numbers{2});
  // Those of a token have to be there: 20 of each layer.
  CHECK(plan(bytes, {244}, kFit, 64, 1) == Numbers{3});
  CHECK(plan(bytes, {243}, kFit, 64, 1) == Numbers{2});
  CHECK(plan(bytes, {244}, {3}, 64, 1) == Numbers{3});
  // One for a model that has none changes nothing.
  CHECK(plan(model_of(4), {263}, kFit, 64, 1) == Numbers{2});
}

TEST_CASE("experts are left out only where layers have no room otherwise") {
  LayerBytes bytes = model_of(4);
  bytes.n_expert = 6;
  bytes.n_expert_used = 2;
  // What fits, with all experts: fewer layers, not fewer experts.
  CHECK(plan(bytes, {263}, kFit) == Numbers{2});
  // Not even one layer has room with them, which takes 162: with a third of them two take 183.
  CHECK(plan(bytes, {161}, kFit) == Numbers{1});
  CHECK(plan(bytes, {183}, {2}) == Numbers{2});
  // Without the processor, two take 120 + 40 + 2 + 42 with the embeddings, and 10 more with the head.
  CHECK(plan(bytes, {204, 214}, kAll) == Numbers{2, 2});
  CHECK(has(refusal(bytes, {203, 214}, kAll, ErrorCode::kOutOfMemory), "2 layers on cuda:0 would take 204 MiB"));
  const std::string message = refusal(bytes, {182}, {2}, ErrorCode::kOutOfMemory);
  CHECK(has(message, "take 183 MiB on cuda:0: 170 MiB of weights with few of the experts, 2 MiB of keys and values"));
  CHECK(has(message, "which is room for 1 layer."));
  CHECK(refusal(bytes, {9000, 9000}, {3, 2}, ErrorCode::kInvalidArgument).starts_with("cuda:0 and cuda:1 are to"));
}

TEST_CASE("devices that no model could be shared by are refused") {
  const auto message = [](const std::vector<std::string>& devices, const Numbers& wanted) {
    const auto action = [&] { check_devices(devices, wanted); };
    if (const auto code = error_of(action); code.has_value()) CHECK(code == ErrorCode::kInvalidArgument);
    return message_of(action);
  };
  for (const Numbers& wanted : {kAll, kFit, Numbers{3, 5}}) CHECK(message({"cuda:0", "cuda:1"}, wanted).empty());
  CHECK(message({"cpu"}, {7}).empty());
  CHECK(message({"cpu", "cpu"}, {7, 1}).empty());  // for tests
  CHECK(message({}, kAll) == "No device is named; expected one at least.");
  CHECK(message({"cuda:1", "cuda:0", "cuda:1"}, kAll) == "The device \"cuda:1\" is named twice. Name each once.");
  for (const auto& devices : {std::vector<std::string>{"cpu", "cuda:0"}, {"cuda:0", "cpu"}}) {
    CHECK(
        message(devices, kAll) ==
        "The processor is named beside \"cuda:0\": it computes whatever layers the other devices leave. Leave it out.");
  }
  CHECK(message({"cuda:0"}, {-2}) ==
        "n_device_layers is -2; expected -1 for all layers, 0 for those that fit, or their number.");
  CHECK(message({"cuda:0", "cuda:1"}, {3}) ==
        "n_device_layers is 3; expected -1 for all layers, 0 for those that fit, or a number for each of cuda:0 and "
        "cuda:1.");
  CHECK(has(message({"cuda:0", "cuda:1"}, {3, 0}), "n_device_layers is 3 and 0; "));
  CHECK(has(message({"cuda:0", "cuda:1"}, {kAllLayers, kAllLayers}), "n_device_layers is -1 and -1; "));
  CHECK(has(message({"cuda:0"}, {}), "n_device_layers is empty; "));
}

TEST_CASE("a file of very many layers is planned as others are") {
  const LayerBytes bytes = model_of(4096);
  // Half of the layers each, but for the head and the embeddings, which are smaller than a layer.
  CHECK(plan(bytes, {1 << 20, 1 << 20}, kAll, 0) == Numbers{2048, 2048});
}
