#include "runtime/expert_budget.h"

#include <algorithm>

#include "core/strings.h"
#include "engine.h"

namespace outpost {

uint64_t expert_cache_budget(uint64_t expert_bytes, uint64_t other_bytes, std::optional<uint64_t> available) {
  if (!available.has_value()) return UINT64_MAX;
  const uint64_t rest = *available > other_bytes ? *available - other_bytes : 0;
  // Prepared for the kernels they take up to about an eighth more than in the file (packed_tiles.h).
  const uint64_t most = rest / 4 * 3;
  const bool fits = expert_bytes <= most - most / 8;
  return std::max<uint64_t>(fits ? most : rest / 2, 1);
}

uint64_t device_expert_budget(const DeviceNeed& need, uint64_t free_bytes) {
  if (need.total() <= free_bytes) return UINT64_MAX;
  const uint64_t other_bytes = need.total() - need.experts;
  return std::max<uint64_t>(free_bytes > other_bytes ? free_bytes - other_bytes : 0, 1);
}

void check_pinned_experts(const std::string& device, const DeviceNeed& need, uint64_t budget_bytes,
                          std::optional<uint64_t> available) {
  if (budget_bytes >= need.experts || !available.has_value()) return;
  if (need.experts <= *available - *available / 8) return;
  throw EngineError(
      ErrorCode::kOutOfMemory,
      concat("The experts take ", need.experts >> 20, " MiB, of which ", device, " has room for ", budget_bytes >> 20,
             ": all of them would have to stay in this machine's memory, of which ", *available >> 20,
             " MiB are available. Choose a smaller file, fewer layers on ", device, ", or the processor."));
}

}  // namespace outpost
