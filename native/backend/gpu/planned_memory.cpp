#include "backend/gpu/planned_memory.h"

#include <mutex>
#include <set>

namespace outpost {
namespace {

struct Known {
  std::mutex mutex;
  std::set<const PlannedMemory*> all;
};

Known& known() {
  static Known& instance = *new Known;  // for models that are there when the process ends
  return instance;
}

}  // namespace

PlannedMemory::PlannedMemory(int32_t device, uint64_t n_bytes) : device_(device), n_bytes_(n_bytes) {
  const std::lock_guard lock(known().mutex);
  known().all.insert(this);
}

PlannedMemory::~PlannedMemory() {
  const std::lock_guard lock(known().mutex);
  known().all.erase(this);
}

uint64_t PlannedMemory::outstanding() const {
  const uint64_t n_taken = n_taken_;
  return n_taken < n_bytes_ ? n_bytes_ - n_taken : 0;
}

uint64_t PlannedMemory::outstanding(int32_t device) {
  const std::lock_guard lock(known().mutex);
  uint64_t sum = 0;
  for (const PlannedMemory* plan : known().all) sum += plan->device_ == device ? plan->outstanding() : 0;
  return sum;
}

}  // namespace outpost
