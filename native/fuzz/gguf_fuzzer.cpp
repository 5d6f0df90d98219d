// Feeds arbitrary bytes to the GGUF reader and uses everything it hands out. Run by run.sh.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>

#include "engine.h"
#include "gguf/gguf_file.h"

namespace {

/// Touches each byte, so that a view outside the input is seen by AddressSanitizer.
uint8_t read_through(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), uint8_t{0},
                         [](uint8_t sum, std::byte b) { return static_cast<uint8_t>(sum ^ static_cast<uint8_t>(b)); });
}

template <typename Getter>
void call(Getter&& getter) {
  try {
    getter();
  } catch (const outpost::EngineError&) {  // another type than asked for
  }
}

void use(const outpost::GgufFile& file) {
  volatile uint8_t sum = 0;
  for (const auto& [key, value] : file.metadata()) {
    sum = sum ^ static_cast<uint8_t>(describe(value).size());
    call([&, k = key] { file.get_string(k); });
    call([&, k = key] { file.get_uint(k); });
    call([&, k = key] { file.get_float(k); });
    call([&, k = key] { file.get_bool(k); });
    call([&, k = key] { file.get_strings(k); });
    call([&, k = key] { file.get_floats(k); });
    call([&, k = key] { file.get_ints(k); });
    if (file.find(key) != &value) std::abort();
  }
  for (const auto& tensor : file.tensors()) {
    sum = sum ^ read_through(tensor.bytes);
    int64_t n_elements = 1;
    for (const int64_t extent : tensor.shape) n_elements *= extent;
    if (static_cast<uint64_t>(n_elements) != tensor.n_elements) std::abort();
    if (file.find_tensor(tensor.name) != &tensor) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    use(outpost::GgufFile::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz"));
  } catch (const outpost::EngineError& error) {
    if (error.code() != outpost::ErrorCode::kModelInvalid) std::abort();
  }
  return 0;
}
