// runtime.h with CUDA.
#include <cuda_runtime_api.h>

#include "kernels/cuda/device_units.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {
namespace {

static_assert(int(Error::kInvalidValue) == cudaErrorInvalidValue &&
              int(Error::kOutOfMemory) == cudaErrorMemoryAllocation &&
              int(Error::kTaken) == cudaErrorDevicesUnavailable);

/// The error, taken from CUDA, so that no later call reports it once more.
Error of(cudaError_t error) {
  if (error != cudaSuccess) (void)cudaGetLastError();
  return static_cast<Error>(error);
}

cudaStream_t native(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }
cudaEvent_t native(Mark mark) { return reinterpret_cast<cudaEvent_t>(mark); }
cudaGraphExec_t native(Recording recording) { return reinterpret_cast<cudaGraphExec_t>(recording); }

cudaMemcpyKind native(Copy direction) {
  switch (direction) {
    case Copy::kToDevice: return cudaMemcpyHostToDevice;
    case Copy::kToHost: return cudaMemcpyDeviceToHost;
    default: return cudaMemcpyDeviceToDevice;
  }
}

class Event {
 public:
  Event() : error_(of(cudaEventCreate(&event_))) {}
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  Error error() const { return error_; }
  Error record() { return of(cudaEventRecord(event_)); }
  Error ms_since(const Event& begin, float& ms) {
    if (const Error error = of(cudaEventSynchronize(event_)); error != Error::kNone) return error;
    return of(cudaEventElapsedTime(&ms, begin.event_, event_));
  }

 private:
  cudaEvent_t event_ = nullptr;
  Error error_;
};

}  // namespace

std::string error_text(Error error) {
  const auto native_error = static_cast<cudaError_t>(error);
  return std::string(cudaGetErrorString(native_error)) + " (" + cudaGetErrorName(native_error) + ")";
}

const char* platform() { return "cuda"; }
std::string requirement() {
  return "a compute capability that this build has code for (CUDA architectures " OUTPOST_CUDA_BUILT ")";
}

int32_t n_devices(std::string& reason) {
  int n = 0;
  const cudaError_t error = cudaGetDeviceCount(&n);
  if (error == cudaSuccess) return n;
  (void)cudaGetLastError();
  if (error == cudaErrorInsufficientDriver) {
    reason =
        "there is no NVIDIA driver, or it is older than this build's CUDA " + std::to_string(CUDART_VERSION / 1000);
  } else if (error == cudaErrorNoDevice) {
    reason = "CUDA finds no NVIDIA GPU that this program may use";
  } else {
    reason = std::string("CUDA does not start: ") + cudaGetErrorString(error);
  }
  return 0;
}

Error device_properties(int32_t device, DeviceProperties& properties) {
  cudaDeviceProp p{};
  if (const Error error = of(cudaGetDeviceProperties(&p, device)); error != Error::kNone) return error;
  properties = {p.name, p.totalGlobalMem, p.multiProcessorCount, false, p.integrated != 0};
  int32_t before = 0;
  if (const Error error = current_device(before); error != Error::kNone) return error;
  Error error = choose_device(device);
  if (error == Error::kNone) error = find_code(properties.is_usable);
  (void)choose_device(before);  // what is wrong with that one, its own users hear
  return error;
}

std::string bus_id(int32_t device) {
  char id[32] = {};
  return of(cudaDeviceGetPCIBusId(id, sizeof(id), device)) == Error::kNone ? id : "";
}

Error choose_device(int32_t device) { return of(cudaSetDevice(device)); }
Error current_device(int32_t& device) { return of(cudaGetDevice(&device)); }
Error synchronize_device() { return of(cudaDeviceSynchronize()); }
size_t max_shared_bytes() {
  int device = 0, n_bytes = 0;
  if (of(cudaGetDevice(&device)) != Error::kNone) return 0;
  const Error error = of(cudaDeviceGetAttribute(&n_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return error == Error::kNone ? static_cast<size_t>(n_bytes) : 0;
}

Error memory_info(size_t& n_free, size_t& n_total) { return of(cudaMemGetInfo(&n_free, &n_total)); }

Error allocate(void*& data, size_t n_bytes) {
  data = nullptr;
  return of(cudaMalloc(&data, n_bytes));
}
Error release(void* data) { return of(cudaFree(data)); }
Error allocate_pinned(void*& data, size_t n_bytes) {
  data = nullptr;
  return of(cudaMallocHost(&data, n_bytes));
}
Error release_pinned(void* data) { return of(cudaFreeHost(data)); }
Error lend(const void*, size_t, bool& is_lent) {
  is_lent = false;
  return Error::kNone;
}
int64_t device_address(const void* data) { return reinterpret_cast<intptr_t>(data); }

Error create_stream(Stream& stream) {
  cudaStream_t created = nullptr;
  const Error error = of(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
  stream = reinterpret_cast<Stream>(created);
  return error;
}
Error destroy_stream(Stream stream) { return of(cudaStreamDestroy(native(stream))); }
Error synchronize(Stream stream) { return of(cudaStreamSynchronize(native(stream))); }

Error create_mark(Mark& mark) {
  cudaEvent_t created = nullptr;
  const Error error = of(cudaEventCreateWithFlags(&created, cudaEventDisableTiming));
  mark = reinterpret_cast<Mark>(created);
  return error;
}
Error destroy_mark(Mark mark) { return of(cudaEventDestroy(native(mark))); }
Error set_mark(Mark mark, Stream stream) { return of(cudaEventRecord(native(mark), native(stream))); }
Error wait(Mark mark) { return of(cudaEventSynchronize(native(mark))); }

Error allocate(Stream stream, void*& data, size_t n_bytes) {
  data = nullptr;
  return of(cudaMallocAsync(&data, n_bytes, native(stream)));
}
Error release(Stream stream, void* data) { return of(cudaFreeAsync(data, native(stream))); }
Error keep_released_memory(bool is_kept) {
  int device = 0;
  cudaMemPool_t pool = nullptr;
  if (const Error error = of(cudaGetDevice(&device)); error != Error::kNone) return error;
  if (const Error error = of(cudaDeviceGetDefaultMemPool(&pool, device)); error != Error::kNone) return error;
  uint64_t threshold = is_kept ? UINT64_MAX : 0;
  if (const Error error = of(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
      error != Error::kNone || is_kept)
    return error;
  return of(cudaMemPoolTrimTo(pool, 0));
}

Error copy(void* to, const void* from, size_t n_bytes, Copy direction) {
  return of(cudaMemcpy(to, from, n_bytes, native(direction)));
}
Error copy(Stream stream, void* to, const void* from, size_t n_bytes, Copy direction) {
  return of(cudaMemcpyAsync(to, from, n_bytes, native(direction), native(stream)));
}
Error copy_runs(void* to, const void* from, size_t pitch, size_t width, size_t n_runs) {
  // A pitch is at most 2^31 - 1, and a tensor can be larger.
  if (pitch == width || n_runs == 1) return copy(to, from, width * n_runs, Copy::kToDevice);
  return of(cudaMemcpy2D(to, width, from, pitch, width, n_runs, cudaMemcpyHostToDevice));
}
Error fill(void* data, uint8_t byte, size_t n_bytes) { return of(cudaMemset(data, byte, n_bytes)); }
Error fill(Stream stream, void* data, uint8_t byte, size_t n_bytes) {
  return of(cudaMemsetAsync(data, byte, n_bytes, native(stream)));
}

Error time_copy(void* to, const void* from, size_t n_bytes, float& ms) {
  Event begin, end;
  for (const Error error : {begin.error(), end.error(), begin.record()}) {
    if (error != Error::kNone) return error;
  }
  if (const Error error = copy(nullptr, to, from, n_bytes, Copy::kOnDevice); error != Error::kNone) return error;
  if (const Error error = end.record(); error != Error::kNone) return error;
  return end.ms_since(begin, ms);
}

Error begin_recording(Stream stream) {
  return of(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal));
}
Error end_recording(Stream stream, Recording& recording) {
  recording = nullptr;
  cudaGraph_t graph = nullptr;
  if (const Error error = of(cudaStreamEndCapture(native(stream), &graph)); error != Error::kNone) {
    if (graph != nullptr) cudaGraphDestroy(graph);
    return error;
  }
  cudaGraphExec_t instance = nullptr;
  const Error error = of(cudaGraphInstantiate(&instance, graph, 0));
  cudaGraphDestroy(graph);
  recording = reinterpret_cast<Recording>(instance);
  return error;
}
Error replay(Recording recording, Stream stream) { return of(cudaGraphLaunch(native(recording), native(stream))); }
Error destroy_recording(Recording recording) { return of(cudaGraphExecDestroy(native(recording))); }

}  // namespace outpost::gpu
