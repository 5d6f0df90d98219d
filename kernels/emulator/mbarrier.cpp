#include "kernels/emulator/mbarrier.h"

#include <cstdlib>
#include <utility>

#include "kernels/emulator/simt.h"

namespace outpost::emulator {
namespace {

/// The object's bits are the device's own affair: these show that nobody has written over it.
constexpr uint64_t kObjectBits = 0x6d62617272696572u;
/// The largest pending count and tx-count.
constexpr uint32_t kMaxCount = (1u << 20) - 1;

[[noreturn]] void fail(FaultKind kind, const std::string& what, Pointer<uint64_t> at) {
  throw Fault(kind, describe_thread() + " " + what + " at byte " + std::to_string(at.offset()) + " of `" +
                        at.region()->name() + "`");
}

bool is_same(Pointer<uint64_t> a, Pointer<uint64_t> b) { return a.region() == b.region() && a.offset() == b.offset(); }

}  // namespace

Mbarriers::Mbarrier& Mbarriers::find(Pointer<uint64_t> at) {
  const uint64_t bits = *Pointer<const uint64_t>(at);  // as any access, ordered after init
  for (Mbarrier& mbarrier : mbarriers_)
    if (bits == kObjectBits && is_same(mbarrier.at, at)) return mbarrier;
  fail(FaultKind::kMbarrier, "uses what is no mbarrier", at);
}

void Mbarriers::init(Pointer<uint64_t> at, uint32_t n_arrivals) {
  for (const Mbarrier& mbarrier : mbarriers_)
    if (is_same(mbarrier.at, at)) fail(FaultKind::kMbarrier, "initializes again the mbarrier", at);
  if (n_arrivals < 1 || n_arrivals > kMaxCount)
    fail(FaultKind::kMbarrier, "wants " + std::to_string(n_arrivals) + " arrivals for the mbarrier", at);
  *at = kObjectBits;
  mbarriers_.push_back({at, order_.bulk_copies_of(mbarriers_.size()), thread_index(), n_arrivals, n_arrivals});
}

void Mbarriers::publish() {
  for (Mbarrier& mbarrier : mbarriers_) mbarrier.is_published |= mbarrier.initialized == thread_index();
}

void Mbarriers::count_bytes(Mbarrier& mbarrier, int64_t n) {
  mbarrier.n_bytes += n;
  if (std::abs(mbarrier.n_bytes) > int64_t{kMaxCount})
    fail(FaultKind::kMbarrier, "counts more bytes than there can be for the mbarrier", mbarrier.at);
}

void Mbarriers::count_arrival(Mbarrier& mbarrier) {
  if (mbarrier.n_missing == 0)
    fail(FaultKind::kMbarrier, "arrives after all that were announced for the mbarrier", mbarrier.at);
  --mbarrier.n_missing;
  end_phase_if_complete(mbarrier);
}

void Mbarriers::end_phase_if_complete(Mbarrier& mbarrier) {
  if (mbarrier.n_missing > 0 || mbarrier.n_bytes != 0) return;
  ++mbarrier.phase;
  mbarrier.n_missing = mbarrier.n_arrivals;
  mbarrier.arrived.raise(mbarrier.agent, mbarrier.phase);
  mbarrier.over = mbarrier.arrived.take();
  for (const int thread : std::exchange(mbarrier.waiting, {})) wake(thread);
}

void Mbarriers::arrive(Pointer<uint64_t> at, uint32_t n_expected_bytes) {
  Mbarrier& mbarrier = find(at);
  mbarrier.arrived.add(order_.clock_of(thread_index()));
  order_.advance(thread_index());
  count_bytes(mbarrier, n_expected_bytes);
  count_arrival(mbarrier);
}

void Mbarriers::arrive_for_copies(Pointer<uint64_t> at, uint32_t last) {
  Mbarrier& mbarrier = find(at);
  mbarrier.arrived.raise(order_.copies_of(thread_index()), last);
  count_arrival(mbarrier);
}

void Mbarriers::wait(Pointer<uint64_t> at, uint32_t parity) {
  Mbarrier& mbarrier = find(at);
  while (mbarrier.phase % 2 == parity) {
    mbarrier.waiting.push_back(thread_index());
    sleep_until_woken();
  }
  order_.see(thread_index(), mbarrier.over);
}

void Mbarriers::copy(Pointer<uint8_t> to, Pointer<const uint8_t> from, uint32_t n_bytes, Pointer<uint64_t> at) {
  Mbarrier& mbarrier = find(at);
  if (!mbarrier.is_published) fail(FaultKind::kMbarrier, "starts a copy for the unpublished mbarrier", at);
  if (n_bytes % 16 != 0 || to.offset() % 16 != 0 || from.offset() % 16 != 0)
    throw Fault(FaultKind::kMisaligned, describe_thread() + " starts a bulk copy of " + std::to_string(n_bytes) +
                                            " bytes, not all multiples of 16");
  AccessClock clock = access_clock();
  clock.thread = kNoThread;
  clock.agent = static_cast<uint16_t>(mbarrier.agent);
  clock.time = mbarrier.phase + 1;
  const std::byte* source = from.access_many(n_bytes, are_results_shown() ? Access::kRead : Access::kReadConstant);
  std::memcpy(to.region()->access(to.offset(), n_bytes, Access::kWrite, clock), source, n_bytes);
  count_bytes(mbarrier, -int64_t{n_bytes});
  end_phase_if_complete(mbarrier);
}

std::string Mbarriers::describe_waiting() const {
  for (const Mbarrier& mbarrier : mbarriers_) {
    if (mbarrier.waiting.empty()) continue;
    return "thread " + std::to_string(mbarrier.waiting.front()) + " waits for phase " + std::to_string(mbarrier.phase) +
           " of the mbarrier at byte " + std::to_string(mbarrier.at.offset()) + " of `" + mbarrier.at.region()->name() +
           "`, which lacks " + std::to_string(mbarrier.n_missing) + " arrivals and " +
           std::to_string(mbarrier.n_bytes) + " bytes";
  }
  return {};
}

}  // namespace outpost::emulator
