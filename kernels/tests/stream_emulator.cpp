// superblock_stream under the SIMT emulator: a file of its own, as every type and number of tokens is a kernel.
#ifndef OUTPOST_ON_GPU

#include "kernels/cuda/superblock_stream.h"
#include "kernels/tests/operations.h"

namespace outpost::test {

using namespace gpu;

namespace {

/// Blocks of threads, so that each goes on from tile to tile.
constexpr int32_t kBlocks = 2;

struct StreamArrays {
  DeviceArray<std::byte>* (&weights)[3];
  DeviceActivations& x;
  DeviceArray<float>* (&biases)[3], *(&ys)[3];
  const FusedArrays* fused = nullptr;
  SuperFusion fusion{};

  DevicePtr<const uint8_t> weight(size_t i) const { return {weights[i]->pointer().region(), 0}; }
};

template <typename Block, int kTokens, bool kIsGated>
void run_kernel(const StreamArrays& a, const SuperParams& product, Schedule schedule) {
  constexpr size_t kSharedBytes = StreamShape<Block, kTokens>::kSharedBytes + sizeof(uint64_t) * kStreamBarriers;
  constexpr int32_t kRows = kIsGated ? kSuperMmaRows : kStreamRows;
  StreamParams params{product, a.fusion, 0, 0};
  for (int32_t i = 0; i < (kIsGated ? 1 : kSuperMatrices); ++i)
    params.n_tiles += (product.n_rows[i] + kRows - 1) / kRows;
  params.n_blocks = std::min(params.n_tiles, kBlocks);
  DevicePtr<const float> values, norm_weight;
  if (a.fused != nullptr) {
    values = a.fused->values;
    norm_weight = a.fused->norm_weight;
  }
  emulator::launch({{params.n_blocks}, kStreamThreads, schedule, 1, kSharedBytes, true}, [&] {
    superblock_stream<Block, kTokens, kIsGated>(a.weight(0), a.weight(1), a.weight(2), a.x.codes, a.x.scales, a.x.sums,
                                                a.x.pairs, values, norm_weight, *a.biases[0], *a.biases[1],
                                                *a.biases[2], *a.ys[0], *a.ys[1], *a.ys[2], params);
  });
  emulator::end_launches();
}

template <typename Block, bool kIsGated>
void run_tokens(const StreamArrays& a, const SuperParams& product, Schedule schedule) {
  if (product.n_tokens == 1) return run_kernel<Block, 1, kIsGated>(a, product, schedule);
  if (product.n_tokens <= 8) return run_kernel<Block, 8, kIsGated>(a, product, schedule);
  run_kernel<Block, 16, kIsGated>(a, product, schedule);
}

}  // namespace

static void run_arrays(DeviceType type, const StreamArrays& arrays, const SuperParams& params, bool is_gated,
                       Schedule schedule) {
  const auto run = [&]<typename Block>() {
    is_gated ? run_tokens<Block, true>(arrays, params, schedule) : run_tokens<Block, false>(arrays, params, schedule);
  };
  switch (type.type) {
    case TensorType::kQ4_K: return run.operator()<BlockQ4_K>();
    case TensorType::kQ5_K: return run.operator()<BlockQ5_K>();
    case TensorType::kQ6_K: return run.operator()<WideQ6_K>();
    default: return run.operator()<WideQ8_0>();
  }
}

/// As launch_super of the CUDA launchers.
void run_stream(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x,
                DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
                bool is_gated, Schedule schedule) {
  run_arrays(type, {weights, x, biases, ys}, params, is_gated, schedule);
}

void run_fused(DeviceType type, DeviceArray<std::byte>* (&weights)[3], DeviceActivations& x, const FusedArrays& fused,
               DeviceArray<float>* (&biases)[3], DeviceArray<float>* (&ys)[3], const SuperParams& params,
               const SuperFusion& fusion, bool is_gated) {
  run_arrays(type, {weights, x, biases, ys, &fused, fusion}, params, is_gated, Schedule::kRandom);
}

}  // namespace outpost::test

#endif
