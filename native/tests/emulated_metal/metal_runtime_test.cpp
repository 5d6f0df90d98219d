// Metal's runtime on a device that the emulator stands in for: order, memory, recordings, and what goes wrong.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kernels/emulated_device/emulated_device.h"
#include "kernels/emulated_metal/emulated_metal.h"
#include "kernels/launchers/launchers.h"
#include "tests/emulated_metal/metal_bench.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

std::vector<float> numbers(float first, size_t n) {
  std::vector<float> result(n);
  for (size_t i = 0; i < n; ++i) result[i] = first + static_cast<float>(i);
  return result;
}

bool is_fault(const std::function<void()>& action) {
  try {
    action();
  } catch (const emulator::Fault&) {
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("metal runtime: kernels, copies and fills of a stream are done in its order, when somebody waits") {
  MetalBench b;
  float* x = b.array(numbers(1, 8));
  float* y = b.array(numbers(100, 8));
  float* z = b.array(8);
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  REQUIRE(copy(b.stream, z, x, 32, Copy::kOnDevice) == Error::kNone);
  REQUIRE(fill(b.stream, x, 0, 32) == Error::kNone);
  REQUIRE(b.add(x, z, 4) == Error::kNone);
  CHECK(x[0] == 1);  // not yet
  REQUIRE(synchronize(b.stream) == Error::kNone);
  CHECK(z[7] == 8 + 107);
  CHECK(x[3] == 4 + 103);
  CHECK(x[4] == 0);
  // More than a list takes.
  for (int i = 0; i < 150; ++i) REQUIRE(b.add(x, y, 8) == Error::kNone);
  CHECK(b.values(x, 8)[7] == 150 * 107.0f);
}

TEST_CASE("metal runtime: a copy from ordinary memory waits for what the stream has before it") {
  MetalBench b;
  float* x = b.array(numbers(0, 8));
  float* y = b.array(numbers(1, 8));
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  const std::vector<float> later(8, 5.0f);
  REQUIRE(copy(b.stream, y, later.data(), 32, Copy::kToDevice) == Error::kNone);
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  CHECK(b.values(x, 8) == std::vector<float>{6, 8, 10, 12, 14, 16, 18, 20});
  // So does one that the GPU could not do: of no multiple of four bytes.
  REQUIRE(fill(b.stream, x, 0, 32) == Error::kNone);
  REQUIRE(copy(b.stream, reinterpret_cast<std::byte*>(x) + 1, y, 3, Copy::kOnDevice) == Error::kNone);
  uint32_t word = 0;
  std::memcpy(&word, x, sizeof(word));
  CHECK(word == 0xa0000000u);  // 5.0f is 0x40a00000
}

TEST_CASE("metal runtime: what was recorded is done again, with the memory of when it was recorded") {
  MetalBench b;
  float* x = b.array(numbers(0, 8));
  float* y = b.array(numbers(1, 8));
  REQUIRE(begin_recording(b.stream) == Error::kNone);
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  REQUIRE(copy(b.stream, y, x, 32, Copy::kOnDevice) == Error::kNone);
  CHECK(error_text(synchronize(b.stream)).find("recorded") != std::string::npos);
  float host = 0;
  CHECK(error_text(copy(b.stream, &host, x, 4, Copy::kToHost)).find("recorded") != std::string::npos);
  Recording recording = nullptr;
  REQUIRE(end_recording(b.stream, recording) == Error::kNone);
  CHECK(b.values(x, 1)[0] == 0);  // recording does nothing
  for (const float expected : {1.0f, 2.0f, 4.0f}) {
    REQUIRE(replay(recording, b.stream) == Error::kNone);
    CHECK(b.values(x, 1)[0] == expected);
  }
  REQUIRE(destroy_recording(recording) == Error::kNone);
}

TEST_CASE("metal runtime: memory that is not the device's is an error with a text") {
  MetalBench b;
  float* x = b.array(numbers(0, 8));
  std::vector<float> elsewhere(8);
  for (const Error error :
       {b.add(x, elsewhere.data(), 8), copy(elsewhere.data(), elsewhere.data(), 32, Copy::kToDevice),
        copy(b.stream, x, x + 4, 32, Copy::kOnDevice),  // beyond its end
        fill(elsewhere.data(), 0, 32), release(elsewhere.data()), release(b.stream, x)})
    CHECK(error_text(error).find("not allocated for the device") != std::string::npos);
  CHECK(device_address(elsewhere.data()) == 0);
  CHECK(device_address(nullptr) == 0);
}

TEST_CASE("metal runtime: memory runs out, and comes back") {
  MetalBench b;
  const size_t n_used = emulator::device_bytes_in_use(), n_buffers = emulator::live_buffers();
  emulator::set_device_memory(n_used + 4096);
  void* data = nullptr;
  CHECK(allocate(data, 8192) == Error::kOutOfMemory);
  CHECK(data == nullptr);
  CHECK(allocate_pinned(data, 8192) == Error::kOutOfMemory);  // host and device share what there is
  CHECK(allocate(b.stream, data, 8192) == Error::kOutOfMemory);
  // There is no room for many blocks at once, but for one.
  CHECK(allocate(b.stream, data, 3000) == Error::kNone);
  void* second = nullptr;
  CHECK(allocate(b.stream, second, 3000) == Error::kOutOfMemory);
  size_t n_free = 0, n_total = 0;
  CHECK(memory_info(n_free, n_total) == Error::kNone);
  CHECK(n_total == n_used + 4096);
  CHECK(n_free == 4096 - 3072);
  CHECK(release(b.stream, data) == Error::kNone);
  CHECK(keep_released_memory(false) == Error::kNone);
  CHECK(emulator::device_bytes_in_use() == n_used);
  CHECK(emulator::live_buffers() == n_buffers);
  emulator::set_device_memory(size_t{1} << 30);
}

TEST_CASE("metal runtime: blocks of a stream share buffers and no byte, and serve it again") {
  MetalBench b, other;
  const size_t n_buffers = emulator::live_buffers();
  std::set<std::byte*> blocks;
  for (int i = 0; i < 100; ++i) {
    void* data = nullptr;
    REQUIRE(allocate(b.stream, data, 1000) == Error::kNone);
    auto* block = static_cast<std::byte*>(data);
    const auto next = blocks.upper_bound(block);
    CHECK((next == blocks.end() || *next - block >= 1000));
    CHECK((next == blocks.begin() || block - *std::prev(next) >= 1000));
    blocks.insert(block);
  }
  const size_t n_slabs = 4;  // of 32 blocks
  CHECK(emulator::live_buffers() == n_buffers + n_slabs);
  std::byte* first = *blocks.begin();
  REQUIRE(release(b.stream, first) == Error::kNone);
  CHECK(error_text(release(b.stream, first)) != error_text(Error::kNone));  // twice
  void* data = nullptr;
  REQUIRE(allocate(other.stream, data, 1000) == Error::kNone);
  CHECK(blocks.count(static_cast<std::byte*>(data)) == 0);  // the first stream may still have work with that
  REQUIRE(allocate(b.stream, data, 1000) == Error::kNone);
  CHECK(data == first);
  REQUIRE(keep_released_memory(false) == Error::kNone);
  CHECK(emulator::live_buffers() == n_buffers + n_slabs + 1);  // all have blocks that are taken
  for (std::byte* block : blocks) REQUIRE(release(b.stream, block) == Error::kNone);
  REQUIRE(keep_released_memory(false) == Error::kNone);
  CHECK(emulator::live_buffers() == n_buffers + 1);
}

TEST_CASE("metal runtime: memory is given up when the work that has it is done") {
  MetalBench b;
  float* x = b.array(numbers(0, 8));
  void* y = nullptr;
  REQUIRE(allocate(y, 32) == Error::kNone);
  REQUIRE(fill(y, 0, 32) == Error::kNone);
  REQUIRE(b.add(x, static_cast<float*>(y), 8) == Error::kNone);
  REQUIRE(release(y) == Error::kNone);
  CHECK(b.values(x, 8) == numbers(0, 8));
}

TEST_CASE("metal runtime: what fails on the device is said by its stream, once") {
  MetalBench b;
  float* x = b.array(numbers(0, 8));
  float* y = b.array(numbers(1, 8));
  emulator::fail_next_list(metal::Outcome::kFailed, "the GPU hangs");
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  CHECK(error_text(synchronize(b.stream)) == "the GPU hangs");
  CHECK(synchronize(b.stream) == Error::kNone);
  emulator::fail_next_list(metal::Outcome::kOutOfMemory, "no room");
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  CHECK(synchronize(b.stream) == Error::kOutOfMemory);
  // Whoever waits for all leaves it to whom it belongs.
  emulator::fail_next_list(metal::Outcome::kFailed, "the GPU hangs");
  REQUIRE(b.add(x, y, 8) == Error::kNone);
  CHECK(synchronize_device() == Error::kNone);
  CHECK(error_text(synchronize(b.stream)) == "the GPU hangs");
  CHECK(b.values(x, 8) == numbers(0, 8));
}

TEST_CASE("metal runtime: what a kernel writes is no other argument of it") {
  MetalBench b;
  float* x = b.array(numbers(1, 64));
  CHECK(is_fault([&] { b.add(x, x, 8); }));
  CHECK(b.add(x, x + 32, 8) == Error::kNone);
  CHECK(launch_rms_norm(b.stream, x, x, x + 32, 1, {32, 1, 0, 0}) == Error::kNone);
  CHECK(is_fault([&] { launch_rms_norm(b.stream, x, x + 32, x, 1, {32, 1, 0, 0}); }));
}

TEST_CASE("metal runtime: kernels are held to what was written, and to buffers that their list names") {
  MetalBench b;
  float* x = b.array(numbers(0, 8));
  REQUIRE(b.add(x, b.array(8), 8) == Error::kNone);
  CHECK(is_fault([&] { synchronize(b.stream); }));
  REQUIRE(b.add(x, nullptr, 8) == Error::kNone);
  CHECK(is_fault([&] { synchronize(b.stream); }));
  CHECK(synchronize(b.stream) == Error::kNone);
  // By an address in data: as the device calls it, and only if the runtime was asked.
  void* block = nullptr;
  REQUIRE(allocate(b.stream, block, 1 << 16) == Error::kNone);
  REQUIRE(fill(block, 0, 1 << 16) == Error::kNone);
  CHECK(device_address(block) != reinterpret_cast<intptr_t>(block));
  CHECK(device_address(static_cast<std::byte*>(block) + 4) == device_address(block) + 4);
  REQUIRE(release(b.stream, block) == Error::kNone);
}

TEST_CASE("metal runtime: memory of the host that was lent is read where it is, and written by nobody") {
  MetalBench b;
  const size_t n_used = emulator::device_bytes_in_use(), n_buffers = emulator::live_buffers();
  alignas(64) std::array<float, 64> host;
  std::iota(host.begin(), host.end(), 0.0f);
  const auto lent = [&](size_t first, size_t n) {
    bool is_lent = false;
    REQUIRE(lend(&host[first], n * sizeof(float), is_lent) == Error::kNone);
    return is_lent;
  };
  const std::span all(host);
  // Neighbours, which share a page and a buffer's bytes, but for sixteen floats between them.
  REQUIRE(lent(0, 16));
  REQUIRE(lent(32, 16));
  CHECK(emulator::live_buffers() == n_buffers + 2);
  CHECK(emulator::device_bytes_in_use() == n_used + 128);

  float* x = b.array(numbers(100, 16));
  REQUIRE(b.add(x, &host[32], 16) == Error::kNone);
  REQUIRE(b.add(x, &host[8], 8) == Error::kNone);
  host[8] = 1000;  // what is there when the device comes to it: nothing was copied
  CHECK(b.values(x, 16)[0] == 100 + 32 + 1000);
  CHECK(b.values(x, 16)[15] == 115 + 47);
  REQUIRE(copy(b.stream, x, &host[33], 4, Copy::kOnDevice) == Error::kNone);
  CHECK(b.values(x, 1)[0] == 33);
  CHECK(device_address(&host[33]) == device_address(&host[0]) + 33 * 4);

  // Beyond what was lent, though in the same pages.
  const std::string elsewhere = "not allocated for the device";
  CHECK(error_text(b.add(x, &host[16], 8)).find(elsewhere) != std::string::npos);
  CHECK(error_text(copy(b.stream, x, &host[12], 32, Copy::kOnDevice)).find(elsewhere) != std::string::npos);
  REQUIRE(b.add(x, &host[12], 8) == Error::kNone);
  CHECK(is_fault([&] { synchronize(b.stream); }));
  // Writing.
  REQUIRE(b.add(&host[0], x, 8) == Error::kNone);
  CHECK(is_fault([&] { synchronize(b.stream); }));
  for (const Error error :
       {copy(&host[0], all.data(), 32, Copy::kToDevice), copy(b.stream, &host[0], x, 32, Copy::kOnDevice),
        copy(b.stream, &host[0], x, 32, Copy::kToHost), fill(&host[0], 0, 32), fill(b.stream, &host[0], 0, 32)})
    CHECK(error_text(error).find(elsewhere) != std::string::npos);
  CHECK(host[0] == 0);

  // What cannot be lent: a part of what is, what has such a part, what does not begin where kernels may read.
  for (const auto& [first, n] : {std::pair<size_t, size_t>{0, 16}, {4, 4}, {16, 20}, {28, 36}, {17, 4}, {16, 0}})
    CHECK(!lent(first, n));
  CHECK(lent(16, 16));  // between the two
  for (const size_t first : {0, 16, 32}) REQUIRE(release(&host[first]) == Error::kNone);
  CHECK(emulator::live_buffers() == n_buffers + 1);  // x
  CHECK(lent(0, 64));
  REQUIRE(release(&host[0]) == Error::kNone);

  // It counts as the device's: by whole pages, as Metal takes them.
  emulator::set_device_memory(emulator::device_bytes_in_use() + 16383);
  bool is_lent = true;
  CHECK(lend(&host[0], 64, is_lent) == Error::kOutOfMemory);
  CHECK(!is_lent);
  emulator::set_device_memory(size_t{1} << 30);
}

TEST_CASE("metal's stand-in: limits and mistakes are faults") {
  using namespace metal;
  std::string reason;
  Queue* queue = create_queue(reason);
  Buffer* buffer = create_buffer(256, false);
  const Pipeline* pipeline = find_pipeline("add", reason);
  REQUIRE(pipeline != nullptr);
  CHECK(find_pipeline("subtract", reason) == nullptr);
  CHECK(!reason.empty());
  CommandList* list = begin_list(*queue, reason);
  const ElementParams params{8, 1, 0};
  Dispatch work;
  work.pipeline = pipeline;
  work.n_threads = 256;
  work.bytes.resize(5000);
  std::memcpy(work.bytes.data(), &params, sizeof(params));
  work.arguments = {{buffer, 0, 0}, {buffer, 128, 0}, {nullptr, 0, sizeof(params)}};
  dispatch(*list, work);
  const auto fails = [&](const std::function<void(Dispatch&)>& change) {
    Dispatch other = work;
    change(other);
    return is_fault([&] { dispatch(*list, other); });
  };
  CHECK(fails([](Dispatch& d) { d.n_threads = 2048; }));
  CHECK(fails([](Dispatch& d) { d.arguments[2].n_bytes = 5000; }));
  CHECK(fails([](Dispatch& d) { d.arguments[2].n_bytes = 8; }));
  CHECK(fails([](Dispatch& d) { d.arguments.pop_back(); }));
  CHECK(fails([](Dispatch& d) { d.arguments.resize(32); }));
  CHECK(fails([](Dispatch& d) { d.arguments[0].offset = 256; }));
  CHECK(fails([](Dispatch& d) { d.arguments[0].offset = 2; }));
  CHECK(fails([](Dispatch& d) { std::swap(d.arguments[0], d.arguments[2]); }));
  CHECK(is_fault([&] { copy(*list, *buffer, 2, *buffer, 128, 4); }));
  CHECK(is_fault([&] { copy(*list, *buffer, 0, *buffer, 128, 132); }));
  CHECK(is_fault([&] { copy(*list, *buffer, 0, *buffer, 128, 0); }));
  CHECK(is_fault([&] { fill(*list, *buffer, 0, 0, 3); }));
  CHECK(is_fault([&] { wait(*list, reason); }));
  CHECK(is_fault([&] { destroy_buffer(buffer); }));
  commit(*list);
  CHECK(is_fault([&] { commit(*list); }));
  CHECK(is_fault([&] { dispatch(*list, work); }));
  CHECK(is_fault([&] { destroy_list(list); }));
  CHECK(is_fault([&] { destroy_queue(queue); }));
  CHECK(is_fault([&] { wait(*list, reason); }));  // nobody has written the buffer
  destroy_list(list);
  alignas(64) static std::array<std::byte, 1 << 15> host{};
  const auto* page = &host[16384 - reinterpret_cast<uintptr_t>(host.data()) % 16384];
  CHECK(is_fault([&] { lend_pages(page + 64, 16384, 0, 64); }));
  CHECK(is_fault([&] { lend_pages(page, 1024, 0, 64); }));
  CHECK(is_fault([&] { lend_pages(page, 16384, 16380, 64); }));
  Buffer* lent = lend_pages(page, 16384, 64, 64);
  REQUIRE(lent != nullptr);
  list = begin_list(*queue, reason);
  CHECK(is_fault([&] { write(*lent, 64, page, 4); }));
  CHECK(is_fault([&] { copy(*list, *lent, 64, *buffer, 0, 4); }));
  CHECK(is_fault([&] { copy(*list, *buffer, 0, *lent, 60, 4); }));
  CHECK(is_fault([&] { copy(*list, *buffer, 0, *lent, 124, 8); }));
  CHECK(is_fault([&] { fill(*list, *lent, 64, 0, 4); }));
  destroy_list(list);
  destroy_buffer(lent);
  destroy_buffer(buffer);
  destroy_queue(queue);
}
