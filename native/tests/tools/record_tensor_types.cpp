// outpost-record-tensor-types LIBGGML_BASE BUILD OUT: what llama.cpp's libggml-base makes of tensor blocks, for
// tests/quant_vectors_test.cpp. Run by `npm run record-vectors`, which knows the library and what build it is.
#include <dlfcn.h>

#include <bit>
#include <cstdio>
#include <stdexcept>

#include "tests/support/quantized_data.h"
#include "tests/support/type_vectors.h"

namespace {

using namespace outpost;
using namespace outpost::test;

class Peer {
 public:
  explicit Peer(const char* path) : handle_(dlopen(path, RTLD_NOW)) {
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
    quantize_chunk_ = symbol<QuantizeChunk>("ggml_quantize_chunk");
    needs_importance_ = symbol<bool (*)(int)>("ggml_quantize_requires_imatrix");
  }

  std::vector<float> dequantize(TensorType type, const std::vector<std::byte>& blocks) const {
    const TensorTypeTraits& traits = tensor_type_traits(type);
    std::vector<float> values(blocks.size() / traits.block_bytes * traits.block_elements);
    std::string name = std::string("dequantize_row_") + traits.name;
    if (type == TensorType::kF16) name = "ggml_fp16_to_fp32_row";
    if (type == TensorType::kBF16) name = "ggml_bf16_to_fp32_row";
    symbol<void (*)(const void*, float*, int64_t)>(name.c_str())(blocks.data(), values.data(),
                                                                 static_cast<int64_t>(values.size()));
    return values;
  }

  std::vector<std::byte> quantize(TensorType type, const std::vector<float>& values) const {
    const TensorTypeTraits& traits = tensor_type_traits(type);
    std::vector<std::byte> blocks(values.size() / traits.block_elements * traits.block_bytes);
    const auto n = static_cast<int64_t>(values.size());
    if (type == TensorType::kQ8_K) {  // not offered for files
      symbol<void (*)(const float*, void*, int64_t)>("quantize_row_q8_K_ref")(values.data(), blocks.data(), n);
      return blocks;
    }
    const int id = static_cast<int>(type);
    const std::vector<float> importance(needs_importance_(id) ? values.size() : 0, 1.0f);
    quantize_chunk_(id, values.data(), blocks.data(), 0, 1, n, importance.empty() ? nullptr : importance.data());
    return blocks;
  }

 private:
  using QuantizeChunk = size_t (*)(int type, const float* src, void* dst, int64_t start, int64_t n_rows,
                                   int64_t n_per_row, const float* importance);

  template <typename Function>
  Function symbol(const char* name) const {
    void* address = dlsym(handle_, name);
    if (address == nullptr) throw std::runtime_error(dlerror());
    return reinterpret_cast<Function>(address);
  }

  void* handle_;
  QuantizeChunk quantize_chunk_;
  bool (*needs_importance_)(int);
};

/// @param n_shown values written out, spread over the blocks
BlockVector record(const Peer& peer, TensorType type, const std::vector<std::byte>& blocks, size_t n_shown) {
  const std::vector<float> values = peer.dequantize(type, blocks);
  BlockVector vector;
  vector.n_blocks = static_cast<int64_t>(blocks.size() / tensor_type_traits(type).block_bytes);
  vector.byte_checksum = checksum(blocks);
  vector.value_checksum = checksum(values);
  for (size_t i = 0; i < n_shown; ++i) {
    const size_t index = i * 7919 % values.size();  // a prime: no two share a place in their block for long
    vector.values.emplace_back(index, std::bit_cast<uint32_t>(values[index]));
  }
  return vector;
}

TypeVectors record(const Peer& peer, TensorType type) {
  TypeVectors vectors{type, {}};
  const TensorTypeTraits& traits = tensor_type_traits(type);
  const auto n_blocks = static_cast<int64_t>(64 * 1024 / traits.block_elements);
  const uint64_t seed = 1000 + static_cast<uint64_t>(type);
  vectors.blocks.push_back(record(peer, type, arbitrary_blocks(type, n_blocks, seed), 24));
  vectors.blocks.back().seed = seed;

  const auto weights = gaussian_values(1024, 0.02f, 7);
  const auto blocks = peer.quantize(type, weights);
  vectors.blocks.push_back(record(peer, type, blocks, 16));
  vectors.blocks.back().bytes = blocks;

  const auto error = [&](const std::vector<float>& values) {
    return rmse(values, peer.dequantize(type, peer.quantize(type, values)));
  };
  vectors.rmse_gaussian = error(gaussian_samples());
  vectors.rmse_heavy_tailed = error(heavy_tailed_samples());
  return vectors;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: outpost-record-tensor-types LIBGGML_BASE BUILD OUT\n");
    return 2;
  }
  try {
    const Peer peer(argv[1]);
    std::vector<TypeVectors> types;
    for (const TensorType type : kCpuTypes) {
      if (type != TensorType::kF32) types.push_back(record(peer, type));
    }
    write_type_vectors(argv[3],
                       std::string("# Values that llama.cpp gives tensor blocks. Format and data: "
                                   "tests/support/type_vectors.cpp.\n# Recorded from ") +
                           argv[2] + " by `npm run record-vectors`.\n",
                       types);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "outpost-record-tensor-types: %s\n", error.what());
    return 1;
  }
}
