// The command line on a device: what `run` plans there.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cli/command.h"
#include "kernels/emulated_device/emulated_device.h"
#include "model/device_layers.h"
#include "tests/emulated/emulated_models.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("emulated device: `run` plans for its prompt and its reply, and not for a context of usual length") {
  const TempDir dir;
  TinyLlama tiny = tiniest_llama();
  tiny.n_ctx_train = 8192;
  const std::string path = dir.write("tiny.gguf", tiny.bytes());
  const LayerBytes bytes = read_layer_bytes(GgufFile::open(path), "exact");
  const auto need = [&](uint64_t n_positions) { return device_need(bytes, {0, 2}, false, n_positions).total(); };
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {path, "-p", std::string(100, 'a'), "--device", device_id(0)};
    words.insert(words.end(), more.begin(), more.end());
    return error_of([&] { cli::run_run(words); });
  };
  // 100 letters, each a token of its own at most, and the start of the text.
  emulator::set_device_memory(emulator::device_bytes_in_use() + need(2 * 256));
  CHECK(!run({"-n", "1"}));
  CHECK(!run({"-n", "1", "--ctx", "256"}));
  CHECK(run({"-n", "300"}) == ErrorCode::kOutOfMemory);
  CHECK(run({"-n", "1", "--ctx", "8192"}) == ErrorCode::kOutOfMemory);
  emulator::set_device_memory(emulator::device_bytes_in_use() + need(2 * 8192) - 1);
  CHECK(run({"-n", "100000"}) == ErrorCode::kOutOfMemory);
  emulator::set_device_memory(size_t{1} << 30);
}
