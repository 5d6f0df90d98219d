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
  size_t region_offset = 0;  ///< of pages that were lent: where what is read begins

  size_t region_end() const { return region_offset + std::min(region->size_bytes(), n_bytes); }
  bool is_lent() const { return region->kind() == emulator::RegionKind::kInput; }
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
  DeviceInfo info{"Emulated", 0, 0, /*n_page_bytes=*/16384, true};
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

struct RegionPlace {
  Region& region;
  size_t offset;
};

/// Where work of a list finds this buffer's n_bytes from `offset`.
RegionPlace regioned(CommandList& list, const Buffer& buffer, size_t offset, size_t n_bytes) {
  if (list.is_committed) fail("work is added to a list that was committed");
  if (!device().buffers.contains(&buffer)) fail("work has a buffer that is not there");
  if (offset % 4 != 0 || n_bytes % 4 != 0) fail("a buffer is taken at no multiple of 4");
  const auto& emulated = static_cast<const EmulatedBuffer&>(buffer);
  const size_t begin = emulated.region_offset, end = emulated.region_end();
  if (offset < begin || offset >= end || n_bytes > end - offset) fail("work goes beyond a buffer");
  list.buffers.insert(&buffer);
  return {*emulated.region, offset - begin};
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

namespace {

/// A buffer that has this array `offset` bytes from its beginning. Null without an array.
Buffer* buffer_of(Region* region, size_t n_bytes, size_t offset) {
  if (region == nullptr) return nullptr;
  Device& d = device();
  auto* buffer = new EmulatedBuffer;
  buffer->contents = region->data() - offset;
  buffer->address = static_cast<uint64_t>(d.allocations.address_of(*region)) - offset;
  buffer->n_bytes = n_bytes;
  buffer->region = region;
  buffer->region_offset = offset;
  d.buffers.insert(buffer);
  return buffer;
}

}  // namespace

Buffer* create_buffer(size_t n_bytes, bool is_pinned) {
  if (n_bytes == 0) fail("a buffer of nothing is made");
  Device& d = device();
  Region* region = d.allocations.add(n_bytes, is_pinned ? emulator::RegionKind::kValues : emulator::RegionKind::kEmpty,
                                     /*is_counted=*/true);
  return buffer_of(region, n_bytes, 0);
}

Buffer* lend_pages(const std::byte* pages, size_t n_bytes, size_t offset, size_t n_read) {
  Device& d = device();
  if (reinterpret_cast<uintptr_t>(pages) % d.info.n_page_bytes != 0 || n_bytes % d.info.n_page_bytes != 0)
    fail("what is lent is not whole pages");
  if (n_read == 0 || offset > n_bytes || n_read > n_bytes - offset) fail("what is read is not in the pages");
  Region* region = d.allocations.lend({pages + offset, n_read});
  return buffer_of(region, n_bytes, offset);
}

void destroy_buffer(Buffer* buffer) {
  Device& d = device();
  for (const CommandList* list : d.lists) {
    if (list->buffers.contains(buffer)) fail("a buffer is given up that work which is not done has");
  }
  d.buffers.erase(buffer);
  auto* emulated = static_cast<EmulatedBuffer*>(buffer);
  d.allocations.remove(d.allocations.address_of(*emulated->region));
  delete emulated;
}

void write(Buffer& buffer, size_t offset, const void* from, size_t n_bytes) {
  auto& emulated = static_cast<EmulatedBuffer&>(buffer);
  if (offset + n_bytes > buffer.n_bytes) fail("the host writes beyond a buffer");
  if (emulated.is_lent()) fail("the host writes to memory that was lent");
  std::memmove(buffer.contents + offset, from, n_bytes);
  emulated.region->set_written(static_cast<int64_t>(offset), n_bytes);
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
  regioned(list, buffer, static_cast<const EmulatedBuffer&>(buffer).region_offset, 0);
  list.used.insert(&buffer);
}

namespace {

emulator::BoundArgument bound_array(CommandList& list, const Argument& a) {
  const RegionPlace place = regioned(list, *a.buffer, a.offset, 0);
  return {&place.region, static_cast<int64_t>(place.offset), nullptr, 0};
}

}  // namespace

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
      bound.push_back(bound_array(list, a));
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
  const RegionPlace target = regioned(list, to, to_offset, n_bytes);
  const RegionPlace source = regioned(list, from, from_offset, n_bytes);
  if (target.region.kind() == emulator::RegionKind::kInput) fail("a copy writes to lent memory");
  list.work.push_back([target, source, n_bytes] {
    std::memmove(target.region.data() + target.offset, source.region.data() + source.offset, n_bytes);
    target.region.copy_state(static_cast<int64_t>(target.offset), source.region, static_cast<int64_t>(source.offset),
                             n_bytes);
  });
}

void fill(CommandList& list, Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes) {
  if (n_bytes == 0) fail("nothing is filled");
  if (regioned(list, buffer, offset, n_bytes).region.kind() == emulator::RegionKind::kInput)
    fail("lent memory is filled");
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
bool refuse_device(int32_t, int32_t) { return false; }
void refuse_recordings(bool) {}
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
size_t lent_bytes() {
  size_t n = 0;
  for (const metal::Buffer* buffer : metal::device().buffers) {
    const auto* emulated = static_cast<const metal::EmulatedBuffer*>(buffer);
    if (emulated->is_lent()) n += emulated->region->size_bytes();
  }
  return n;
}

}  // namespace outpost::emulator
