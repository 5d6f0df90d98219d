// Loss and gradient of the decoder in model.py on a CPU: what train.py calls in the place of PyTorch's autograd where a
// processor has AMX. Products are of bf16; sums, norms, softmax and the residual stream are f32. Each thread computes
// whole sequences with gradients of its own, which are added at the end.
//
// Only what the presets have: one KV head, tied embeddings, heads and widths that are multiples of 32.
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "orthogonalize.h"
#include "sequence.h"
#include "weights.h"

namespace {

using namespace outpost::forge;

/// work(i) for i below n, each thread with its share
template <class Work>
void in_parallel(int n_threads, std::int64_t n, Work&& work) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < n_threads; ++thread)
    threads.emplace_back([&, thread] {
      prepare_tiles();
      for (std::int64_t i = thread; i < n; i += n_threads) work(i);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

/// @param matrices [n_matrices, n_rows, n_columns] f32, n_rows at most n_columns, both multiples of 32; the result's
/// place, too
extern "C" void orthogonalize_all(float* matrices, std::int32_t n_matrices, std::int32_t n_rows, std::int32_t n_columns,
                                  std::int32_t n_threads) {
  in_parallel(n_threads, n_matrices,
              [&](std::int64_t i) { orthogonalize(matrices + i * n_rows * n_columns, n_rows, n_columns); });
}

/// @param parameters f32 in the order of Decoder.named_parameters(): token_embd, layers, output_norm
/// @param n_elements of each
/// @param gradients of the same shapes; that of the result is added
/// @param ids [n_sequences, n_ctx + 1], below n_vocab
/// @param weights [n_sequences, n_ctx] of the losses of ids 1 to n_ctx
/// @return the weighted sum of the losses, in nats
extern "C" double loss_and_gradient(const Sizes* sizes, const float* const* parameters, const std::int64_t* n_elements,
                                    float* const* gradients, const std::int64_t* ids, const float* weights,
                                    std::int32_t n_sequences, std::int32_t n_threads) {
  const int n_parameters = 2 + 9 * sizes->n_layer;
  std::vector<LayerWeights> layers(sizes->n_layer);
  Matrix embedding;
  in_parallel(n_threads, sizes->n_layer + 1, [&](std::int64_t i) {
    if (i == 0) {
      embedding = Matrix({{parameters[0], sizes->n_vocab}}, sizes->n_embd);
      return;
    }
    LayerPointers<const float> pointers;
    std::memcpy(&pointers, parameters + 1 + 9 * (i - 1), sizeof pointers);
    layers[i - 1] = LayerWeights(*sizes, pointers);
  });
  std::vector<double> losses(n_threads);
  std::vector<std::vector<Buffer<float>>> own(n_threads);
  in_parallel(n_threads, n_threads, [&](std::int64_t thread) {
    std::vector<float*> mine;
    for (int i = 0; i < n_parameters; ++i) {
      own[thread].emplace_back(n_elements[i]);
      std::fill_n(own[thread].back().get(), n_elements[i], 0.0f);
      mine.push_back(own[thread].back().get());
    }
    SequenceLearner learner(*sizes, layers, embedding, parameters[0], parameters[n_parameters - 1], mine);
    for (std::int64_t i = thread; i < n_sequences; i += n_threads)
      losses[thread] += learner.learn(ids + i * (sizes->n_ctx + 1), weights + i * sizes->n_ctx);
  });
  double loss = 0;
  for (const double part : losses) loss += part;
  in_parallel(n_threads, n_parameters, [&](std::int64_t i) {
    for (const auto& part : own)
      for (std::int64_t j = 0; j < n_elements[i]; ++j) gradients[i][j] += part[i][j];
  });
  return loss;
}
