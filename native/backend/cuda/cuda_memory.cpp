#include "backend/cuda/cuda_memory.h"

#include <algorithm>

#include "core/strings.h"

namespace outpost {

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // the next call shall not report it again, if it is one that passes
  throw EngineError(ErrorCode::kInternal, concat("The GPU failed while ", what, ": ", cudaGetErrorString(error), " (",
                                                 cudaGetErrorName(error), ")."));
}

void fail_out_of_memory(size_t n_bytes, const char* what) {
  (void)cudaGetLastError();
  size_t n_free = 0, n_total = 0;
  cudaMemGetInfo(&n_free, &n_total);
  throw EngineError(ErrorCode::kOutOfMemory,
                    concat("The GPU has no room for ", what, ": ", n_bytes >> 20, " MiB are needed, ", n_free >> 20,
                           " of ", n_total >> 20, " MiB are free. Choose a smaller model or context, or the CPU."));
}

void fail_out_of_host_memory(size_t n_bytes) {
  (void)cudaGetLastError();
  throw EngineError(ErrorCode::kOutOfMemory,
                    concat("There is no room for ", n_bytes >> 20,
                           " MiB of memory that stays in its place for the GPU to read. Choose a smaller model, fewer "
                           "layers on the GPU, or the CPU."));
}

DeviceBytes::DeviceBytes(size_t n, const char* what) {
  const cudaError_t error = cudaMalloc(&data_, std::max<size_t>(n, 1));
  if (error != cudaSuccess) data_ = nullptr;
  if (error == cudaErrorMemoryAllocation) fail_out_of_memory(n, what);
  check_cuda(error, "allocating memory");
  size_ = n;
}

}  // namespace outpost
