#include "backend/gpu/gpu_backend.h"

#include <bit>
#include <cstdlib>
#include <cstring>

#include "kernels/launchers/shortlist_arguments.h"

namespace outpost {
namespace {

// Passes of more tokens are long enough to hide their launches, and come in more sizes.
constexpr int32_t kMaxRecordedTokens = 64;

/// At least n, of few numbers, as a recorded pass belongs to one: powers of two, and from 16 on three between them, so
/// that of many splits at most a fifth are for nothing.
int32_t round_splits(int32_t n) {
  const auto count = static_cast<uint32_t>(n);
  const uint32_t step = n < 16 ? std::bit_ceil(count) : std::bit_floor(count) / 4;
  return static_cast<int32_t>((count + step - 1) / step * step);
}

}  // namespace

int32_t int_of(size_t n) {
  if (n <= size_t{INT32_MAX}) return static_cast<int32_t>(n);
  throw EngineError(ErrorCode::kInternal, concat("A pass has ", n, " numbers at once; a GPU's kernels count to ",
                                                 INT32_MAX, ". Compute fewer tokens at once."));
}

GpuBackend::GpuBackend(int32_t device, const DeviceExperts& experts, uint64_t n_planned)
    : device_(device), plan_(device, n_planned), expert_budget_(experts) {
  use();
  gpu::DeviceProperties properties;
  check_gpu(gpu::device_properties(device, properties), "reading the properties of the device");
  name_ = concat(gpu::platform(), ":", device, " (", properties.name, ")");
  n_multiprocessors_ = properties.n_multiprocessors;
  has_stream_ = gpu::has_stream();
  prefill_tokens_ = gpu::pass_tokens();
  check_gpu(gpu::create_stream(stream_), "making a stream");
  for (gpu::Mark& mark : layer_marks_) check_gpu(gpu::create_mark(mark), "making a mark");
}

GpuBackend::~GpuBackend() {
  gpu::choose_device(device_);
  gpu::synchronize(stream_);
  recordings_.clear();
  for (gpu::Mark mark : layer_marks_) gpu::destroy_mark(mark);
  gpu::destroy_stream(stream_);
}

DeviceSpan<const float> GpuBackend::run_pass(const PassInputs& inputs,
                                             const std::function<DeviceSpan<const float>()>& operations) {
  const std::lock_guard lock(stream_mutex_);
  use();
  forget_operations();

  struct InPass {  // also when an operation throws
    bool& flag;
    explicit InPass(bool& f) : flag(f) { flag = true; }
    ~InPass() { flag = false; }
  } in_pass(is_in_pass_);
  GpuCodesStorage* codes = nullptr;  // which the pass has begun with
  try {
    stage(inputs);
    if (inputs.kv.is_compressed()) {
      codes = static_cast<GpuCodesStorage*>(&inputs.kv);
      codes->begin_pass(inputs.runs);
    }
    return run_operations(inputs, operations);
  } catch (const EngineError& error) {
    if (codes != nullptr) codes->abandon_pass();
    if (error.code() == ErrorCode::kOutOfMemory) free_intermediates();
    throw;
  } catch (...) {
    if (codes != nullptr) codes->abandon_pass();
    throw;
  }
}

void GpuBackend::stage(const PassInputs& inputs) {
  pass_tokens_ = inputs.tokens;
  stage_activations(inputs.activations);
  if (inputs_.stage(stream_, inputs.tokens, inputs.runs, inputs.logit_rows)) recordings_.clear();
  for (GpuRope* rope : ropes_) {
    if (rope->reserve(inputs_.last_position(), inputs.n_ctx, stream_)) recordings_.clear();
  }
  n_splits_ = round_splits(inputs_.last_position() / gpu::kKvSplit + 1);
}

/// For a pass with fewer tokens, which would find the room that this one has taken for its first steps.
void GpuBackend::free_intermediates() {
  static_cast<void>(gpu::synchronize(stream_));  // what goes wrong now, the next pass hears of
  forget_operations();                           // the memory that they name is going to be others'
  recordings_.clear();
  for (DeviceBytes* memory : intermediates_) *memory = DeviceBytes();
  intermediates_.clear();
}

DeviceSpan<const float> GpuBackend::run_operations(const PassInputs& inputs,
                                                   const std::function<DeviceSpan<const float>()>& operations) {
  // Pages of codes are unpacked by lists that differ from pass to pass.
  const int32_t n_most = inputs.kv.is_compressed() ? gpu::kMatvecMaxTokens : kMaxRecordedTokens;
  is_long_pass_ = int_of(inputs.tokens.size()) > n_most;
  // To tell what goes wrong by recording from what goes wrong in a kernel (docs/gpu.md).
  static const bool is_never_recorded = std::getenv("OUTPOST_GPU_UNRECORDED") != nullptr;
  if (is_long_pass_ || is_never_recorded) return finish_operations(operations);

  GpuRecordings::Key key = {
      reinterpret_cast<int64_t>(inputs.network),
      reinterpret_cast<int64_t>(&inputs.kv),
      inputs.n_ctx,
      n_splits_,
      int64_t(inputs.tokens.size()),
      int64_t(inputs.logit_rows.size()),
      int64_t(inputs.wants_hidden) + 2 * int64_t(inputs.wants_all_hidden) + 4 * int64_t(inputs.wants_shortlists)};
  for (const SequenceRun& run : inputs.runs) key.push_back(run.n_tokens);
  const auto tiles = inputs_.tile_counts();
  key.insert(key.end(), tiles.begin(), tiles.end());
  if (const GpuRecordings::Pass* known = recordings_.find(key)) {
    const GpuRecordings::Pass pass = known->recording != nullptr ? *known : record(key, operations);
    if (pass.recording != nullptr) {
      const gpu::Error error = gpu::replay(pass.recording, stream_);
      if (error != gpu::Error::kOutOfMemory) {
        check_gpu(error, "starting a recorded pass");
        return pass.logits;
      }
      recordings_.clear();  // the pass itself has room: it has been computed without
    }
    forget_operations();  // nothing of what was recorded is computed
  }
  const auto logits = finish_operations(operations);
  recordings_.add(key, {nullptr, logits});
  return logits;
}

/// So the device is at most two layers behind what it was told.
void GpuBackend::begin_layer() {
  if (!is_long_pass_) return;
  gpu::Mark& mark = layer_marks_[n_layers_begun_++ % layer_marks_.size()];
  check_gpu(gpu::wait(mark), "waiting for a layer");
  check_gpu(gpu::set_mark(mark, stream_), "marking a layer");
}

void GpuBackend::stage_activations(std::span<const float> activations) {
  pass_activations_ = activations;
  if (activations.empty()) return;
  // The last copy may still be read from the pinned memory.
  check_gpu(gpu::synchronize(stream_), "waiting for the pass before");
  reserve(activations_, activations.size());
  std::byte* staged = pinned_activations_.reserve(activations.size_bytes());
  std::memcpy(staged, activations.data(), activations.size_bytes());
  check_gpu(gpu::copy(stream_, activations_.data(), staged, activations.size_bytes(), gpu::Copy::kToDevice),
            "copying activations");
}

DeviceSpan<const float> GpuBackend::finish_operations(const std::function<DeviceSpan<const float>()>& operations) {
  const auto logits = operations();
  settle();
  issue_norm();
  issue_gate();
  return logits;
}

GpuRecordings::Pass GpuBackend::record(const GpuRecordings::Key& key,
                                       const std::function<DeviceSpan<const float>()>& operations) {
  check_gpu(gpu::begin_recording(stream_), "recording a pass");
  GpuRecordings::Pass result;
  try {
    result.logits = finish_operations(operations);
  } catch (...) {
    if (gpu::end_recording(stream_, result.recording) == gpu::Error::kNone) gpu::destroy_recording(result.recording);
    throw;
  }
  const gpu::Error error = gpu::end_recording(stream_, result.recording);
  if (error == gpu::Error::kOutOfMemory) {
    // Of a recording alone: the same pass has been computed. The others are in its way.
    recordings_.clear();
    return {};
  }
  check_gpu(error, "recording a pass");
  recordings_.add(key, result);
  return result;
}

void GpuBackend::forget_operations() {
  pending_ = {};
  product_ = {};
  norm_ = {};
  gate_ = {};
  pending_kv_ = {};
  quantized_ = {};
  halved_ = {};
  listed_heads_ = {};
  for (const auto& pass : unpacked_passes_) pass->is_current = false;
}

void GpuBackend::write(DeviceSpan<float> x, std::span<const float> host) {
  settle();
  if (!is_in_pass_) stage_activations(host);
  if (host.data() != pass_activations_.data() || host.size() != pass_activations_.size())
    throw EngineError(ErrorCode::kInternal, "A pass takes up activations that are not those it was given.");
  check_gpu(gpu::copy(stream_, write(x), activations_.data(), host.size_bytes(), gpu::Copy::kOnDevice),
            "taking up activations");
}

void GpuBackend::read(std::span<float> host, DeviceSpan<const float> device) {
  use();
  settle({device});
  if (host.empty()) return;
  const bool needs_staging = !pinned_results_->contains(host);
  void* to = needs_staging ? pinned_.reserve(host.size_bytes()) : static_cast<void*>(host.data());
  check_gpu(gpu::copy(stream_, to, device.data, host.size_bytes(), gpu::Copy::kToHost), "copying results");
  check_gpu(gpu::synchronize(stream_), "computing");
  if (needs_staging) std::memcpy(host.data(), to, host.size_bytes());
}

void GpuBackend::settle(std::initializer_list<DeviceSpan<const float>> reads) {
  if (pending_kv_.kv != nullptr) store(std::exchange(pending_kv_, {}));
  issue_product();
  for (const DeviceSpan<const float>& span : reads) {
    if (norm_.y.data != nullptr && overlap(span, norm_.y)) issue_norm();
  }
  if (pending_.x.data != nullptr) {
    const PendingAdd pending = std::exchange(pending_, {});
    launched(gpu::launch_add(stream_, pending.x.data, pending.y.data, {int_of(pending.y.size), pending.factor, 0}),
             "add");
  }
  for (const DeviceSpan<const float>& span : reads) {
    if (gate_.y.data != nullptr && overlap(span, gate_.y)) issue_gate();
  }
}

void GpuBackend::issue_norm() {
  if (norm_.y.data == nullptr) return;
  const PendingAdd addend = take_addend();
  launch_norm(std::exchange(norm_, {}), addend);
}

GpuBackend::PendingAdd GpuBackend::take_addend() {
  const bool is_before = pending_.x.data == norm_.x.data && pending_.x.size == norm_.x.size;
  return is_before ? std::exchange(pending_, {}) : PendingAdd{};
}

void GpuBackend::issue_gate() {
  if (gate_.y.data == nullptr) return;
  const PendingGate gate = std::exchange(gate_, {});
  launched(gpu::launch_gate(stream_, write(gate.y), gate.up.data, {int_of(gate.y.size), 0, gate.kind}), "gate");
}

void GpuBackend::launch_norm(const PendingNorm& norm, const PendingAdd& addend) {
  write(norm.y);
  const int32_t width = int_of(norm.weight.size);
  const bool is_super = takes_super_groups(width);
  const gpu::ResidualNormParams params{width, norm.eps, addend.y.data != nullptr ? 1 : 0, addend.factor,
                                       is_super ? 1 : 0};
  launched(gpu::launch_residual_norm(stream_, norm.y.data, const_cast<float*>(norm.x.data), addend.y.data,
                                     norm.weight.data, reserve_codes(norm.y.size), norm.n_rows, params),
           "residual_norm");
  quantized_ = norm.y;
  is_quantized_super_ = is_super;
}

void GpuBackend::discard(DeviceSpan<const float> x) {
  if (norm_.y.data == x.data) norm_ = {};
  if (gate_.y.data == x.data) gate_ = {};
  if (product_.matrix != nullptr && product_.y.data == x.data && pending_.y.data == x.data)
    product_.is_discarded = true;
}

float* GpuBackend::write(DeviceSpan<float> y) {
  if (norm_.y.data != nullptr) {
    const bool replaces = y.data <= norm_.y.data && norm_.y.data + norm_.y.size <= y.data + y.size;
    if (replaces)
      norm_ = {};
    else if (overlap(y, norm_.x) || overlap(y, norm_.y))
      issue_norm();
  }
  if (gate_.y.data != nullptr && overlap(y, gate_.y)) {
    const bool replaces = y.data <= gate_.y.data && gate_.y.data + gate_.y.size <= y.data + y.size;
    if (replaces)
      gate_ = {};
    else
      issue_gate();
  }
  if (quantized_.data != nullptr && overlap(y, quantized_)) quantized_ = {};
  if (halved_.data != nullptr && overlap(y, halved_)) halved_ = {};
  return y.data;
}

float* GpuBackend::reserve(DeviceBytes& memory, size_t n) {
  if (memory.size() < n * sizeof(float)) {
    check_gpu(gpu::synchronize(stream_), "computing");
    recordings_.clear();
    memory = DeviceBytes();  // before the other is there
    memory = DeviceBytes(n * sizeof(float) * 5 / 4, "intermediate results", &plan_);
    intermediates_.insert(&memory);
  }
  return memory.as<float>();
}

void GpuBackend::embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) {
  settle();
  if (!is_in_pass_) inputs_.stage(stream_, tokens, {}, {});
  // What is not the pass's tokens are its positions: other ids a recorded pass would not find.
  const bool are_tokens = !is_in_pass_ || tokens.data() == pass_tokens_.data();
  if (!are_tokens && !inputs_.are_positions(tokens))
    throw EngineError(ErrorCode::kInternal, "A pass looks up ids that are neither its tokens nor their positions.");
  const int32_t* ids = are_tokens ? inputs_.tokens() : inputs_.positions();
  const GpuMatrix& matrix = *tables_.at(table.bytes.data());
  const gpu::EmbedParams params{int_of(tokens.size()), int_of(static_cast<size_t>(table.n_cols))};
  launched(gpu::launch_embed(stream_, matrix.type(), matrix.data(), ids, write(y), params), "embed");
}

void GpuBackend::rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                          int32_t n_rows, float eps) {
  const int32_t width = int_of(weight.size);
  // Heads are normalized alone: what follows is no product. A row is a whole layer's input otherwise.
  if (width % 32 != 0 || y.data == x.data) {
    settle({x});
    launched(gpu::launch_rms_norm(stream_, write(y), x.data, weight.data, n_rows, {width, eps, 0, 0}), "rms_norm");
    return;
  }
  issue_product();
  const PendingNorm norm = {y, x, weight, eps, n_rows};
  PendingAdd addend;
  const bool takes_addend = pending_.x.data == x.data && pending_.x.size == x.size && !overlap(y, pending_.y);
  if (n_rows > gpu::kMatvecMaxTokens && !overlap(y, x)) {
    // An addition to x stays put off as well, until somebody takes the norm, or something else is asked for.
    if (!takes_addend) settle({x});
    issue_norm();
    write(y);
    norm_ = norm;
    return;
  }
  if (takes_addend) addend = std::exchange(pending_, {});
  settle({x});
  if (has_stream_ && n_rows == 1 && addend.y.data == nullptr && !overlap(y, x)) {
    issue_norm();
    write(y);
    norm_ = norm;
    return;
  }
  launch_norm(norm, addend);
}

void GpuBackend::layer_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                            DeviceSpan<const float> bias, int32_t n_rows, float eps) {
  settle({x});
  const gpu::NormParams params{int_of(weight.size), eps, bias.size > 0 ? 1 : 0, 0};
  launched(gpu::launch_layer_norm(stream_, write(y), x.data, weight.data, bias.data, n_rows, params), "layer_norm");
}

void GpuBackend::add(DeviceSpan<float> x, DeviceSpan<const float> y, float scale) {
  const bool is_of_product = product_.matrix != nullptr && product_.y.data == y.data && product_.y.size == y.size &&
                             pending_.x.data == nullptr && !overlap(x, product_.x) && !overlap(x, y);
  if (!is_of_product) settle({x, y});
  write(x);
  pending_ = {x, y, scale};  // the norm that mostly follows takes it along
  pending_.x.size = y.size;
}

void GpuBackend::add_gated(DeviceSpan<float> x, DeviceSpan<const float> y, DeviceSpan<const float> logits,
                           int32_t n_tokens) {
  settle({x, y, logits});
  if (n_tokens == 0) return;
  const gpu::RowParams params{n_tokens, int_of(y.size) / n_tokens, 0, 0, 0, 0};
  launched(gpu::launch_add_gated(stream_, write(x), y.data, logits.data, params), "add_gated");
}

void GpuBackend::scale(DeviceSpan<float> x, float factor) {
  settle({x});
  launched(gpu::launch_scale(stream_, write(x), {int_of(x.size), factor, 0}), "scale");
}

void GpuBackend::softcap(DeviceSpan<float> x, float cap) {
  settle({x});
  launched(gpu::launch_softcap(stream_, write(x), {int_of(x.size), cap, 0}), "softcap");
}

void GpuBackend::activate(DeviceSpan<float> x, Activation activation) {
  settle({x});
  launched(gpu::launch_activate(stream_, write(x), {int_of(x.size), 0, static_cast<int32_t>(activation)}), "activate");
}

void GpuBackend::shortlist(DeviceSpan<float> lists, DeviceSpan<const float> logits, int32_t n_rows) {
  settle({logits});
  const gpu::ShortlistParams params = gpu::shortlist_params(int_of(logits.size) / n_rows);
  float* groups = reserve(vocabulary_groups_, 2 * size_t(n_rows) * size_t(params.n_groups));
  launched(gpu::launch_shortlist(stream_, logits.data, groups, write(lists), n_rows, params), "shortlist");
}

void GpuBackend::copy_columns(DeviceSpan<float> y, int32_t y_width, int32_t y_col, DeviceSpan<const float> x,
                              int32_t x_width, int32_t x_col, int32_t n_cols, int32_t n_rows) {
  settle({x, y});
  launched(gpu::launch_copy_columns(stream_, write(y), x.data, {n_rows, n_cols, y_width, y_col, x_width, x_col}),
           "copy_columns");
}

void GpuBackend::gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                             int64_t width) {
  settle({x});
  if (!is_in_pass_) inputs_.stage(stream_, {}, {}, rows);
  const gpu::RowParams params{int_of(rows.size()), static_cast<int32_t>(width), 0, 0, 0, 0};
  launched(gpu::launch_gather_rows(stream_, write(y), x.data, inputs_.rows(), params), "gather_rows");
}

}  // namespace outpost
