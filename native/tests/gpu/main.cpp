// outpost-gpu-tests: the tests of the kernels on a GPU. Exit codes: 0 all passed; 1 some failed, or there is no device
// and it says so. The names of the tests begin with what they test: "-tc='gpu matvec*'" runs those of matvec.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <cstdio>

int main(int argc, char** argv) {
  int n_devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&n_devices);
  if (error != cudaSuccess || n_devices == 0) {
    std::printf("no CUDA device: %s. Nothing was checked.\n", cudaGetErrorString(error));
    return 1;
  }
  cudaDeviceProp properties{};
  cudaGetDeviceProperties(&properties, 0);
  std::printf("on %s, compute capability %d.%d\n", properties.name, properties.major, properties.minor);
  return doctest::Context(argc, argv).run();
}
