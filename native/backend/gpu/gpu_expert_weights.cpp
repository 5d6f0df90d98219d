#include <cstring>

#include "backend/gpu/gpu_backend.h"
#include "quant/dequantize.h"

namespace outpost {

std::unique_ptr<Experts> GpuBackend::load_experts(const ExpertViews& views, const RouterParams& router, Gate gate) {
  if (router.n_expert > gpu::kMaxExperts || router.n_used > gpu::kMaxExpertsUsed) {
    throw EngineError(
        ErrorCode::kModelUnsupported,
        concat("Layer ", views.il, " has ", router.n_expert, " experts of which a token uses ", router.n_used,
               "; a GPU computes up to ", gpu::kMaxExperts, " and ", gpu::kMaxExpertsUsed, ". Choose the CPU."));
  }
  use();
  const int32_t n_expert = router.n_expert;
  // Of a merged matrix an expert's gate comes before its up.
  const auto runs_of = [&](const WeightView& view, size_t n_parts, size_t i_part) {
    const size_t pitch = view.bytes.size() / static_cast<size_t>(n_expert), width = pitch / n_parts;
    return ExpertRuns{view, view.bytes.data() + i_part * width, pitch, width,
                      view.n_rows / n_expert / static_cast<int64_t>(n_parts)};
  };
  const ExpertRuns gate_runs = runs_of(views.gate, views.is_merged ? 2 : 1, 0);
  const ExpertRuns up_runs = views.is_merged ? runs_of(views.gate, 2, 1) : runs_of(views.up, 1, 0);
  const ExpertRuns down_runs = runs_of(views.down, 1, 0);

  auto experts = std::make_unique<GpuExperts>();
  experts->il = views.il;
  experts->router = router;
  experts->gate_kind = gate;
  int32_t n_slots = expert_budget_.slots_of(n_expert, router.n_used);
  uint64_t one_bytes = 0;
  for (const ExpertRuns* runs : {&gate_runs, &up_runs, &down_runs}) {
    one_bytes += runs->device_bytes();
    if (runs->device_bytes() % 16 != 0) n_slots = n_expert;  // copies go by 16 bytes: no model of practical sizes
  }
  experts->gate = load_expert_matrix(gate_runs, n_expert, n_slots);
  experts->up = load_expert_matrix(up_runs, n_expert, n_slots);
  experts->down = load_expert_matrix(down_runs, n_expert, n_slots);
  const auto optional = [&](std::span<const float> values) { return values.empty() ? nullptr : upload(values); };
  experts->gate_bias = optional(views.gate_bias);
  experts->up_bias = optional(views.up_bias);
  experts->down_bias = optional(views.down_bias);
  experts->selection_bias = optional(views.selection_bias);
  if (n_slots < n_expert) {
    if (expert_counters_.size() == 0) {
      expert_counters_ = DeviceBytes(gpu::kSlotCounters * sizeof(int64_t), "counters of experts");
      check_gpu(gpu::fill(expert_counters_.data(), 0, expert_counters_.size()), "clearing counters");
      wait_for_copies();
    }
    experts->slots = std::make_unique<GpuSlotTable>(n_expert, n_slots, expert_counters_.as<int64_t>());
  }
  resident_expert_bytes_ += one_bytes * static_cast<uint64_t>(n_slots);
  expert_bytes_ += one_bytes * static_cast<uint64_t>(n_expert);
  return experts;
}

std::unique_ptr<GpuMatrix> GpuBackend::load_expert_matrix(const ExpertRuns& runs, int32_t n_expert, int32_t n_slots) {
  if (!can_dequantize(runs.view.type)) fail_unsupported(runs.view);
  if (n_slots < n_expert) return to_slots(runs, n_expert, n_slots);
  return to_device(runs.view, runs.first, runs.pitch, runs.width, runs.n_rows * n_expert);
}

std::unique_ptr<GpuMatrix> GpuBackend::to_slots(const ExpertRuns& runs, int32_t n_expert, int32_t n_slots) {
  const gpu::DeviceType type = runs.type();
  const int64_t n_rows = runs.n_rows * n_expert, n_elements = runs.n_rows * runs.view.n_cols;
  if (n_rows > INT32_MAX || runs.view.n_cols > INT32_MAX) fail_unsupported(runs.view);
  const size_t n_bytes = runs.device_bytes();
  auto host = std::make_unique<PinnedBytes>();
  std::byte* prepared = host->reserve(n_bytes * static_cast<size_t>(n_expert));
  DeviceBytes narrow, wide;
  if (type.is_wide) {
    narrow = DeviceBytes(runs.width, runs.view.name);
    wide = DeviceBytes(n_bytes, runs.view.name);
  }
  for (size_t e = 0; e < static_cast<size_t>(n_expert); ++e) {
    const std::byte* expert = runs.first + e * runs.pitch;
    if (!type.is_wide) {
      std::memcpy(prepared + e * n_bytes, expert, n_bytes);
      continue;
    }
    check_gpu(gpu::copy(stream_, narrow.data(), expert, runs.width, gpu::Copy::kToDevice), "copying a weight");
    launched(gpu::launch_widen(stream_, type.type, narrow.data(), wide.data(), n_elements), "widen");
    check_gpu(gpu::copy(stream_, prepared + e * n_bytes, wide.data(), n_bytes, gpu::Copy::kToHost),
              "preparing a weight");
  }
  DeviceBytes memory(n_bytes * static_cast<size_t>(n_slots), runs.view.name, &plan_);
  check_gpu(gpu::copy(stream_, memory.data(), prepared, memory.size(), gpu::Copy::kToDevice), "copying a weight");
  check_gpu(gpu::synchronize(stream_), "preparing a weight");
  weight_bytes_ += memory.size();
  if (gpu::takes_super_groups(type)) super_bytes_ += memory.size();
  return std::make_unique<GpuMatrix>(type, n_rows, runs.view.n_cols, std::move(memory), std::move(host));
}

/// On any thread. Passes go on meanwhile: what they count is there a moment later.
ExpertCacheStats GpuBackend::expert_cache_stats() const {
  ExpertCacheStats stats;
  stats.resident_bytes = resident_expert_bytes_;
  stats.total_bytes = expert_bytes_;
  stats.budget_bytes = UINT64_MAX;
  if (expert_counters_.size() == 0) return stats;
  stats.budget_bytes = expert_budget_.budget_bytes;
  int64_t counters[gpu::kSlotCounters] = {};
  check_gpu(gpu::choose_device(device_), "choosing the device");
  check_gpu(gpu::copy(counters, expert_counters_.data(), sizeof(counters), gpu::Copy::kToHost), "reading counters");
  stats.n_hits = static_cast<uint64_t>(counters[gpu::kSlotHits]);
  stats.n_misses = static_cast<uint64_t>(counters[gpu::kSlotMisses]);
  stats.n_evictions = static_cast<uint64_t>(counters[gpu::kSlotEvictions]);
  return stats;
}

}  // namespace outpost
