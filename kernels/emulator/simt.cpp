#include "kernels/emulator/simt.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/emulator/async_block.h"
#include "kernels/emulator/fiber.h"

namespace outpost::emulator {
namespace {

std::string text_of(Site site) { return std::string(site.file) + ":" + std::to_string(site.line); }

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a schedule takes a number for each turn of a thread.
class Random {
 public:
  using result_type = uint64_t;
  explicit Random(uint64_t seed) : state_(seed) {}
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return UINT64_MAX; }
  uint64_t operator()() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  /// @pre n < 2^32
  size_t below(size_t n) { return static_cast<size_t>(((*this)() >> 32) * n >> 32); }

 private:
  uint64_t state_;
};

/// Threads that wait for others of their group to come to the same place.
struct Meeting {
  int n_arrived = 0;
  int first_thread = 0;
  Site site{};
  const char* what = "";

  void reset() { n_arrived = 0; }
};

struct Warp {
  Meeting meeting;
  uint32_t sync_epoch = 0;
  /// Two, because a lane may give its next value before the others have read the last ones.
  int side = 0;
  alignas(16) std::byte values[2][kWarpSize * kMaxExchangeBytes];
};

struct Thread {
  Fiber fiber;
  size_t n_shared = 0;      // arrays declared so far
  bool has_waited = false;  // for the launches before
  bool has_shown = false;   // their results to copies, since
};

/// Threads are kept from one launch to the next: their stacks are large.
std::vector<std::unique_ptr<Thread>>& thread_pool() {
  static std::vector<std::unique_ptr<Thread>> pool;
  return pool;
}

/// A launch that runs, and in it the block that runs.
class Run {
 public:
  Run(const LaunchConfig& config, const std::function<void()>& kernel);
  void run_blocks();
  static void end_launches() { last_ended = n_blocks_ever; }

  void wait_for_launches() {
    threads_[static_cast<size_t>(thread_)]->has_waited = true;
    has_waited_ = true;
  }

  void show_results() {
    Thread& thread = *threads_[static_cast<size_t>(thread_)];
    thread.has_shown = thread.has_waited;
  }
  bool are_results_shown() const { return threads_[static_cast<size_t>(thread_)]->has_shown; }

  void arrive_at_barrier(Site site);
  bool arrive_in_warp(const char* what, Site site);
  bool arrive_in_warpgroup(const char* what, Site site);
  const std::byte* exchange(const void* value, size_t n_bytes, Site site);
  void warp_sync(Site site);
  Region* declare_shared(const char* name, size_t size_bytes, size_t element_bytes);
  Region* shared_at(uint32_t address);
  void wake(int thread) { ready_.push_back(thread); }
  /// Lets others run until this thread is woken and has its turn.
  void sleep();
  AsyncBlock& async();

  const LaunchConfig& config() const { return config_; }
  Dim3 block() const { return block_; }
  int thread() const { return thread_; }
  AccessClock clock() {
    const auto thread = static_cast<uint16_t>(thread_);
    AccessClock clock{first_block_, block_number_, barrier_epoch_,
                      warps_[static_cast<size_t>(thread_ / kWarpSize)].sync_epoch, thread};
    if (config_.starts_early) clock.last_constant = last_ended;
    if (!threads_[static_cast<size_t>(thread_)]->has_waited) clock.last_ended = last_ended;
    if (async_) {
      clock.seen = &async_->order.clock_of(thread_);
      clock.agent = thread;
      clock.time = async_->order.time_of(thread_);
    }
    return clock;
  }

 private:
  void run_block(Dim3 block);
  void run_ready_threads();
  /// The next of `ready_` by the schedule.
  int take_ready();
  bool arrive_in(Meeting& meeting, int first, int n_threads, const char* what, Site site);
  void wait(Meeting& meeting, FaultKind kind, const char* what, Site site);
  [[noreturn]] void fail_divergence();

  static uint64_t n_blocks_ever, last_ended;

  const LaunchConfig& config_;
  std::function<void()> thread_body_;
  Random random_;
  std::vector<std::unique_ptr<Thread>>& threads_ = thread_pool();
  std::vector<Warp> warps_;
  std::vector<Meeting> warpgroups_;
  Meeting barrier_;
  uint32_t barrier_epoch_ = 0;
  std::vector<std::unique_ptr<Region>> shared_;
  size_t n_shared_ = 0;  // of shared_, those that this block has declared
  std::unique_ptr<AsyncBlock> async_;
  std::vector<int> ready_;
  size_t next_ready_ = 0;
  std::optional<Fault> fault_;
  std::exception_ptr other_exception_;
  Dim3 block_{};
  int thread_ = 0;
  uint64_t first_block_ = 0, block_number_ = 0;
  bool has_waited_ = false;  // any thread
};

uint64_t Run::n_blocks_ever = 1;  // 1 is the host (memory.cpp)
uint64_t Run::last_ended = 1;

Run* current = nullptr;

Run::Run(const LaunchConfig& config, const std::function<void()>& kernel) : config_(config), random_(config.seed) {
  const Dim3 n = config.n_blocks;
  if (config.n_threads < kWarpSize || config.n_threads > kMaxThreads || config.n_threads % kWarpSize != 0)
    throw Fault(FaultKind::kBadLaunch, "a block of " + std::to_string(config.n_threads) + " threads");
  // 65535 is CUDA's limit for y and z.
  if (n.x < 1 || n.y < 1 || n.z < 1 || n.y > 65535 || n.z > 65535)
    throw Fault(FaultKind::kBadLaunch, "a grid of " + std::to_string(n.x) + " x " + std::to_string(n.y) + " x " +
                                           std::to_string(n.z) + " blocks");
  if (config.max_shared_bytes > kMostSharedBytes)
    throw Fault(FaultKind::kBadLaunch, std::to_string(config.max_shared_bytes) + " bytes of shared memory");
  thread_body_ = [this, &kernel] {
    try {
      kernel();
    } catch (const Fault& fault) {
      if (!fault_) fault_ = fault;
    } catch (...) {
      if (!other_exception_) other_exception_ = std::current_exception();
    }
  };
  while (threads_.size() < static_cast<size_t>(config.n_threads)) threads_.push_back(std::make_unique<Thread>());
  warps_.resize(static_cast<size_t>(config.n_threads / kWarpSize));
  warpgroups_.resize(static_cast<size_t>((config.n_threads + kWarpgroupSize - 1) / kWarpgroupSize));
}

void Run::run_blocks() {
  const Dim3 n = config_.n_blocks;
  std::vector<int64_t> order(static_cast<size_t>(n.x) * static_cast<size_t>(n.y) * static_cast<size_t>(n.z));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  if (config_.schedule == Schedule::kReverse) std::reverse(order.begin(), order.end());
  if (config_.schedule == Schedule::kRandom) std::shuffle(order.begin(), order.end(), random_);
  first_block_ = n_blocks_ever + 1;
  if (!config_.starts_early) end_launches();
  for (const int64_t i : order) {
    run_block(
        {static_cast<int32_t>(i % n.x), static_cast<int32_t>(i / n.x % n.y), static_cast<int32_t>(i / n.x / n.y)});
  }
  if (config_.starts_early && !has_waited_)
    throw Fault(FaultKind::kTooEarly, "a launch ends without having waited for those before it");
}

void Run::run_block(Dim3 block) {
  block_ = block;
  block_number_ = ++n_blocks_ever;
  barrier_.reset();
  barrier_epoch_ = 0;
  n_shared_ = 0;
  async_.reset();
  for (Warp& warp : warps_) {
    warp.meeting.reset();
    warp.sync_epoch = 0;
  }
  for (Meeting& warpgroup : warpgroups_) warpgroup.reset();
  ready_.clear();
  next_ready_ = 0;
  for (int i = 0; i < config_.n_threads; ++i) {
    Thread& thread = *threads_[static_cast<size_t>(i)];
    thread.n_shared = 0;
    thread.has_waited = thread.has_shown = !config_.starts_early;
    thread.fiber.start(thread_body_);
    ready_.push_back(config_.schedule == Schedule::kReverse ? config_.n_threads - 1 - i : i);
  }
  run_ready_threads();
  const bool is_over = std::all_of(threads_.begin(), threads_.begin() + config_.n_threads,
                                   [](const std::unique_ptr<Thread>& thread) { return thread->fiber.is_finished(); });
  if (!is_over) fail_divergence();
}

void Run::run_ready_threads() {
  while (next_ready_ < ready_.size()) {
    thread_ = take_ready();
    Thread& thread = *threads_[static_cast<size_t>(thread_)];
    thread.fiber.resume();
    // The thread that runs last, which need not be the one that was resumed, is the one that ends or that all wait for.
    if (threads_[static_cast<size_t>(thread_)]->fiber.has_overflowed())
      throw Fault(FaultKind::kBadLaunch, describe_thread() + " needs more stack than the emulator has");
    if (other_exception_) std::rethrow_exception(other_exception_);
    if (fault_) throw *fault_;
  }
}

void Run::sleep() {
  if (next_ready_ == ready_.size()) return Fiber::suspend();
  const int next = take_ready();
  if (next == thread_) return;
  thread_ = next;
  Fiber::suspend_for(threads_[static_cast<size_t>(next)]->fiber);
}

int Run::take_ready() {
  if (config_.schedule == Schedule::kRandom) {
    const size_t n = ready_.size() - next_ready_;
    std::swap(ready_[next_ready_], ready_[next_ready_ + random_.below(n)]);
  }
  const int thread = ready_[next_ready_++];
  if (next_ready_ == ready_.size()) {
    ready_.clear();
    next_ready_ = 0;
  }
  return thread;
}

void Run::wait(Meeting& meeting, FaultKind kind, const char* what, Site site) {
  if (meeting.n_arrived == 0) {
    meeting.first_thread = thread_;
    meeting.site = site;
    meeting.what = what;
  } else if (!(meeting.site == site) || !is_same_text(meeting.what, what)) {
    throw Fault(kind, describe_thread() + " is at the " + what + " of " + text_of(site) + " while thread " +
                          std::to_string(meeting.first_thread) + " waits at the " + meeting.what + " of " +
                          text_of(meeting.site));
  }
  ++meeting.n_arrived;
}

void Run::arrive_at_barrier(Site site) {
  wait(barrier_, FaultKind::kBarrierDivergence, "barrier", site);
  if (barrier_.n_arrived < config_.n_threads) return sleep();
  barrier_.reset();
  ++barrier_epoch_;
  if (async_) async_->order.meet(0, config_.n_threads);
  // This thread goes on; the others become ready.
  for (int i = 0; i < config_.n_threads; ++i) {
    const int other = config_.schedule == Schedule::kReverse ? config_.n_threads - 1 - i : i;
    if (other != thread_) ready_.push_back(other);
  }
}

bool Run::arrive_in_warp(const char* what, Site site) {
  const int warp = thread_ / kWarpSize;
  return arrive_in(warps_[static_cast<size_t>(warp)].meeting, warp * kWarpSize, kWarpSize, what, site);
}

bool Run::arrive_in_warpgroup(const char* what, Site site) {
  const int group = thread_ / kWarpgroupSize;
  return arrive_in(warpgroups_[static_cast<size_t>(group)], group * kWarpgroupSize, kWarpgroupSize, what, site);
}

bool Run::arrive_in(Meeting& meeting, int first, int n_threads, const char* what, Site site) {
  wait(meeting, FaultKind::kWarpDivergence, what, site);
  if (meeting.n_arrived < n_threads) {
    sleep();
    return false;
  }
  meeting.reset();
  for (int i = 0; i < n_threads; ++i) {
    const int other = first + (config_.schedule == Schedule::kReverse ? n_threads - 1 - i : i);
    if (other != thread_) ready_.push_back(other);
  }
  return true;
}

const std::byte* Run::exchange(const void* value, size_t n_bytes, Site site) {
  Warp& warp = warps_[static_cast<size_t>(thread_ / kWarpSize)];
  std::byte* values = warp.values[warp.side];
  std::memcpy(values + static_cast<size_t>(thread_ % kWarpSize) * kMaxExchangeBytes, value, n_bytes);
  if (arrive_in_warp("exchange", site)) warp.side = 1 - warp.side;
  return values;
}

void Run::warp_sync(Site site) {
  Warp& warp = warps_[static_cast<size_t>(thread_ / kWarpSize)];
  if (!arrive_in_warp("warp sync", site)) return;
  ++warp.sync_epoch;
  if (async_) async_->order.meet(thread_ / kWarpSize * kWarpSize, kWarpSize);
}

Region* Run::declare_shared(const char* name, size_t size_bytes, size_t element_bytes) {
  const size_t i = threads_[static_cast<size_t>(thread_)]->n_shared++;
  const auto is_same = [&] {
    return shared_[i]->name() == name && shared_[i]->size_bytes() == size_bytes &&
           shared_[i]->element_bytes() == element_bytes;
  };
  if (i < n_shared_) {
    if (!is_same())
      throw Fault(FaultKind::kSharedMemory,
                  describe_thread() + " declares `" + name + "` where another thread has `" + shared_[i]->name() + "`");
    return shared_[i].get();
  }
  size_t sum = size_bytes;
  for (size_t k = 0; k < n_shared_; ++k) sum += shared_[k]->size_bytes();
  if (sum > config_.max_shared_bytes)
    throw Fault(FaultKind::kSharedMemory, "`" + std::string(name) + "` makes " + std::to_string(sum) +
                                              " bytes of shared memory, of " +
                                              std::to_string(config_.max_shared_bytes));
  ++n_shared_;
  if (i >= shared_.size() || !is_same()) {  // else it is that of the block before
    shared_.resize(i);
    shared_.push_back(std::make_unique<Region>(name, size_bytes, element_bytes, RegionKind::kShared));
  }
  // Addresses are multiples of 16 and no more, as for arrays of the language.
  constexpr size_t kFirstAddress = 16;
  const size_t end = i == 0 ? kFirstAddress : shared_[i - 1]->shared_address() + shared_[i - 1]->size_bytes();
  shared_[i]->start_block(static_cast<uint32_t>((end + 15) / 16 * 16));
  return shared_[i].get();
}

Region* Run::shared_at(uint32_t address) {
  for (size_t i = 0; i < n_shared_; ++i) {
    Region* region = shared_[i].get();
    if (address >= region->shared_address() && address - region->shared_address() < region->size_bytes()) return region;
  }
  return nullptr;
}

AsyncBlock& Run::async() {
  if (!async_) async_ = std::make_unique<AsyncBlock>(config_.n_threads);
  return *async_;
}

void Run::fail_divergence() {
  if (barrier_.n_arrived > 0)
    throw Fault(FaultKind::kBarrierDivergence,
                std::to_string(barrier_.n_arrived) + " of " + std::to_string(config_.n_threads) +
                    " threads wait at the barrier of " + text_of(barrier_.site) + "; the others never come there");
  const auto check = [](const Meeting& meeting, const char* group) {
    if (meeting.n_arrived > 0)
      throw Fault(FaultKind::kWarpDivergence, std::to_string(meeting.n_arrived) + " threads of a " + group +
                                                  " wait at the " + meeting.what + " of " + text_of(meeting.site) +
                                                  "; the others never come there");
  };
  for (const Warp& warp : warps_) check(warp.meeting, "warp");
  for (const Meeting& warpgroup : warpgroups_) check(warpgroup, "warpgroup");
  if (async_) {
    const std::string waiting = async_->mbarriers.describe_waiting();
    if (!waiting.empty()) throw Fault(FaultKind::kDeadlock, waiting);
  }
  throw Fault(FaultKind::kBadLaunch, "threads wait for nothing");  // a mistake in the emulator
}

}  // namespace

void launch(const LaunchConfig& config, const std::function<void()>& kernel) {
  Run run(config, kernel);
  struct Restore {
    ~Restore() { current = nullptr; }
  } restore;
  current = &run;
  run.run_blocks();
}

void end_launches() { Run::end_launches(); }

Dim3 block_index() { return current->block(); }
Dim3 grid_size() { return current->config().n_blocks; }
int32_t thread_index() { return current->thread(); }
int32_t block_size() { return current->config().n_threads; }
AccessClock access_clock() {
  // Between launches the host may see everything that was written.
  return current == nullptr ? AccessClock{.launch = UINT64_MAX} : current->clock();
}

std::string describe_thread() {
  if (current == nullptr) return "the host";
  const Dim3 block = current->block();
  return "thread " + std::to_string(current->thread()) + " of block (" + std::to_string(block.x) + ", " +
         std::to_string(block.y) + ", " + std::to_string(block.z) + ")";
}

std::string describe_agent(size_t agent) { return current->async().order.describe(agent); }

void wait_for_launches() { current->wait_for_launches(); }
void show_results() { current->show_results(); }
bool are_results_shown() { return current->are_results_shown(); }
void barrier(Site site) { current->arrive_at_barrier(site); }
void warp_sync(Site site) { current->warp_sync(site); }
const std::byte* exchange(const void* value, size_t n_bytes, Site site) {
  return current->exchange(value, n_bytes, site);
}
Region* declare_shared(const char* name, size_t size_bytes, size_t element_bytes) {
  return current->declare_shared(name, size_bytes, element_bytes);
}
Region* shared_at(uint32_t address) { return current->shared_at(address); }
AsyncBlock& async_block() { return current->async(); }
void sleep_until_woken() { current->sleep(); }
void wake(int32_t thread) { current->wake(thread); }
bool meet_in_warp(const char* what, Site site) { return current->arrive_in_warp(what, site); }
bool meet_in_warpgroup(const char* what, Site site) { return current->arrive_in_warpgroup(what, site); }

}  // namespace outpost::emulator
