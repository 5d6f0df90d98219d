#include "model/weight_loader.h"

#include <algorithm>
#include <numeric>

#include "core/strings.h"
#include "engine.h"
#include "model/device_layers.h"

namespace outpost {
namespace {

template <typename Shape>
std::string shape_text(const Shape& shape) {
  std::string text;
  for (const int64_t extent : shape) text += concat(text.empty() ? "[" : ", ", extent);
  return text + "]";
}

}  // namespace

WeightLoader::WeightLoader(const GgufFile& file, Stages& stages, const WeightProgress& on_progress)
    : file_(file), stages_(stages), on_progress_(on_progress), weight_bytes_(stages.size()) {
  for (const TensorInfo& tensor : file.tensors()) n_bytes_total_ += tensor.bytes.size();
}

WeightView WeightLoader::find(const std::string& name, std::initializer_list<int64_t> shape) {
  const TensorInfo* tensor = file_.find_tensor(name);
  if (tensor == nullptr)
    throw EngineError(ErrorCode::kModelInvalid, concat(file_.path(), ": the tensor ", name, " is missing."));
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), shape.begin(), shape.end())) {
    throw EngineError(ErrorCode::kModelInvalid,
                      concat(file_.path(), ": the tensor ", name, " has the shape ", shape_text(tensor->shape),
                             "; expected ", shape_text(shape), "."));
  }
  // The name in the set outlives every view; the file's own has no terminating zero.
  const char* stored_name = used_.insert(name).first->c_str();
  const auto n_rows = static_cast<int64_t>(tensor->n_elements) / tensor->shape.back();
  return {stored_name, tensor->type, n_rows, tensor->shape.back(), tensor->bytes, /*is_mapped=*/true};
}

void WeightLoader::advance(const WeightView& view) {
  // Tied embeddings are used twice: as the table, and packed as the head.
  n_bytes_done_ = std::min(n_bytes_done_ + view.bytes.size(), n_bytes_total_);
  if (on_progress_ && !on_progress_(n_bytes_done_, n_bytes_total_))
    throw EngineError(ErrorCode::kCancelled, "Loading the model was cancelled.");
}

size_t WeightLoader::stage_of(std::string_view name) const {
  const auto il = layer_of_tensor(name);
  return il.has_value() ? stages_.stage_of(*il) : stages_.size() - 1;
}

std::unique_ptr<Weight> WeightLoader::load(const WeightView& view) {
  const size_t stage = stage_of(view.name);
  Backend& backend = stages_.backend(stage);
  auto weight = backend.load_weight(view);
  // All of it is read for every token: no table any more.
  if (backend.shares_table(view) && counted_tables_.erase(view.bytes.data()) > 0) {
    weight_bytes_[stage] -= view.bytes.size();
    table_bytes_ -= view.bytes.size();
  }
  weight_bytes_[stage] += weight->size_bytes();
  release(backend, view);
  return weight;
}

std::unique_ptr<HeadWeights> WeightLoader::load_heads(const WeightView& view, int64_t n_head) {
  const size_t stage = stage_of(view.name);
  Backend& backend = stages_.backend(stage);
  auto heads = backend.load_heads(view, static_cast<int32_t>(n_head));
  weight_bytes_[stage] += heads->size_bytes();
  if (view.is_mapped) release(backend, view);
  return heads;
}

void WeightLoader::release(const Backend& backend, const WeightView& view) {
  if (!backend.reads_in_place(view)) file_.release(view.bytes);
  advance(view);
}

std::unique_ptr<Weight> WeightLoader::matrix(const std::string& name, int64_t n_rows, int64_t n_cols) {
  return load(find(name, {n_rows, n_cols}));
}

std::unique_ptr<Weight> WeightLoader::row(const std::string& name, int64_t n) { return load(find(name, {n})); }

std::vector<std::unique_ptr<Weight>> WeightLoader::split(const WeightView& view, const std::vector<int64_t>& n_rows) {
  const size_t row_bytes = view.bytes.size() / static_cast<size_t>(view.n_rows);
  std::vector<std::unique_ptr<Weight>> parts;
  size_t row0 = 0;
  for (const int64_t n : n_rows) {
    WeightView part = view;
    part.n_rows = n;
    part.bytes = view.bytes.subspan(row0 * row_bytes, static_cast<size_t>(n) * row_bytes);
    parts.push_back(load(part));
    row0 += static_cast<size_t>(n);
  }
  return parts;
}

std::vector<std::unique_ptr<Weight>> WeightLoader::stacked(const std::string& name, const std::vector<int64_t>& n_rows,
                                                           int64_t n_cols) {
  return split(find(name, {std::accumulate(n_rows.begin(), n_rows.end(), int64_t{0}), n_cols}), n_rows);
}

std::unique_ptr<HeadWeights> WeightLoader::heads(const std::string& name, int64_t n_head, int64_t n_rows,
                                                 int64_t n_cols) {
  return load_heads(find(name, {n_head, n_rows, n_cols}), n_head);
}

std::unique_ptr<Buffer> WeightLoader::vector(const std::string& name, int64_t n) {
  return load_vector(find(name, {n}));
}

std::unique_ptr<Buffer> WeightLoader::load_vector(const WeightView& view) {
  const size_t stage = stage_of(view.name);
  auto buffer = stages_.backend(stage).load_vector(view);
  weight_bytes_[stage] += buffer->span().size * sizeof(float);
  advance(view);
  return buffer;
}

std::unique_ptr<Buffer> WeightLoader::optional_vector(const std::string& name, int64_t n) {
  return has(name) ? vector(name, n) : nullptr;
}

std::vector<std::unique_ptr<Buffer>> WeightLoader::optional_stacked_vector(const std::string& name,
                                                                           const std::vector<int64_t>& sizes) {
  std::vector<std::unique_ptr<Buffer>> parts(sizes.size());
  if (!has(name)) return parts;
  WeightView rest = find(name, {std::accumulate(sizes.begin(), sizes.end(), int64_t{0})});
  const size_t element_bytes = tensor_type_traits(rest.type).block_bytes;
  if (tensor_type_traits(rest.type).block_elements != 1) {
    throw EngineError(ErrorCode::kModelUnsupported,
                      concat(file_.path(), ": the tensor ", name, " has the type ", tensor_type_traits(rest.type).name,
                             "; expected f32 or f16."));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    WeightView part = rest;
    part.n_cols = sizes[i];
    part.bytes = rest.bytes.first(static_cast<size_t>(sizes[i]) * element_bytes);
    rest.bytes = rest.bytes.subspan(part.bytes.size());
    parts[i] = load_vector(part);
  }
  return parts;
}

std::vector<float> WeightLoader::values(const std::string& name, std::initializer_list<int64_t> shape) {
  const WeightView view = find(name, shape);
  Backend& backend = stages_.first();
  const auto buffer = backend.load_vector(view);
  std::vector<float> host(buffer->span().size);
  backend.read(host, buffer->span());
  advance(view);
  return host;
}

std::vector<float> WeightLoader::optional_values(const std::string& name, std::initializer_list<int64_t> shape) {
  return has(name) ? values(name, shape) : std::vector<float>();
}

std::unique_ptr<HeadWeights> WeightLoader::computed_heads(const std::string& name, std::span<const float> values,
                                                          int64_t n_head, int64_t n_cols) {
  const int64_t n_rows = static_cast<int64_t>(values.size()) / n_cols;
  return load_heads({name.c_str(), TensorType::kF32, n_rows, n_cols, std::as_bytes(values)}, n_head);
}

WeightView WeightLoader::table(const std::string& name, int64_t n_rows, int64_t n_cols) {
  WeightView view = find(name, {n_rows, n_cols});
  stages_.first().load_table(view);
  weight_bytes_.front() += view.bytes.size();
  table_bytes_ += view.bytes.size();
  counted_tables_.insert(view.bytes.data());
  advance(view);
  return view;
}

std::unique_ptr<Experts> WeightLoader::experts(int32_t il, int64_t n_embd, int64_t n_ff, const RouterParams& router,
                                               Gate gate) {
  const std::string blk = concat("blk.", il, ".");
  const int64_t n_expert = router.n_expert;
  if (const std::string retired = blk + "ffn_gate.0.weight"; has(retired)) {
    throw EngineError(ErrorCode::kModelUnsupported,
                      concat(file_.path(), ": the tensor ", retired, " is that of a single expert, as only files from ",
                             "before April 2024 have it. Choose a newer file of this model."));
  }
  ExpertViews views{};
  views.il = il;
  views.is_merged = has(blk + "ffn_gate_up_exps.weight");
  std::vector<float> gate_bias, up_bias;
  if (views.is_merged) {
    views.gate = find(blk + "ffn_gate_up_exps.weight", {n_expert, 2 * n_ff, n_embd});
    const auto bias = optional_values(blk + "ffn_gate_up_exps.bias", {n_expert, 2 * n_ff});
    for (auto at = bias.begin(); at != bias.end(); at += 2 * n_ff) {
      gate_bias.insert(gate_bias.end(), at, at + n_ff);
      up_bias.insert(up_bias.end(), at + n_ff, at + 2 * n_ff);
    }
  } else {
    views.gate = find(blk + "ffn_gate_exps.weight", {n_expert, n_ff, n_embd});
    views.up = find(blk + "ffn_up_exps.weight", {n_expert, n_ff, n_embd});
    gate_bias = optional_values(blk + "ffn_gate_exps.bias", {n_expert, n_ff});
    up_bias = optional_values(blk + "ffn_up_exps.bias", {n_expert, n_ff});
  }
  views.down = find(blk + "ffn_down_exps.weight", {n_expert, n_embd, n_ff});
  const auto down_bias = optional_values(blk + "ffn_down_exps.bias", {n_expert, n_embd});
  const auto selection_bias = optional_values(blk + "exp_probs_b.bias", {n_expert});
  views.gate_bias = gate_bias;
  views.up_bias = up_bias;
  views.down_bias = down_bias;
  views.selection_bias = selection_bias;

  const size_t stage = stages_.stage_of(il);
  Backend& backend = stages_.backend(stage);
  const uint64_t resident_before = backend.expert_cache_stats().resident_bytes;
  auto experts = backend.load_experts(views, router, gate);
  weight_bytes_[stage] += backend.expert_cache_stats().resident_bytes - resident_before;
  loaded_experts_.push_back(experts.get());
  // What is not resident comes back when it is chosen.
  for (const WeightView& view : {views.gate, views.up, views.down}) release(backend, view);
  return experts;
}

void WeightLoader::check_all_used() const {
  for (const TensorInfo& tensor : file_.tensors()) {
    const auto is_prefix = [&](const std::string& prefix) { return tensor.name.starts_with(prefix); };
    if (used_.contains(tensor.name) || std::any_of(skipped_.begin(), skipped_.end(), is_prefix)) continue;
    throw EngineError(ErrorCode::kModelUnsupported,
                      concat(file_.path(), ": the tensor ", in_quotes(tensor.name), " is not part of the architecture ",
                             in_quotes(file_.get_string("general.architecture").value_or("")),
                             " as Outpost knows it; computing without it would be wrong."));
  }
}

}  // namespace outpost
