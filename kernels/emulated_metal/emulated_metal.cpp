#include "kernels/emulated_metal/emulated_metal.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "kernels/emulated_device/emulated_device.h"
#include "kernels/emulated_metal/kernel_calls.h"
#include "kernels/emulator/allocations.h"
#include "kernels/emulator/simt.h"

namespace outpost::metal {

using emulator::Fault;
using emulator::FaultKind;
using emulator::Region;

namespace {

// Metal feature set tables.
constexpr size_t kMostArguments = 31, kMostValueBytes = 4096;
/// Of what the device calls an address, beyond what the host calls it: who mixes them up finds nothing.
constexpr int64_t kAddressShift = int64_t{1} << 50;

struct EmulatedBuffer : Buffer {
  Region* region;
};
struct EmulatedPipeline : Pipeline {
  std::string name;
};

[[noreturn]] void fail(const std::string& what) { throw Fault(FaultKind::kBadLaunch, what); }

}  // namespace

struct Queue {
  std::deque<CommandList*> committed;  // and not done
  int n_lists = 0;
};

struct CommandList {
  Queue& queue;
  std::vector<std::function<void()>> work;
  std::set<const Buffer*> buffers, used;  // that its work has, and that it may find by addresses
  bool is_committed = false, is_done = false;
  Outcome outcome = Outcome::kDone;
  std::string reason;
};

namespace {

struct Device {
  emulator::Allocations allocations{kAddressShift};
  size_t n_recommended = size_t{1} << 30;  // which Metal does not enforce
  DeviceInfo info{"Emulated", 0, 0, true};
  std::map<std::string, EmulatedPipeline> pipelines;
  std::set<std::string> dispatched;
  uint64_t n_dispatches = 0;
  std::set<const Buffer*> buffers;
  std::set<CommandList*> lists;
  const CommandList* running = nullptr;
  std::optional<std::pair<Outcome, std::string>> next_failure;
  bool is_lost = false;

  Device() { allocations.set_n_bytes(SIZE_MAX); }
};

Region* find_by_kernel(int64_t address, int64_t& offset);

Device& device() {
  static Device& instance = *new Device;  // others' memory may be given up when the process ends
  emulator::find_address = find_by_kernel;
  return instance;
}

Region* find_by_kernel(int64_t address, int64_t& offset) {
  Device& d = device();
  Region* region = d.allocations.find(address, offset);
  if (region == nullptr || d.running == nullptr) return nullptr;
  const auto is_it = [&](const Buffer* buffer) { return static_cast<const EmulatedBuffer*>(buffer)->region == region; };
  if (std::none_of(d.running->used.begin(), d.running->used.end(), is_it))
    fail("a kernel finds a buffer by its address that its list does not name");
  return region;
}

/// Work of a list that has this buffer, at n_bytes from `offset`.
Region& regioned(CommandList& list, const Buffer& buffer, size_t offset, size_t n_bytes) {
  if (list.is_committed) fail("work is added to a list that was committed");
  if (!device().buffers.contains(&buffer)) fail("work has a buffer that is not there");
  if (offset % 4 != 0 || n_bytes % 4 != 0) fail("a buffer is taken at no multiple of 4");
  if (offset >= buffer.n_bytes || n_bytes > buffer.n_bytes - offset) fail("work goes beyond a buffer");
  list.buffers.insert(&buffer);
  return *static_cast<const EmulatedBuffer&>(buffer).region;
}

void run(CommandList& list) {
  Device& d = device();
  const auto work = std::exchange(list.work, {});
  list.is_done = true;  // also if it fails: what is behind is not done then
  list.buffers.clear();
  if (d.is_lost) {
    list.outcome = Outcome::kFailed;
    list.reason = "the emulated device is lost";
    return;
  }
  if (d.next_failure) {
    std::tie(list.outcome, list.reason) = *std::exchange(d.next_failure, std::nullopt);
    return;
  }
  struct Running {
    explicit Running(const CommandList& l) { device().running = &l; }
    ~Running() { device().running = nullptr; }
  } running(list);
  for (const auto& one : work) one();
}

}  // namespace

const DeviceInfo* device_info(std::string&) {
  Device& d = device();
  d.info.n_bytes = d.info.n_most_bytes = d.n_recommended;
  return &d.info;
}

size_t bytes_in_use() { return device().allocations.n_used(); }

// ---- memory

Buffer* create_buffer(size_t n_bytes, bool is_pinned) {
  if (n_bytes == 0) fail("a buffer of nothing is made");
  Device& d = device();
  Region* region = d.allocations.add(n_bytes, is_pinned ? emulator::RegionKind::kValues : emulator::RegionKind::kEmpty,
                                     /*is_counted=*/true);
  if (region == nullptr) return nullptr;
  auto* buffer = new EmulatedBuffer;
  buffer->contents = region->data();
  buffer->address = static_cast<uint64_t>(d.allocations.address_of(*region));
  buffer->n_bytes = n_bytes;
  buffer->region = region;
  d.buffers.insert(buffer);
  return buffer;
}

void destroy_buffer(Buffer* buffer) {
  Device& d = device();
  for (const CommandList* list : d.lists) {
    if (list->buffers.contains(buffer)) fail("a buffer is given up that work which is not done has");
  }
  d.buffers.erase(buffer);
  d.allocations.remove(static_cast<int64_t>(buffer->address));
  delete static_cast<EmulatedBuffer*>(buffer);
}

void write(Buffer& buffer, size_t offset, const void* from, size_t n_bytes) {
  if (offset + n_bytes > buffer.n_bytes) fail("the host writes beyond a buffer");
  std::memmove(buffer.contents + offset, from, n_bytes);
  static_cast<EmulatedBuffer&>(buffer).region->set_written(static_cast<int64_t>(offset), n_bytes);
}

void fill(Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes) {
  write(buffer, offset, std::vector<uint8_t>(n_bytes, byte).data(), n_bytes);
}

// ---- kernels

const Pipeline* find_pipeline(const std::string& name, std::string& reason) {
  if (!emulator::is_kernel(name)) {
    reason = "the emulator lacks it";
    return nullptr;
  }
  EmulatedPipeline& pipeline = device().pipelines[name];
  pipeline.name = name;
  pipeline.n_most_threads = emulator::kMaxThreads;
  return &pipeline;
}

// ---- work

Queue* create_queue(std::string&) { return new Queue; }

void destroy_queue(Queue* queue) {
  if (queue->n_lists > 0) fail("a queue is given up before its lists");
  delete queue;
}

CommandList* begin_list(Queue& queue, std::string&) {
  auto* list = new CommandList{queue, {}, {}, {}, false, false, Outcome::kDone, {}};
  ++queue.n_lists;
  device().lists.insert(list);
  return list;
}

void use(CommandList& list, const Buffer& buffer) {
  regioned(list, buffer, 0, 0);
  list.used.insert(&buffer);
}

void dispatch(CommandList& list, const Dispatch& work) {
  if (work.arguments.size() > kMostArguments) fail("a kernel is given too many arguments");
  if (work.n_threads > static_cast<uint32_t>(work.pipeline->n_most_threads)) fail("a threadgroup has too many threads");
  std::vector<emulator::BoundArgument> bound;
  for (const Argument& a : work.arguments) {
    if (a.n_bytes > kMostValueBytes) fail("a kernel is given a value of too many bytes");
    if (a.n_bytes > 0)
      bound.push_back({nullptr, 0, work.bytes.data() + a.offset, a.n_bytes});
    else if (a.buffer == nullptr)
      bound.push_back({});
    else
      bound.push_back({&regioned(list, *a.buffer, a.offset, 0), static_cast<int64_t>(a.offset), nullptr, 0});
  }
  emulator::LaunchConfig config;
  config.n_blocks = {static_cast<int32_t>(work.n_groups[0]), static_cast<int32_t>(work.n_groups[1]),
                     static_cast<int32_t>(work.n_groups[2])};
  config.n_threads = static_cast<int32_t>(work.n_threads);
  config.schedule = emulator::Schedule::kRandom;
  config.seed = ++device().n_dispatches;
  const std::string& name = static_cast<const EmulatedPipeline*>(work.pipeline)->name;
  device().dispatched.insert(name);
  list.work.push_back([config, call = emulator::kernel_call(name, bound)] { emulator::launch(config, call); });
}

void copy(CommandList& list, Buffer& to, size_t to_offset, const Buffer& from, size_t from_offset, size_t n_bytes) {
  if (n_bytes == 0) fail("nothing is copied");
  Region& target = regioned(list, to, to_offset, n_bytes);
  Region& source = regioned(list, from, from_offset, n_bytes);
  list.work.push_back([&target, &source, to_offset, from_offset, n_bytes] {
    std::memmove(target.data() + to_offset, source.data() + from_offset, n_bytes);
    target.copy_state(static_cast<int64_t>(to_offset), source, static_cast<int64_t>(from_offset), n_bytes);
  });
}

void fill(CommandList& list, Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes) {
  if (n_bytes == 0) fail("nothing is filled");
  regioned(list, buffer, offset, n_bytes);
  list.work.push_back([&buffer, offset, byte, n_bytes] { fill(buffer, offset, byte, n_bytes); });
}

void commit(CommandList& list) {
  if (list.is_committed) fail("a list is committed twice");
  list.is_committed = true;
  list.queue.committed.push_back(&list);
}

Outcome wait(CommandList& list, std::string& reason) {
  if (!list.is_committed) fail("somebody waits for a list that was not committed");
  while (!list.is_done) {
    CommandList* next = list.queue.committed.front();
    list.queue.committed.pop_front();
    run(*next);
  }
  reason = list.reason;
  return list.outcome;
}

void destroy_list(CommandList* list) {
  if (list->is_committed && !list->is_done) fail("a list is given up before it is done");
  --list->queue.n_lists;
  device().lists.erase(list);
  delete list;
}

}  // namespace outpost::metal

namespace outpost::emulator {

void set_device_memory(size_t n_bytes) { metal::device().n_recommended = n_bytes; }
void lose_device(bool is_lost) { metal::device().is_lost = is_lost; }
size_t device_bytes_in_use() { return metal::device().allocations.n_used(); }
std::optional<uint64_t> replays() { return std::nullopt; }
std::optional<uint64_t> launches() { return std::nullopt; }
size_t n_waiting() {
  size_t n = 0;
  for (const metal::CommandList* list : metal::device().lists) n += list->work.size();
  return n;
}

void fail_next_list(metal::Outcome outcome, const std::string& reason) {
  metal::device().next_failure = {outcome, reason};
}

std::set<std::string> asked_kernels() {
  std::set<std::string> names;
  for (const auto& [name, pipeline] : metal::device().pipelines) names.insert(name);
  return names;
}

std::set<std::string> take_dispatched() { return std::exchange(metal::device().dispatched, {}); }

size_t live_buffers() { return metal::device().buffers.size(); }
size_t live_lists() { return metal::device().lists.size(); }

}  // namespace outpost::emulator
