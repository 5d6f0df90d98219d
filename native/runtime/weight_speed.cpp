// How fast a device reads weights of one type while it decodes: what a prediction of tokens per second is made of.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/devices.h"
#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

// Matrices as in a model of a billion weights, so that starting a product costs its usual part.
constexpr int64_t kRows = 4096, kCols = 2048;
// More than the caches of a desktop processor hold, or those of a GPU, of which some have 126 MiB.
constexpr size_t kTotalBytes = size_t{96} << 20, kTotalBytesOnGpu = size_t{512} << 20;
// Long enough that a moment in which something else ran does not count for much.
constexpr size_t kLeastRounds = 5;
constexpr double kLeastSeconds = 0.4;

TensorType type_named(const std::string& name) {
  for (uint32_t id = 0; id < 256; ++id) {
    const TensorTypeTraits* traits = tensor_type_traits(id);
    if (traits != nullptr && name == traits->name) return static_cast<TensorType>(id);
  }
  throw EngineError(ErrorCode::kInvalidArgument, concat("There is no tensor type ", in_quotes(name), "."));
}

/// Arbitrary codes: what they mean does not change the time, as long as few elements are infinite or subnormal.
std::vector<std::byte> arbitrary_blocks(const TensorTypeTraits& traits) {
  std::vector<std::byte> bytes(static_cast<size_t>(kRows * kCols) / traits.block_elements * traits.block_bytes);
  uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>((state >> 24) & 0x3f);
  }
  return bytes;
}

}  // namespace

double measure_weight_speed(const std::string& type_name, const LoadOptions& options) {
  const TensorType type = type_named(type_name);
  const auto backend = create_backend(only_device(options), options, 0);
  const std::vector<std::byte> blocks = arbitrary_blocks(tensor_type_traits(type));
  std::vector<std::unique_ptr<Weight>> weights;
  size_t n_bytes = 0;
  while (n_bytes < (only_device(options) == "cpu" ? kTotalBytes : kTotalBytesOnGpu)) {
    weights.push_back(backend->load_weight({"weights of the speed measurement", type, kRows, kCols, blocks}));
    // A device that computes with the file's own bytes keeps none itself.
    n_bytes += std::max(weights.back()->size_bytes(), blocks.size());
  }
  std::vector<float> input(static_cast<size_t>(kCols)), host(static_cast<size_t>(kRows));
  for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 17) - 8.0f;
  const auto x = backend->load_vector(
      {"the input of the speed measurement", TensorType::kF32, 1, kCols, std::as_bytes(std::span(input))});
  const auto y = backend->alloc_f32(static_cast<size_t>(kRows));
  std::vector<double> seconds;
  double sum = 0;
  for (bool is_first = true; seconds.size() < kLeastRounds || sum < kLeastSeconds; is_first = false) {
    const auto start = std::chrono::steady_clock::now();
    for (const auto& weight : weights) {
      const MatmulTask task{weight.get(), y->span()};
      backend->matmul({&task, 1}, x->span(), 1);
    }
    backend->read(host, y->span());  // waits for the device
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (is_first) continue;  // it touches the memory
    seconds.push_back(time.count());
    sum += time.count();
  }
  // What else runs on the machine only makes some of them slower.
  const auto quarter = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 4);
  std::nth_element(seconds.begin(), quarter, seconds.end());
  return static_cast<double>(n_bytes) / *quarter;
}

}  // namespace outpost
