#include "kernels/launchers/launch.h"
#include "kernels/launchers/launchers.h"

namespace outpost::gpu {

Error launch_resolve_experts(Stream stream, const ExpertLists& lists, const SlotTable& table, const SlotPlan& plan,
                             const SlotParams& params) {
  if (params.n_expert > kMaxExperts || params.n_slots < 1 || params.n_slots > params.n_expert)
    return Error::kInvalidValue;
  const OverlappedLaunch launch(stream, Grid(1), kResolveThreads);
  return launch(resolve_experts, lists.tiles, lists.n_tiles, table.slot_of, table.expert_of, table.used_at,
                table.counters, plan.places, plan.copies, plan.n_copies, params);
}

Error launch_copy_experts(Stream stream, const ExpertCopy* copies, int32_t n_matrices, const SlotPlan& plan,
                          int32_t n_choices, int32_t n_slots, int32_t round) {
  if (n_matrices > kCopyMatrices) return Error::kInvalidValue;
  if (n_matrices == 0 || n_choices == 0) return Error::kNone;  // an empty grid is an error
  const uint32_t* from[kCopyMatrices] = {};
  uint32_t* to[kCopyMatrices] = {};
  CopyExpertsParams params{n_slots, round, {}};
  for (int32_t i = 0; i < n_matrices; ++i) {
    if (copies[i].n_bytes % 16 != 0) return Error::kInvalidValue;
    from[i] = static_cast<const uint32_t*>(copies[i].from);
    to[i] = static_cast<uint32_t*>(copies[i].to);
    params.n_words[i] = copies[i].n_bytes / 16;
  }
  const Grid grid(kCopyBlocks, n_choices < n_slots ? n_choices : n_slots, n_matrices);
  const OverlappedLaunch launch(stream, grid, kCopyThreads);
  return launch(copy_experts, from[0], from[1], from[2], plan.copies, plan.n_copies, to[0], to[1], to[2], params);
}

}  // namespace outpost::gpu
