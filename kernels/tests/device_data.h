// Inputs of kernels in the emulator's memory.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "kernels/emulator/simt.h"
#include "kernels/portable/activations.h"
#include "tests/support/quantized_data.h"

namespace outpost::test {

/// The blocks of a matrix in file layout.
template <typename Block>
emulator::DeviceArray<Block> device_blocks(const FileMatrix& matrix) {
  std::vector<Block> blocks(matrix.bytes.size() / sizeof(Block));
  std::memcpy(blocks.data(), matrix.bytes.data(), matrix.bytes.size());
  return {"weight", blocks};
}

/// Activations as quantize_activations leaves them.
struct DeviceActivations {
  emulator::DeviceArray<uint32_t> codes;
  emulator::DeviceArray<float> scales;
  emulator::DeviceArray<uint32_t> sums;
  int32_t n_groups;

  explicit DeviceActivations(const std::vector<float>& x)
      : codes("codes", x.size() / 4),
        scales("scales", x.size() / 32),
        sums("sums", x.size() / 32),
        n_groups(static_cast<int32_t>(x.size() / 32)) {
    emulator::DeviceArray<float> input("x", x);
    const gpu::QuantizeParams params{n_groups};
    emulator::launch({{(n_groups + 7) / 8}, gpu::kQuantizeThreads},
                     [&] { gpu::quantize_activations(input, codes, scales, sums, params); });
  }
};

}  // namespace outpost::test
