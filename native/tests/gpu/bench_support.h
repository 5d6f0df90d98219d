// Timing on a GPU, and weights to time with.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/launchers/launchers.h"
#include "kernels/tests/cuda_array.h"
#include "tests/support/quantized_data.h"

namespace outpost::test {

using cuda::check;
using cuda::DeviceArray;

inline constexpr int kRuns = 7;

inline void check_cuda(cudaError_t error, const char* what) { check(static_cast<gpu::Error>(error), what); }

/// Milliseconds of what is put on a stream, the median of kRuns after one that does not count.
inline double median_ms(const std::function<void(int)>& launch, gpu::Stream stream = nullptr) {
  const auto native = reinterpret_cast<cudaStream_t>(stream);
  cudaEvent_t begin = nullptr, end = nullptr;
  check_cuda(cudaEventCreate(&begin), "an event");
  check_cuda(cudaEventCreate(&end), "an event");
  std::vector<float> times;
  for (int run = 0; run <= kRuns; ++run) {
    float ms = 0;
    check_cuda(cudaEventRecord(begin, native), "an event");
    launch(run);
    check_cuda(cudaEventRecord(end, native), "an event");
    check_cuda(cudaEventSynchronize(end), "computing");
    check_cuda(cudaEventElapsedTime(&ms, begin, end), "an event");
    if (run > 0) times.push_back(ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

/// Milliseconds of one of n pieces of work that are recorded one after the other, as in a pass, and repeated together:
/// the host's time for a launch does not count. @param work puts piece i on the stream
inline double recorded_ms(int n, const std::function<void(gpu::Stream stream, int i)>& work) {
  gpu::Stream stream = nullptr;
  gpu::Recording pass = nullptr;
  check(gpu::synchronize_device(), "copying what is read");
  check(gpu::create_stream(stream), "a stream");
  work(stream, 0);  // outside of a recording: kernels are loaded then
  check(gpu::synchronize(stream), "computing");
  check(gpu::begin_recording(stream), "recording");
  for (int i = 0; i < n; ++i) work(stream, i);
  check(gpu::end_recording(stream, pass), "recording");
  const double ms = median_ms([&](int) { check(gpu::replay(pass, stream), "a pass"); }, stream) / n;
  gpu::destroy_recording(pass);
  gpu::destroy_stream(stream);
  return ms;
}

/// [n_rows, n_cols] of this type as the backend keeps it: 128 random rows again and again.
inline std::vector<std::byte> device_weight(gpu::DeviceType type, int64_t n_rows, int64_t n_cols) {
  const FileMatrix matrix = random_matrix(type.type, 128, n_cols, 1);
  std::vector<std::byte> bytes = matrix.bytes;
  if (type.is_wide) {
    DeviceArray<std::byte> narrow("narrow", matrix.bytes), wide("wide", gpu::device_bytes(type, 128 * n_cols));
    check(gpu::launch_widen(nullptr, type.type, narrow.pointer(), wide.pointer(), 128 * n_cols), "widen");
    bytes = wide.values();
  }
  std::vector<std::byte> all;
  const size_t n_bytes = gpu::device_bytes(type, n_rows * n_cols);
  while (all.size() < n_bytes) all.insert(all.end(), bytes.begin(), bytes.end());
  all.resize(n_bytes);
  return all;
}

}  // namespace outpost::test
