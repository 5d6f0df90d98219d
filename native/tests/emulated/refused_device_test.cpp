// Devices that are there and cannot be used now.
#include <doctest/doctest.h>

#include <string>

#include "backend/gpu_devices.h"
#include "kernels/emulated_device/emulated_device.h"
#include "kernels/launchers/device_answer.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

bool refuse(int32_t device, gpu::Error error) { return emulator::refuse_device(device, static_cast<int32_t>(error)); }

}  // namespace

TEST_CASE("emulated device: one that is full or taken is said to be so, and is there when it is not any more") {
  if (!refuse(0, gpu::Error::kOutOfMemory)) return;
  const TempDir dir;
  const std::string path = dir.write("tiny.gguf", tiniest_llama().bytes());
  const auto load_on = [&](int32_t device) {
    LoadOptions options;
    options.devices = {device_id(device)};
    return message_of([&] { Model::load(path, options); });
  };
  std::string reason;
  constexpr const char* kFull =
      "cuda:0 (Emulated) refuses this program: out of memory, as where other programs have all of its memory: close "
      "some of them";
  auto devices = list_devices(reason);
  CHECK(reason.empty());
  REQUIRE(devices.size() == 3);
  CHECK(devices[0].unusable.empty());
  CHECK(devices[1].id == "cuda:0");
  CHECK(devices[1].name == "Emulated");
  CHECK(devices[1].total_bytes == devices[2].total_bytes);
  CHECK(devices[1].free_bytes == 0);
  CHECK(devices[1].unusable == kFull);
  CHECK(devices[2].id == "cuda:1");
  CHECK(devices[2].unusable.empty());
  CHECK(load_on(1).empty());
  CHECK(load_on(0) == concat("The device cuda:0 cannot be used: ", kFull, "."));
  refuse(0, gpu::Error::kTaken);
  CHECK(load_on(0) ==
        "The device cuda:0 cannot be used: cuda:0 (Emulated) refuses this program: unavailable, as where it is set to "
        "serve one program at a time, and another has it.");
  refuse(1, gpu::Error::kTaken);
  devices = list_gpus(reason);
  REQUIRE(devices.size() == 2);
  CHECK(reason == concat(devices[0].unusable, "; ", devices[1].unusable));
  CHECK(reason.find("cuda:0 (Emulated) refuses this program: unavailable") == 0);
  CHECK(reason.find("; cuda:1 (Emulated) refuses this program: unavailable") != std::string::npos);
  for (const int32_t device : {0, 1}) refuse(device, gpu::Error::kNone);
  for (const DeviceInfo& gpu : list_gpus(reason)) CHECK(gpu.unusable.empty());
  CHECK(load_on(0).empty());
  CHECK(load_on(2) == "The device cuda:2 cannot be used: this machine has cuda:0 (Emulated), cuda:1 (Emulated).");
  gpu::choose_device(0);
}

TEST_CASE("emulated device: an answer is asked for once, and again where nobody could tell") {
  gpu::DeviceAnswer answer;
  int32_t next = -46, n_asked = 0;
  const auto get = [&] {
    return answer.get([&] {
      ++n_asked;
      return next;
    });
  };
  REQUIRE(gpu::choose_device(0) == gpu::Error::kNone);
  for (const int32_t unknown : {-46, -1}) {
    next = unknown;
    CHECK(get() == unknown);
  }
  CHECK(n_asked == 2);
  next = 0;
  CHECK(get() == 0);
  next = 7;
  CHECK(get() == 0);
  CHECK(n_asked == 3);
  if (gpu::choose_device(1) != gpu::Error::kNone) return;
  CHECK(get() == 7);  // of another device
  gpu::choose_device(0);
}
