#include "backend/stages.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "backend/kv_calibration.h"
#include "core/strings.h"

namespace outpost {
namespace {

/// The part of a format that is about the layers [begin, end).
KvFormat format_of(const KvFormat& format, int32_t begin, int32_t end) {
  KvFormat part = format;
  part.layers.assign(format.layers.begin() + begin, format.layers.begin() + end);
  if (format.calibration != nullptr) {
    auto calibration = std::make_shared<KvCalibration>(*format.calibration);
    const int32_t n_group = kv_group_count(calibration->shape);
    const auto& groups = format.calibration->groups;
    calibration->shape.n_layer = end - begin;
    calibration->groups.assign(groups.begin() + begin * n_group, groups.begin() + end * n_group);
    part.calibration = std::move(calibration);
  }
  return part;
}

}  // namespace

// ---- Stages

Stages::Stages(std::vector<std::unique_ptr<Backend>> backends, const std::vector<int32_t>& n_later) {
  assert(backends.size() == n_later.size() + 1);
  for (size_t i = 0; i < backends.size(); ++i) stages_.push_back({std::move(backends[i]), i == 0 ? 0 : n_later[i - 1]});
}

void Stages::set_layers(int32_t n_layer) {
  int32_t end = n_layer;
  for (size_t i = size(); i > 0; --i) {
    Stage& stage = stages_[i - 1];
    stage.end_layer = end;
    stage.first_layer = end = i == 1 ? 0 : end - stage.n_layer;
  }
  assert(stages_.front().end_layer >= 0);
}

size_t Stages::stage_of(int32_t il) const {
  size_t stage = size() - 1;
  while (il < first_layer(stage)) --stage;
  return stage;
}

std::string Stages::name() const {
  if (size() == 1) return first().name();
  std::string names;
  for (size_t i = 0; i < size(); ++i) {
    names += concat(i == 0 ? "" : ", ", backend(i).name(), i == 0 ? " for layers " : " for ", first_layer(i) + 1,
                    " to ", end_layer(i));
  }
  return names;
}

int32_t Stages::n_prefill() const {
  int32_t n = first().n_prefill();
  for (const Stage& stage : stages_) n = std::min(n, stage.backend->n_prefill());
  return n;
}

int32_t Stages::n_least_prefill() const {
  int32_t n = n_prefill();
  for (const Stage& stage : stages_) n = std::min(n, stage.backend->n_least_prefill());
  return n;
}

int32_t Stages::n_lone_prefill() const {
  int32_t n = n_prefill();
  for (const Stage& stage : stages_) n = std::min(n, stage.backend->n_lone_prefill());
  return n;
}

ExpertCacheStats Stages::expert_cache_stats() const {
  ExpertCacheStats sum;
  uint64_t budget = 0;
  for (const Stage& stage : stages_) {
    const ExpertCacheStats one = stage.backend->expert_cache_stats();
    // Only the first stage's may be without a limit: a further one's counts as what there is at most.
    const uint64_t part = &stage == &stages_.front() ? one.budget_bytes : std::min(one.budget_bytes, one.total_bytes);
    budget = part > UINT64_MAX - budget ? UINT64_MAX : budget + part;
    sum.n_hits += one.n_hits;
    sum.n_misses += one.n_misses;
    sum.n_evictions += one.n_evictions;
    sum.resident_bytes += one.resident_bytes;
    sum.total_bytes += one.total_bytes;
  }
  sum.budget_bytes = budget;
  return sum;
}

std::unique_ptr<KvStorage> Stages::alloc_kv(const KvShape& shape, int32_t n_page) {
  return alloc_kv(shape, kv_format(KvPreset::kExact, shape.n_layer), n_page);
}

std::unique_ptr<KvStorage> Stages::alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) {
  if (size() == 1) return first().alloc_kv(shape, format, n_page);
  assert(stages_.back().end_layer == shape.n_layer);
  if (format.statistics != nullptr) {
    throw EngineError(
        ErrorCode::kModelUnsupported,
        "Keys and values of a model that several devices share cannot be measured. Load it on the processor.");
  }
  std::vector<std::unique_ptr<KvStorage>> parts;
  for (const Stage& stage : stages_) {
    KvShape part = shape;
    part.n_layer = stage.end_layer - stage.first_layer;
    const KvFormat part_format = format_of(format, stage.first_layer, stage.end_layer);
    // A page is packed in all stages or in none.
    if (part_format.is_exact() != format.is_exact()) {
      throw EngineError(ErrorCode::kModelUnsupported,
                        "Devices that share a model keep all of its keys and values in f16, or none.");
    }
    parts.push_back(stage.backend->alloc_kv(part, part_format, n_page));
  }
  return std::make_unique<StagedKv>(std::move(parts));
}

// ---- StagedKv

size_t StagedKv::size_bytes() const {
  size_t sum = 0;
  for (const auto& stage : stages_) sum += stage->size_bytes();
  return sum;
}

size_t StagedKv::form_bytes(KvForm form) const {
  size_t sum = 0;
  for (const auto& stage : stages_) sum += stage->form_bytes(form);
  return sum;
}

bool StagedKv::has(int32_t page, KvForm form) const {
  return std::all_of(stages_.begin(), stages_.end(), [&](const auto& stage) { return stage->has(page, form); });
}

void StagedKv::drop(int32_t page, KvForm form) {
  for (const auto& stage : stages_) stage->drop(page, form);
}

bool StagedKv::copy_page(int32_t from, int32_t to) {
  return std::all_of(stages_.begin(), stages_.end(), [&](const auto& stage) { return stage->copy_page(from, to); });
}

size_t StagedKv::allocated_bytes() const {
  size_t sum = 0;
  for (const auto& stage : stages_) sum += stage->allocated_bytes();
  return sum;
}

bool StagedKv::read_form(int32_t page, KvForm form, std::span<std::byte> bytes) const {
  for (const auto& stage : stages_) {
    const size_t n = stage->form_bytes(form);
    if (!stage->read_form(page, form, bytes.first(n))) return false;
    bytes = bytes.subspan(n);
  }
  return true;
}

bool StagedKv::write_form(int32_t page, KvForm form, std::span<const std::byte> bytes) {
  for (const auto& stage : stages_) {
    const size_t n = stage->form_bytes(form);
    if (!stage->write_form(page, form, bytes.first(n))) return false;
    bytes = bytes.subspan(n);
  }
  return true;
}

std::span<float> HostResults::take(size_t n) {
  if (n == 0) return {};
  if (buffer_ == nullptr || buffer_->span().size() < n) {
    buffer_ = nullptr;  // not beside the next
    buffer_ = stages_.last().alloc_host(n);
  }
  return buffer_->span().first(n);
}

}  // namespace outpost
