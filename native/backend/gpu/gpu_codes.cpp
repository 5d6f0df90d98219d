#include "backend/gpu/gpu_codes.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "core/strings.h"

namespace outpost {
namespace {

static_assert(static_cast<int>(KvForm::kFresh) == gpu::kFreshForm);
static_assert(static_cast<int>(KvForm::kPacked) == gpu::kPackedForm);
static_assert(static_cast<int>(KvForm::kSinks) == gpu::kSinksForm);
static_assert(kKvSinks == gpu::kSinkPositions && kKvPageSize == gpu::kPage && kMaxHeadDim == gpu::kMaxKvDim);

int32_t page_of(int32_t position) { return position / kKvPageSize; }

/// Counts the storages on the current device, whose pool keeps what they give up as long as there is one: it is the
/// same pool for all models. @param change 1 or -1
gpu::Error count_storages(int32_t change) {
  static std::mutex mutex;
  static std::map<int32_t, int32_t> counts;
  int32_t device = 0;
  if (const gpu::Error error = gpu::current_device(device); error != gpu::Error::kNone) return error;
  const std::lock_guard lock(mutex);
  const int32_t before = counts[device], now = before + change;
  counts[device] = now;
  return (before == 0) == (now == 0) ? gpu::Error::kNone : gpu::keep_released_memory(now > 0);
}

}  // namespace

GpuCodesStorage::GpuCodesStorage(const KvShape& shape, const KvFormat& format, int32_t n_page, SharedStream stream,
                                 PlannedMemory& plan, std::function<void()> on_end)
    : shape_(shape),
      stream_(stream),
      plan_(plan),
      on_end_(std::move(on_end)),
      pages_(static_cast<size_t>(n_page)),
      form_table_(static_cast<size_t>(n_page) * gpu::kForms, 0),
      changed_begin_(form_table_.size()),
      forms_(form_table_.size() * sizeof(int64_t), "the table of KV pages") {
  int32_t words[gpu::kForms] = {};
  for (const KvBits& bits : format.layers) {
    if (bits.k == 16 || bits.v == 16) {
      throw EngineError(ErrorCode::kModelUnsupported,
                        "A GPU keeps the keys and values of all layers in f16, or of none. Choose another KV format.");
    }
    layouts_.push_back(
        {shape.n_head_kv, shape.head_dim_k, shape.head_dim_v, bits.k, bits.v, words[0], words[1], words[2]});
    words[0] += shape.n_head_kv * gpu::fresh_head_words(shape.head_dim_k, shape.head_dim_v);
    words[1] += shape.n_head_kv * gpu::packed_head_words(shape.head_dim_k, shape.head_dim_v, bits.k, bits.v);
    words[2] += shape.n_head_kv * gpu::sinks_head_words(shape.head_dim_k, shape.head_dim_v);
  }
  for (int i = 0; i < gpu::kForms; ++i) form_bytes_[i] = static_cast<size_t>(words[i]) * sizeof(uint32_t);
  if (format.calibration == nullptr) {
    rotations_.push_back({KvRotation(shape.head_dim_k), KvRotation(shape.head_dim_v)});
  } else {
    for (const KvCalibration::Group& group : format.calibration->groups)
      rotations_.push_back({KvRotation(shape.head_dim_k, group.k), KvRotation(shape.head_dim_v, group.v)});
  }
  // What was given up is kept for the next page.
  check_gpu(count_storages(1), "preparing the device's pool of memory");
}

GpuCodesStorage::~GpuCodesStorage() {
  on_end_();
  const auto lock = stream_.lock();
  for (const Page& page : pages_) {
    for (void* block : page.blocks) {
      if (block != nullptr) gpu::release(stream_.stream, block);
    }
  }
  gpu::synchronize(stream_.stream);
  plan_.give_back(allocated_bytes_);
  count_storages(-1);
}

bool GpuCodesStorage::has(int32_t page, KvForm form) const {
  return form == KvForm::kPacked ? at(page).is_packed : at(page).blocks[index(form)] != nullptr;
}

void GpuCodesStorage::drop(int32_t page, KvForm form) {
  const auto lock = stream_.lock();
  drop_block(page, form);
}

void GpuCodesStorage::drop_block(int32_t page, KvForm form) {
  if (form == KvForm::kPacked) at(page).is_packed = false;
  void*& block = at(page).blocks[index(form)];
  if (block == nullptr) return;
  (void)gpu::release(stream_.stream, block);  // an error here is an earlier one, which is reported where it matters
  block = nullptr;
  allocated_bytes_ -= form_bytes(form);
  plan_.give_back(form_bytes(form));
  note(page, form);
}

bool GpuCodesStorage::copy_page(int32_t from, int32_t to) {
  const auto lock = stream_.lock();
  drop_block(to, KvForm::kPacked);
  for (const KvForm form : {KvForm::kFresh, KvForm::kSinks}) {
    const void* block = at(from).blocks[index(form)];
    if (block == nullptr) continue;
    check_gpu(gpu::copy(stream_.stream, make_block(to, form), block, form_bytes(form), gpu::Copy::kOnDevice),
              "copying a page of keys and values");
  }
  return true;
}

bool GpuCodesStorage::read_form(int32_t page, KvForm form, std::span<std::byte> bytes) const {
  const auto lock = stream_.lock();
  check_gpu(gpu::copy(stream_.stream, bytes.data(), at(page).blocks[index(form)], bytes.size(), gpu::Copy::kToHost),
            "reading a page of keys and values");
  check_gpu(gpu::synchronize(stream_.stream), "reading a page of keys and values");
  return true;
}

bool GpuCodesStorage::write_form(int32_t page, KvForm form, std::span<const std::byte> bytes) {
  const auto lock = stream_.lock();
  check_gpu(gpu::copy(stream_.stream, make_block(page, form), bytes.data(), bytes.size(), gpu::Copy::kToDevice),
            "writing a page of keys and values");
  check_gpu(gpu::synchronize(stream_.stream), "writing a page of keys and values");
  if (form == KvForm::kPacked) at(page).is_packed = true;
  return true;
}

void* GpuCodesStorage::make_block(int32_t page, KvForm form) {
  void*& block = at(page).blocks[index(form)];
  if (block != nullptr) return block;
  const gpu::Error error = gpu::allocate(stream_.stream, block, form_bytes(form));
  if (error == gpu::Error::kOutOfMemory) fail_out_of_memory(form_bytes(form), "a page of keys and values");
  check_gpu(error, "allocating memory");
  allocated_bytes_ += form_bytes(form);
  plan_.take(form_bytes(form));
  note(page, form);
  return block;
}

/// The address of a block has changed.
void GpuCodesStorage::note(int32_t page, KvForm form) {
  const size_t i = static_cast<size_t>(page) * gpu::kForms + index(form);
  form_table_[i] = gpu::device_address(at(page).blocks[index(form)]) / int64_t{sizeof(uint32_t)};
  changed_begin_ = std::min(changed_begin_, i);
  changed_end_ = std::max(changed_end_, i + 1);
}

void GpuCodesStorage::begin_pass(std::span<const SequenceRun> runs) {
  upload_turns();
  packed_pages_.clear();
  for (const SequenceRun& run : runs) {
    if (run.n_tokens == 0) continue;
    for (int32_t p = page_of(run.n_past); p <= page_of(run.n_past + run.n_tokens - 1); ++p) {
      const int32_t page = run.page_table[static_cast<size_t>(p)];
      drop_block(page, KvForm::kPacked);  // what was packed before is written over
      make_block(page, KvForm::kFresh);
      if (p == 0) make_block(page, KvForm::kSinks);
    }
  }
  for (const bool is_whole : {true, false}) {
    for (const SequenceRun& run : runs) {
      if (run.n_tokens == 0) continue;
      // What the run's last query reads packed.
      const int32_t n_old = page_of(run.n_past + run.n_tokens - 1) - kKvRecentPages;
      const int32_t n_before = std::min(n_old, page_of(run.n_past));
      for (int32_t p = is_whole ? 0 : std::max(0, n_before); p < (is_whole ? n_before : n_old); ++p) {
        const int32_t page = run.page_table[static_cast<size_t>(p)];
        if (at(page).is_packed) continue;
        make_block(page, KvForm::kPacked);
        at(page).is_packed = true;
        packed_pages_.push_back(page);
      }
    }
    if (is_whole) n_whole_ = packed_pages_.size();
  }
  upload_forms();
  if (packed_pages_.empty()) return;
  const size_t n_bytes = packed_pages_.size() * sizeof(int32_t);
  if (list_.size() < n_bytes) list_ = DeviceBytes(2 * n_bytes, "the list of pages to pack");
  std::byte* staged = pinned_list_.reserve(n_bytes);
  std::memcpy(staged, packed_pages_.data(), n_bytes);
  check_gpu(gpu::copy(stream_.stream, list_.data(), staged, n_bytes, gpu::Copy::kToDevice),
            "copying the list of pages to pack");
  for (int32_t il = 0; il < shape_.n_layer; ++il) pack(il, 0, n_whole_);
}

void GpuCodesStorage::pack_written(int32_t il) { pack(il, n_whole_, packed_pages_.size() - n_whole_); }

void GpuCodesStorage::pack(int32_t il, size_t first, size_t n) {
  check_gpu(gpu::launch_pack_pages(stream_.stream, list_.as<int32_t>() + first, static_cast<int32_t>(n), memory(),
                                   layout(il)),
            "pack_pages");
}

void GpuCodesStorage::abandon_pass() {
  for (const int32_t page : packed_pages_) at(page).is_packed = false;
  packed_pages_.clear();
  n_whole_ = 0;
}

void GpuCodesStorage::upload_forms() {
  if (changed_begin_ >= changed_end_) return;
  const size_t n_bytes = (changed_end_ - changed_begin_) * sizeof(int64_t);
  std::byte* staged = pinned_forms_.reserve(n_bytes);
  std::memcpy(staged, form_table_.data() + changed_begin_, n_bytes);
  check_gpu(gpu::copy(stream_.stream, forms_.as<int64_t>() + changed_begin_, staged, n_bytes, gpu::Copy::kToDevice),
            "copying the table of KV pages");
  changed_begin_ = form_table_.size();
  changed_end_ = 0;
}

/// With the first pass: whoever only asks for sizes needs no matrices.
void GpuCodesStorage::upload_turns() {
  if (turns_.size() > 0) return;
  std::vector<float> turns, means;
  const auto n_groups_each = static_cast<size_t>(n_groups());
  const auto append = [](std::vector<float>& to, const std::vector<float>& numbers, size_t n) {
    to.insert(to.end(), numbers.begin(), numbers.end());
    to.resize(to.size() + n - numbers.size(), 0.0f);  // no mean: zeros
  };
  const auto n_k = static_cast<size_t>(shape_.head_dim_k), n_v = static_cast<size_t>(shape_.head_dim_v);
  for (size_t first = 0; first < rotations_.size(); first += n_groups_each) {
    // In the order of gpu::matrix_at and gpu::mean_at.
    const std::span layer(rotations_.data() + first, n_groups_each);
    for (const Rotation& r : layer) append(turns, r.k.columns(KvRotation::Way::kQueries), n_k * n_k);
    for (const Rotation& r : layer) append(turns, r.k.columns(KvRotation::Way::kForward), n_k * n_k);
    for (const Rotation& r : layer) append(turns, r.v.columns(KvRotation::Way::kForward), n_v * n_v);
    for (const Rotation& r : layer) append(turns, r.v.columns(KvRotation::Way::kBack), n_v * n_v);
    for (const Rotation& r : layer) append(means, r.k.mean(), n_k);
    for (const Rotation& r : layer) append(means, r.v.mean(), n_v);
  }
  if (rotations_.size() > 1) {
    const auto n_layer = static_cast<size_t>(shape_.n_layer);
    turn_stride_ = turns.size() / n_layer;
    mean_stride_ = means.size() / n_layer;
  }
  const auto upload = [](const std::vector<float>& numbers) {
    DeviceBytes memory(numbers.size() * sizeof(float), "the bases of keys and values");
    check_gpu(gpu::copy(memory.data(), numbers.data(), memory.size(), gpu::Copy::kToDevice),
              "copying the bases of keys and values");
    return memory;
  };
  means_ = upload(means);
  turns_ = upload(turns);
  wait_for_copies();
}

bool GpuCodesStorage::has_means() const {
  return std::any_of(rotations_.begin(), rotations_.end(),
                     [](const Rotation& r) { return !r.k.mean().empty() || !r.v.mean().empty(); });
}

gpu::TurnMatrices GpuCodesStorage::turn(int32_t il) const {
  const auto layer = static_cast<size_t>(il);
  return {turns_.as<float>() + layer * turn_stride_, means_.as<float>() + layer * mean_stride_};
}

}  // namespace outpost
