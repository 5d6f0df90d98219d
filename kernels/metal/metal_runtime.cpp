// runtime.h with Metal, on metal_device.h. Host and device share their memory: what the backend holds are addresses of
// the host, and a copy from or to memory of its own is made by the processor, at once or when the stream has come so
// far.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "kernels/metal/device_launch.h"
#include "kernels/metal/metal_stream.h"
#include "kernels/runtime/runtime.h"

namespace outpost::gpu {

struct StreamState {
  std::unique_ptr<metal::CommandStream> commands;
};
struct RecordingState {
  std::vector<metal::Command> commands;
};
struct MarkState {
  metal::CommandStream::List list;  // the last before it; null: there is none
};

}  // namespace outpost::gpu

namespace outpost::metal {
namespace {

using gpu::Error;
using gpu::StreamState;
using Lock = std::unique_lock<std::mutex>;

/// Everything that threads share. Nobody waits for the GPU with the lock.
struct Runtime {
  std::mutex mutex;
  Memory memory;
  std::vector<std::shared_ptr<StreamState>> streams;
  std::unordered_map<KernelFunction, const Pipeline*> pipelines;
};

Runtime& runtime() {
  static Runtime& instance = *new Runtime;  // for threads that are there when the process ends
  return instance;
}

constexpr const char* kElsewhere = "memory is used that was not allocated for the device";
constexpr const char* kRecording = "nobody can wait for a stream that is being recorded";

/// Waits for all of a stream's work; what goes wrong is kept for whoever asks the stream.
void drain(Lock& lock, StreamState& stream) {
  const auto lists = stream.commands->commit();
  lock.unlock();
  Error first = Error::kNone;
  for (const auto& list : lists) {
    const Error error = CommandStream::wait(list);
    if (first == Error::kNone) first = error;
  }
  lock.lock();
  stream.commands->forget(lists, first);
}

void drain_all(Lock& lock) {
  const auto streams = runtime().streams;
  for (const auto& stream : streams) drain(lock, *stream);
}

/// Gives back the buffers of pools of which no block is taken.
void release_free_slabs(Lock& lock) {
  drain_all(lock);
  Runtime& r = runtime();
  for (const auto& stream : r.streams) {
    for (auto& [n_bytes, pool] : stream->commands->pools()) {
      for (void* slab : pool.remove_free_slabs()) r.memory.remove(slab);
    }
  }
}

/// The processor copies, between any memory. @pre nothing that is under way writes there
void copy_by_host(const Place& to_place, void* to, const void* from, size_t n_bytes) {
  if (to_place.buffer != nullptr)
    write(*to_place.buffer, to_place.offset, from, n_bytes);
  else
    std::memmove(to, from, n_bytes);
}

/// Where a copy or fill of n_bytes can be a command of the GPU.
bool is_for_commands(const Place& place, size_t n_bytes) {
  return place.buffer != nullptr && place.offset % 4 == 0 && n_bytes % 4 == 0;
}

/// Whether this is memory of the device that was not lent.
bool can_write(const Place& place) { return place.buffer != nullptr && !place.is_lent; }

/// Both ends of a copy. @return whether those of the device are there
bool find_ends(const void* to, const void* from, size_t n_bytes, gpu::Copy direction, Place& to_place,
               Place& from_place) {
  const Memory& memory = runtime().memory;
  to_place = memory.find(to, n_bytes);
  from_place = memory.find(from, n_bytes);
  return (direction == gpu::Copy::kToHost ? !to_place.is_lent : can_write(to_place)) &&
         (direction == gpu::Copy::kToDevice || from_place.buffer != nullptr);
}

const Pipeline* pipeline_of(KernelFunction kernel, Error& error) {
  const Pipeline*& pipeline = runtime().pipelines[kernel];
  if (pipeline != nullptr) return pipeline;
  const char* name = name_of(kernel);
  std::string reason;
  if (name == nullptr)
    error = failed("a kernel is launched that kernels/metal/instances.h lacks");
  else if ((pipeline = find_pipeline(name, reason)) == nullptr)
    error = failed(std::string("the kernel ") + name + " cannot be used: " + reason);
  return pipeline;
}

}  // namespace

Error launch(gpu::Stream stream, KernelFunction kernel, gpu::Grid grid, int32_t n_threads,
             std::span<const LaunchArgument> arguments) {
  if (stream == nullptr) return Error::kInvalidValue;
  const Lock lock(runtime().mutex);
  Error error = Error::kNone;
  Dispatch work;
  work.pipeline = pipeline_of(kernel, error);
  if (error != Error::kNone) return error;
  if (n_threads > work.pipeline->n_most_threads)
    return failed(std::string("the GPU runs the kernel ") + name_of(kernel) + " with fewer threads only");
  work.n_groups = {grid.x, grid.y, grid.z};
  work.n_threads = static_cast<uint32_t>(n_threads);
  work.arguments.reserve(arguments.size());
  for (const LaunchArgument& a : arguments) {
    if (a.n_bytes > 0) {
      const auto* bytes = static_cast<const std::byte*>(a.data);
      work.arguments.push_back({nullptr, work.bytes.size(), a.n_bytes});
      work.bytes.insert(work.bytes.end(), bytes, bytes + a.n_bytes);
    } else {
      const Place place = runtime().memory.find(a.data, 1);
      if (a.data != nullptr && place.buffer == nullptr) return failed(kElsewhere);
      work.arguments.push_back({place.buffer, place.offset, 0});
    }
  }
  return stream->commands->add(runtime().memory, std::move(work));
}

}  // namespace outpost::metal

namespace outpost::gpu {

using namespace metal;

std::string error_text(Error error) {
  switch (error) {
    case Error::kNone: return "no error";
    case Error::kInvalidValue: return "an invalid value";
    case Error::kOutOfMemory: return "out of memory";
    default: return failure_text(error);
  }
}

// ---- devices

const char* platform() { return "metal"; }
std::string requirement() { return "Metal 3 and a GPU of Apple's seventh family (M1) or above"; }

int32_t n_devices(std::string& reason) { return device_info(reason) != nullptr ? 1 : 0; }

Error device_properties(int32_t device, DeviceProperties& properties) {
  std::string reason;
  const DeviceInfo* info = device_info(reason);
  if (info == nullptr) return failed(reason);
  if (device != 0) return Error::kInvalidValue;
  // Metal does not say how many cores there are: 8 to 80.
  constexpr int32_t kCores = 20;
  properties = {info->name, info->n_bytes, kCores, info->is_usable, /*shares_host_memory=*/true};
  return Error::kNone;
}

std::string bus_id(int32_t) { return {}; }
Error choose_device(int32_t device) { return device == 0 ? Error::kNone : Error::kInvalidValue; }
Error current_device(int32_t& device) {
  device = 0;
  return Error::kNone;
}
Error synchronize_device() {
  Lock lock(runtime().mutex);
  drain_all(lock);
  return Error::kNone;  // what went wrong is said by its stream
}
size_t max_shared_bytes() { return 32 * 1024; }

// ---- memory

Error memory_info(size_t& n_free, size_t& n_total) {
  n_total = Memory::n_bytes();
  n_free = Memory::n_free();
  return Error::kNone;
}

namespace {

Error allocate(void*& data, size_t n_bytes, bool is_pinned) {
  const Lock lock(runtime().mutex);
  data = runtime().memory.add(n_bytes, is_pinned);
  return data == nullptr ? Error::kOutOfMemory : Error::kNone;
}

}  // namespace

Error allocate(void*& data, size_t n_bytes) { return allocate(data, n_bytes, false); }
Error release(void* data) {
  Lock lock(runtime().mutex);
  drain_all(lock);
  return runtime().memory.remove(data) ? Error::kNone : failed(kElsewhere);
}
Error allocate_pinned(void*& data, size_t n_bytes) { return allocate(data, n_bytes, true); }
Error release_pinned(void* data) { return release(data); }

Error lend(const void* data, size_t n_bytes, bool& is_lent) {
  const Lock lock(runtime().mutex);
  const Lending lending = runtime().memory.lend(data, n_bytes);
  is_lent = lending == Lending::kDone;
  return lending == Lending::kOutOfMemory ? Error::kOutOfMemory : Error::kNone;
}

int64_t device_address(const void* data) {
  if (data == nullptr) return 0;
  const Lock lock(runtime().mutex);
  return static_cast<int64_t>(runtime().memory.device_address(data));
}

// ---- streams

Error create_stream(Stream& stream) {
  stream = nullptr;
  Error error = Error::kNone;
  auto state = std::make_shared<StreamState>();
  state->commands = CommandStream::create(error);
  if (error != Error::kNone) return error;
  const Lock lock(runtime().mutex);
  stream = state.get();
  runtime().streams.push_back(std::move(state));
  return Error::kNone;
}

Error destroy_stream(Stream stream) {
  Lock lock(runtime().mutex);
  drain(lock, *stream);
  const Error error = stream->commands->take_error();
  for (auto& [n_bytes, pool] : stream->commands->pools()) {
    for (void* slab : pool.remove_free_slabs()) runtime().memory.remove(slab);
  }
  std::erase_if(runtime().streams, [&](const auto& known) { return known.get() == stream; });
  return error;
}

Error synchronize(Stream stream) {
  if (stream == nullptr) return Error::kNone;
  Lock lock(runtime().mutex);
  if (stream->commands->is_recording()) return failed(kRecording);
  drain(lock, *stream);
  return stream->commands->take_error();
}

Error create_mark(Mark& mark) {
  mark = new MarkState;
  return Error::kNone;
}
Error destroy_mark(Mark mark) {
  delete mark;
  return Error::kNone;
}

/// Lets what is before it start.
Error set_mark(Mark mark, Stream stream) {
  const Lock lock(runtime().mutex);
  if (stream->commands->is_recording()) return failed(kRecording);
  const auto lists = stream->commands->commit();
  mark->list = lists.empty() ? nullptr : lists.back();
  return Error::kNone;
}

/// What goes wrong is kept for whoever asks the stream, too.
Error wait(Mark mark) { return mark->list == nullptr ? Error::kNone : metal::CommandStream::wait(mark->list); }

Error allocate(Stream stream, void*& data, size_t n_bytes) {
  constexpr size_t kAlignment = 256;
  const Lock lock(runtime().mutex);
  CommandStream& commands = *stream->commands;
  const size_t n_block_bytes = (std::max(n_bytes, size_t{1}) + kAlignment - 1) / kAlignment * kAlignment;
  BlockPool& pool = commands.pool(n_block_bytes);
  data = pool.take();
  if (data == nullptr) {
    size_t n_slab_bytes = pool.n_slab_bytes();
    void* slab = runtime().memory.add(n_slab_bytes, false);
    if (slab == nullptr) slab = runtime().memory.add(n_slab_bytes = n_block_bytes, false);
    if (slab == nullptr) return Error::kOutOfMemory;
    pool.add_slab(slab, n_slab_bytes);
    data = pool.take();
  }
  commands.block_bytes()[data] = n_block_bytes;
  return Error::kNone;
}

/// Who gets it next uses it in the stream's order.
Error release(Stream stream, void* data) {
  const Lock lock(runtime().mutex);
  CommandStream& commands = *stream->commands;
  const auto taken = commands.block_bytes().find(data);
  if (taken == commands.block_bytes().end()) return failed(kElsewhere);
  commands.pool(taken->second).give(data);
  commands.block_bytes().erase(taken);
  return Error::kNone;
}

Error keep_released_memory(bool is_kept) {
  Lock lock(runtime().mutex);
  if (!is_kept) release_free_slabs(lock);
  return Error::kNone;
}

// ---- copies

Error copy(void* to, const void* from, size_t n_bytes, Copy direction) {
  const Lock lock(runtime().mutex);
  Place to_place, from_place;
  if (n_bytes == 0) return Error::kNone;
  if (!find_ends(to, from, n_bytes, direction, to_place, from_place)) return failed(kElsewhere);
  copy_by_host(to_place, to, from, n_bytes);
  return Error::kNone;
}

Error copy(Stream stream, void* to, const void* from, size_t n_bytes, Copy direction) {
  Lock lock(runtime().mutex);
  Place to_place, from_place;
  if (n_bytes == 0) return Error::kNone;
  if (!find_ends(to, from, n_bytes, direction, to_place, from_place)) return failed(kElsewhere);
  if (is_for_commands(to_place, n_bytes) && is_for_commands(from_place, n_bytes))
    return stream->commands->add(runtime().memory, CopyCommand{to_place, from_place, n_bytes});
  if (stream->commands->is_recording()) return failed(kRecording);
  drain(lock, *stream);
  copy_by_host(to_place, to, from, n_bytes);
  return Error::kNone;
}

Error copy_runs(void* to, const void* from, size_t pitch, size_t width, size_t n_runs) {
  for (size_t run = 0; run < n_runs; ++run) {
    const Error error = copy(static_cast<std::byte*>(to) + run * width,
                             static_cast<const std::byte*>(from) + run * pitch, width, Copy::kToDevice);
    if (error != Error::kNone) return error;
  }
  return Error::kNone;
}

Error fill(void* data, uint8_t byte, size_t n_bytes) {
  const Lock lock(runtime().mutex);
  if (n_bytes == 0) return Error::kNone;
  const Place place = runtime().memory.find(data, n_bytes);
  if (!can_write(place)) return failed(kElsewhere);
  metal::fill(*place.buffer, place.offset, byte, n_bytes);
  return Error::kNone;
}

Error fill(Stream stream, void* data, uint8_t byte, size_t n_bytes) {
  Lock lock(runtime().mutex);
  if (n_bytes == 0) return Error::kNone;
  const Place place = runtime().memory.find(data, n_bytes);
  if (!can_write(place)) return failed(kElsewhere);
  if (is_for_commands(place, n_bytes))
    return stream->commands->add(runtime().memory, FillCommand{place, byte, n_bytes});
  if (stream->commands->is_recording()) return failed(kRecording);
  drain(lock, *stream);
  metal::fill(*place.buffer, place.offset, byte, n_bytes);
  return Error::kNone;
}

Error time_copy(void* to, const void* from, size_t n_bytes, float& ms) {
  Stream stream = nullptr;
  if (const Error error = create_stream(stream); error != Error::kNone) return error;
  const auto begin = std::chrono::steady_clock::now();
  const Error issued = copy(stream, to, from, n_bytes, Copy::kOnDevice);
  const Error done = synchronize(stream);
  ms = std::chrono::duration<float, std::milli>(std::chrono::steady_clock::now() - begin).count();
  destroy_stream(stream);
  return issued != Error::kNone ? issued : done;
}

// ---- work that was recorded

Error begin_recording(Stream stream) {
  const Lock lock(runtime().mutex);
  stream->commands->begin_recording();
  return Error::kNone;
}

Error end_recording(Stream stream, Recording& recording) {
  const Lock lock(runtime().mutex);
  recording = new RecordingState{stream->commands->end_recording()};
  return Error::kNone;
}

Error replay(Recording recording, Stream stream) {
  const Lock lock(runtime().mutex);
  return stream->commands->add_all(runtime().memory, recording->commands);
}

Error destroy_recording(Recording recording) {
  delete recording;
  return Error::kNone;
}

}  // namespace outpost::gpu
