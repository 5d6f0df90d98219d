#include "kernels/emulated_device/emulated_device.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/emulated_device/emulated_launch.h"

using Work = std::vector<std::function<void()>>;

struct CUstream_st {
  Work waiting;
  bool is_recording = false;
  Work recorded;
};
struct CUgraph_st {
  Work work;
};
struct CUgraphExec_st {
  std::shared_ptr<const Work> work;
};

namespace outpost::emulator {
namespace {

/// Halfs are the finest that kernels write.
constexpr size_t kElementBytes = 2;

struct Device {
  std::map<uintptr_t, std::unique_ptr<Region>> allocations;  // by their first byte
  size_t n_bytes = size_t{1} << 30, n_used = 0;
  std::vector<CUstream_st*> streams;
  int current = 0;
  uint64_t n_graph_launches = 0, n_allocations = 0;
};

Region* find(const void* address, int64_t& offset);

Device& device() {
  static Device instance;
  static const bool is_known = [] {
    find_address = [](int64_t address, int64_t& offset) {
      return find(reinterpret_cast<const void*>(static_cast<intptr_t>(address)), offset);
    };
    return true;
  }();
  (void)is_known;
  return instance;
}

bool is_recording() {
  const auto& streams = device().streams;
  return std::any_of(streams.begin(), streams.end(), [](const CUstream_st* s) { return s->is_recording; });
}

/// Does what waits, also when a kernel fails: what is behind it then is not done.
void drain(CUstream_st& stream) {
  const Work work = std::exchange(stream.waiting, {});
  for (const auto& one : work) one();
}

void drain_all() {
  for (CUstream_st* stream : device().streams) drain(*stream);
}

Region* find(const void* address, int64_t& offset) {
  auto& allocations = device().allocations;
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto next = allocations.upper_bound(at);
  if (next == allocations.begin()) return nullptr;
  const auto& [begin, region] = *std::prev(next);
  // An address right behind an allocation may be made, and not be used.
  if (at > begin + region->size_bytes()) return nullptr;
  offset = static_cast<int64_t>(at - begin);
  return region.get();
}

cudaError_t allocate(void** data, size_t n, RegionKind kind) {
  Device& d = device();
  *data = nullptr;
  if (is_recording()) return cudaErrorStreamCaptureUnsupported;
  const bool is_of_device = kind != RegionKind::kValues;
  if (is_of_device && n > d.n_bytes - d.n_used) return cudaErrorMemoryAllocation;
  const size_t n_bytes = (n + kElementBytes - 1) / kElementBytes * kElementBytes;
  auto region =
      std::make_unique<Region>("allocation " + std::to_string(++d.n_allocations), n_bytes, kElementBytes, kind);
  region->set_untyped();
  *data = region->data();
  if (is_of_device) d.n_used += n;
  d.allocations[reinterpret_cast<uintptr_t>(*data)] = std::move(region);
  return cudaSuccess;
}

void release(void* data) {
  Device& d = device();
  const auto found = d.allocations.find(reinterpret_cast<uintptr_t>(data));
  if (found == d.allocations.end()) throw Fault(FaultKind::kOutOfBounds, "what was never allocated is given up");
  if (found->second->kind() != RegionKind::kValues) d.n_used -= std::min(d.n_used, found->second->size_bytes());
  d.allocations.erase(found);
}

/// Where the device has n bytes. @throws Fault
Region* checked(const void* address, size_t n, int64_t& offset) {
  Region* region = region_at(address, offset);
  if (static_cast<size_t>(offset) + n > region->size_bytes())
    throw Fault(FaultKind::kOutOfBounds,
                "a copy of " + std::to_string(n) + " bytes goes beyond `" + region->name() + "`");
  return region;
}

void copy(void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  if (n == 0) return;
  int64_t to_offset = 0, from_offset = 0;
  Region* target = kind != cudaMemcpyDeviceToHost ? checked(to, n, to_offset) : nullptr;
  Region* source = kind != cudaMemcpyHostToDevice ? checked(from, n, from_offset) : nullptr;
  std::memmove(to, from, n);
  if (target == nullptr) return;
  if (source == nullptr)
    target->set_written(to_offset, n);
  else
    target->copy_state(to_offset, *source, from_offset, n);
}

}  // namespace

Region* region_at(const void* address, int64_t& offset) {
  Region* region = find(address, offset);
  if (region == nullptr) throw Fault(FaultKind::kOutOfBounds, "a kernel or a copy is given memory that is not there");
  return region;
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  if (stream == nullptr) {
    work();
  } else {
    (stream->is_recording ? stream->recorded : stream->waiting).push_back(std::move(work));
  }
  return cudaSuccess;
}

void set_device_memory(size_t n_bytes) { device().n_bytes = n_bytes; }
size_t device_bytes_in_use() { return device().n_used; }
uint64_t graph_launches() { return device().n_graph_launches; }

}  // namespace outpost::emulator

using namespace outpost::emulator;

const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "an emulated error"; }
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaError";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* n) {
  *n = 2;  // of one memory: that they do not mix theirs up is not tested
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"Emulated", device().n_bytes, 2, 8, 0};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 2 : 163 * 1024;  // as of 8.0
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int, int) {
  *id = 0;
  return cudaErrorInvalidValue;
}
cudaError_t cudaSetDevice(int index) {
  device().current = index;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = device().current;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  drain_all();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t n) { return allocate(data, n, RegionKind::kEmpty); }
cudaError_t cudaFree(void* data) {
  drain_all();
  release(data);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** data, size_t n) { return allocate(data, n, RegionKind::kValues); }
cudaError_t cudaFreeHost(void* data) {
  drain_all();
  release(data);
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** data, size_t n, cudaStream_t) { return allocate(data, n, RegionKind::kEmpty); }
cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  return enqueue(stream, [data] { release(data); });
}
cudaError_t cudaMemGetInfo(size_t* n_free, size_t* n_total) {
  *n_total = device().n_bytes;
  *n_free = device().n_bytes - device().n_used;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

cudaError_t cudaMemset(void* data, int value, size_t n) {
  int64_t offset = 0;
  Region* region = checked(data, n, offset);
  std::memset(data, value, n);
  region->set_written(offset, n);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t n, cudaStream_t stream) {
  return enqueue(stream, [=] { cudaMemset(data, value, n); });
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  copy(to, from, n, kind);
  return cudaSuccess;
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind) {
  for (size_t row = 0; row < height; ++row)
    copy(static_cast<std::byte*>(to) + row * to_pitch, static_cast<const std::byte*>(from) + row * from_pitch, width,
         kind);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind kind, cudaStream_t stream) {
  return enqueue(stream, [=] { copy(to, from, n, kind); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  device().streams.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  drain(*stream);
  std::erase(device().streams, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream == nullptr) return cudaSuccess;  // others are not waited for by the default one: they are non-blocking
  if (stream->is_recording) return cudaErrorStreamCaptureUnsupported;
  drain(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->is_recording = true;
  stream->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  stream->is_recording = false;
  *graph = new CUgraph_st{std::exchange(stream->recorded, {})};
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{std::make_shared<const Work>(graph->work)};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  ++device().n_graph_launches;
  return enqueue(stream, [work = exec->work] {
    for (const auto& one : *work) one();
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = nullptr;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) {
  *ms = 1;
  return cudaSuccess;
}
