#include "kernels/emulated_device/emulated_device.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/emulated_device/device_launch.h"
#include "kernels/emulator/allocations.h"
#include "kernels/runtime/runtime.h"

using Work = std::vector<std::function<void()>>;

namespace outpost::gpu {

struct StreamState {
  int32_t device = 0;
  Work waiting;
  size_t n_done = 0;  // of all that was ever put into `waiting`
  bool is_recording = false;
  Work recorded;
};
struct RecordingState {
  std::shared_ptr<const Work> work;
};
struct MarkState {
  int32_t device = 0;
  Stream stream = nullptr;
  size_t n_before = 0;
};

}  // namespace outpost::gpu

namespace outpost::emulator {

using gpu::Copy;
using gpu::Error;
using gpu::StreamState;

namespace {

/// What is asked for does not go with recording.
constexpr Error kRecording{900};
constexpr Error kLost{700};
/// A stream, or a mark, is another device's.
constexpr Error kOthers{400};

struct Device {
  Allocations allocations;
  std::map<const Region*, int32_t> owners;  // of the memory that is a device's and not the host's
  std::vector<StreamState*> streams;
  std::optional<int32_t> computing;  // while a kernel runs
  bool is_lost = false, are_recordings_refused = false;
  std::array<Error, 2> refusals{};  // of each device
  uint64_t n_replays = 0, n_launches = 0;
};

/// Of each thread, which begins with the first.
thread_local int32_t current = 0;

int64_t address_of(const void* data) { return reinterpret_cast<intptr_t>(data); }

Device& device();

/// @throws Fault if a kernel runs on another device than the one whose memory this is
Region* reachable(Region* region) {
  const auto owner = device().owners.find(region);
  if (device().computing && owner != device().owners.end() && owner->second != *device().computing)
    throw Fault(FaultKind::kOutOfBounds, "a kernel is given memory of another device: `" + region->name() + "`");
  return region;
}

Device& device() {
  static Device instance;
  static const bool is_known = [] {
    find_address = [](int64_t address, int64_t& offset) {
      return reachable(device().allocations.find(address, offset));
    };
    return true;
  }();
  (void)is_known;
  return instance;
}

bool is_recording() {
  const auto& streams = device().streams;
  return std::any_of(streams.begin(), streams.end(), [](const StreamState* s) { return s->is_recording; });
}

/// Does the first n of what waits, also when a kernel fails: what is behind it then is not done.
void drain(StreamState& stream, size_t n) {
  const Work work = std::exchange(stream.waiting, {});
  stream.n_done += work.size();
  for (size_t i = 0; i < n; ++i) work[i]();
  stream.n_done -= work.size() - n;
  stream.waiting.assign(work.begin() + static_cast<std::ptrdiff_t>(n), work.end());
  end_launches();
}
void drain(StreamState& stream) { drain(stream, stream.waiting.size()); }

void drain_all() {
  for (StreamState* stream : device().streams) drain(*stream);
}

Region* add(void*& data, size_t n, RegionKind kind) {
  Region* region = device().allocations.add(n, kind, /*is_counted=*/kind != RegionKind::kValues);
  data = region != nullptr ? region->data() : nullptr;
  return region;
}

Error allocate_on(int32_t index, void*& data, size_t n) {
  data = nullptr;
  if (is_recording()) return kRecording;
  const Region* region = add(data, n, RegionKind::kEmpty);
  if (region == nullptr) return Error::kOutOfMemory;
  device().owners[region] = index;
  return Error::kNone;
}

void release(void* data) {
  int64_t offset = 0;
  device().owners.erase(device().allocations.find(address_of(data), offset));
  device().allocations.remove(address_of(data));
}

/// Where the device has n bytes. @throws Fault
Region* checked(const void* address, size_t n, int64_t& offset) {
  return device().allocations.at(address_of(address), n, offset);
}

void copy(void* to, const void* from, size_t n, Copy direction) {
  if (n == 0) return;
  int64_t to_offset = 0, from_offset = 0;
  Region* target = direction != Copy::kToHost ? checked(to, n, to_offset) : nullptr;
  Region* source = direction != Copy::kToDevice ? checked(from, n, from_offset) : nullptr;
  std::memmove(to, from, n);
  if (target == nullptr) return;
  if (source == nullptr)
    target->set_written(to_offset, n);
  else
    target->copy_state(to_offset, *source, from_offset, n);
}

}  // namespace

Region* region_at(const void* address, int64_t& offset) {
  return reachable(device().allocations.at(address_of(address), offset));
}

Error enqueue(gpu::Stream stream, std::function<void()> work) {
  if (device().is_lost) return kLost;
  if (stream == nullptr) {
    work();
  } else {
    (stream->is_recording ? stream->recorded : stream->waiting).push_back(std::move(work));
  }
  return Error::kNone;
}

Error enqueue_kernel(gpu::Stream stream, std::function<void()> kernel) {
  const int32_t index = stream != nullptr ? stream->device : current;
  if (index != current) return kOthers;
  return enqueue(stream, [index, kernel = std::move(kernel)] {
    struct Computing {
      explicit Computing(int32_t i) { device().computing = i; }
      ~Computing() { device().computing.reset(); }
    } computing(index);
    kernel();
  });
}

uint64_t next_seed() {
  static uint64_t n_seeds = 0;
  return ++n_seeds;
}
void set_device_memory(size_t n_bytes) { device().allocations.set_n_bytes(n_bytes); }
void lose_device(bool is_lost) { device().is_lost = is_lost; }
bool refuse_device(int32_t index, int32_t error) {
  device().refusals.at(static_cast<size_t>(index)) = static_cast<Error>(error);
  return true;
}
void refuse_recordings(bool are_refused) { device().are_recordings_refused = are_refused; }
size_t device_bytes_in_use() { return device().allocations.n_used(); }
std::optional<uint64_t> replays() { return device().n_replays; }
std::optional<uint64_t> launches() { return device().n_launches; }
void count_launch() { ++device().n_launches; }
size_t n_waiting() {
  size_t n = 0;
  for (const StreamState* stream : device().streams) n += stream->waiting.size();
  return n;
}

}  // namespace outpost::emulator

namespace outpost::gpu {

using namespace emulator;

std::string error_text(Error error) {
  switch (error) {
    case Error::kNone: return "no error";
    case Error::kInvalidValue: return "an invalid value";
    case Error::kOutOfMemory: return "out of memory";
    case Error::kTaken: return "unavailable";
    default: return "an emulated error";
  }
}

const char* platform() { return "cuda"; }
std::string requirement() { return "emulation"; }
int32_t n_devices(std::string&) { return static_cast<int32_t>(device().refusals.size()); }
Error device_properties(int32_t index, DeviceProperties& properties) {
  properties = {"Emulated", device().allocations.n_bytes(), 2, true, false};
  return device().refusals.at(static_cast<size_t>(index));
}
std::string bus_id(int32_t) { return {}; }
Error choose_device(int32_t index) {
  if (const Error error = device().refusals.at(static_cast<size_t>(index)); error != Error::kNone) return error;
  current = index;
  return Error::kNone;
}
Error current_device(int32_t& index) {
  index = current;
  return Error::kNone;
}
Error synchronize_device() {
  drain_all();
  return Error::kNone;
}
size_t max_shared_bytes() { return 163 * 1024; }  // as of 8.0

Error memory_info(size_t& n_free, size_t& n_total) {
  n_total = device().allocations.n_bytes();
  n_free = n_total - device().allocations.n_used();
  return Error::kNone;
}
Error allocate(void*& data, size_t n_bytes) { return allocate_on(current, data, n_bytes); }
Error release(void* data) {
  drain_all();
  emulator::release(data);
  return Error::kNone;
}
Error allocate_pinned(void*& data, size_t n_bytes) {
  data = nullptr;
  if (is_recording()) return kRecording;
  return add(data, n_bytes, RegionKind::kValues) != nullptr ? Error::kNone : Error::kOutOfMemory;
}
Error release_pinned(void* data) { return release(data); }
Error lend(const void*, size_t, bool& is_lent) {
  is_lent = false;
  return Error::kNone;
}

int64_t device_address(const void* data) { return address_of(data); }

Error create_stream(Stream& stream) {
  stream = new StreamState;
  stream->device = current;
  device().streams.push_back(stream);
  return Error::kNone;
}
Error destroy_stream(Stream stream) {
  drain(*stream);
  std::erase(device().streams, stream);
  delete stream;
  return Error::kNone;
}
Error synchronize(Stream stream) {
  if (stream == nullptr) return Error::kNone;
  if (stream->is_recording) return kRecording;
  drain(*stream);
  return Error::kNone;
}
Error create_mark(Mark& mark) {
  mark = new MarkState;
  mark->device = current;
  return Error::kNone;
}
Error destroy_mark(Mark mark) {
  delete mark;
  return Error::kNone;
}
Error set_mark(Mark mark, Stream stream) {
  if (stream->is_recording) return kRecording;
  if (mark->device != stream->device) return kOthers;
  *mark = {mark->device, stream, stream->n_done + stream->waiting.size()};
  return device().is_lost ? kLost : Error::kNone;
}
Error wait(Mark mark) {
  if (mark->stream == nullptr || mark->n_before <= mark->stream->n_done) return Error::kNone;
  if (mark->stream->is_recording) return kRecording;
  drain(*mark->stream, mark->n_before - mark->stream->n_done);
  return Error::kNone;
}

Error allocate(Stream stream, void*& data, size_t n_bytes) { return allocate_on(stream->device, data, n_bytes); }
Error release(Stream stream, void* data) {
  return enqueue(stream, [data] { emulator::release(data); });
}
Error keep_released_memory(bool) { return Error::kNone; }

Error copy(void* to, const void* from, size_t n_bytes, Copy direction) {
  if (device().is_lost) return kLost;
  emulator::copy(to, from, n_bytes, direction);
  return Error::kNone;
}
Error copy(Stream stream, void* to, const void* from, size_t n_bytes, Copy direction) {
  return enqueue(stream, [=] { emulator::copy(to, from, n_bytes, direction); });
}
Error copy_runs(void* to, const void* from, size_t pitch, size_t width, size_t n_runs) {
  for (size_t run = 0; run < n_runs; ++run) {
    emulator::copy(static_cast<std::byte*>(to) + run * width, static_cast<const std::byte*>(from) + run * pitch, width,
                   Copy::kToDevice);
  }
  return Error::kNone;
}
Error fill(void* data, uint8_t byte, size_t n_bytes) {
  int64_t offset = 0;
  Region* region = checked(data, n_bytes, offset);
  std::memset(data, byte, n_bytes);
  region->set_written(offset, n_bytes);
  return Error::kNone;
}
Error fill(Stream stream, void* data, uint8_t byte, size_t n_bytes) {
  return enqueue(stream, [=] { fill(data, byte, n_bytes); });
}
Error time_copy(void* to, const void* from, size_t n_bytes, float& ms) {
  ms = 1;
  return copy(to, from, n_bytes, Copy::kOnDevice);
}

Error begin_recording(Stream stream) {
  stream->is_recording = true;
  stream->recorded.clear();
  return Error::kNone;
}
Error end_recording(Stream stream, Recording& recording) {
  stream->is_recording = false;
  Work recorded = std::exchange(stream->recorded, {});
  if (device().are_recordings_refused) return Error::kOutOfMemory;
  recording = new RecordingState{std::make_shared<const Work>(std::move(recorded))};
  return Error::kNone;
}
Error replay(Recording recording, Stream stream) {
  ++device().n_replays;
  return enqueue(stream, [work = recording->work] {
    for (const auto& one : *work) one();
  });
}
Error destroy_recording(Recording recording) {
  delete recording;
  return Error::kNone;
}

}  // namespace outpost::gpu
