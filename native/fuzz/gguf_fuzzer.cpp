// Feeds arbitrary bytes to the GGUF reader and uses everything it hands out; takes them for blocks of every tensor
// type, too. Run by run.sh.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <span>
#include <vector>

#include "engine.h"
#include "gguf/gguf_file.h"
#include "quant/dequantize.h"

namespace {

/// Touches each byte, so that a view outside the input is seen by AddressSanitizer.
uint8_t read_through(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), uint8_t{0},
                         [](uint8_t sum, std::byte b) { return static_cast<uint8_t>(sum ^ static_cast<uint8_t>(b)); });
}

/// Dequantizes some blocks at the start of `bytes`.
void dequantize_some(outpost::TensorType type, std::span<const std::byte> bytes) {
  if (!outpost::can_dequantize(type)) return;
  const outpost::TensorTypeTraits& traits = outpost::tensor_type_traits(type);
  const size_t n_blocks = std::min(bytes.size() / traits.block_bytes, size_t{1024} / traits.block_elements);
  if (n_blocks == 0) return;
  std::vector<float> values(n_blocks * traits.block_elements);
  // Exactly the blocks, so that a read past their end is seen.
  const std::vector<std::byte> blocks(bytes.begin(),
                                      bytes.begin() + static_cast<int64_t>(n_blocks * traits.block_bytes));
  outpost::dequantize(type, blocks.data(), values.data(), static_cast<int64_t>(values.size()));
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
    dequantize_some(tensor.type, tensor.bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  for (uint32_t id = 0; id < 64; ++id) {
    if (outpost::tensor_type_traits(id) != nullptr) dequantize_some(static_cast<outpost::TensorType>(id), bytes);
  }
  try {
    use(outpost::GgufFile::parse(bytes, "fuzz"));
  } catch (const outpost::EngineError& error) {
    if (error.code() != outpost::ErrorCode::kModelInvalid) std::abort();
  }
  return 0;
}
