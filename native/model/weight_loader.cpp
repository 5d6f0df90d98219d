#include "model/weight_loader.h"

#include <algorithm>

#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

template <typename Shape>
std::string shape_text(const Shape& shape) {
  std::string text;
  for (const int64_t extent : shape) text += concat(text.empty() ? "[" : ", ", extent);
  return text + "]";
}

}  // namespace

WeightLoader::WeightLoader(const GgufFile& file, Backend& backend, const WeightProgress& on_progress)
    : file_(file), backend_(backend), on_progress_(on_progress) {
  for (const TensorInfo& tensor : file.tensors()) n_bytes_total_ += tensor.bytes.size();
}

WeightView WeightLoader::find(const std::string& name, std::initializer_list<int64_t> shape) const {
  const TensorInfo* tensor = file_.find_tensor(name);
  if (tensor == nullptr)
    throw EngineError(ErrorCode::kModelInvalid, concat(file_.path(), ": the tensor ", name, " is missing."));
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), shape.begin(), shape.end())) {
    throw EngineError(ErrorCode::kModelInvalid,
                      concat(file_.path(), ": the tensor ", name, " has the shape ", shape_text(tensor->shape),
                             "; expected ", shape_text(shape), "."));
  }
  const bool is_vector = shape.size() == 1;
  return {tensor->name.data(), tensor->type, is_vector ? 1 : tensor->shape[0], tensor->shape.back(), tensor->bytes};
}

void WeightLoader::advance(const WeightView& view) {
  // Tied embeddings are used twice: as the table, and packed as the head.
  n_bytes_done_ = std::min(n_bytes_done_ + view.bytes.size(), n_bytes_total_);
  if (on_progress_ && !on_progress_(n_bytes_done_, n_bytes_total_))
    throw EngineError(ErrorCode::kCancelled, "Loading the model was cancelled.");
}

std::unique_ptr<Weight> WeightLoader::matrix(const std::string& name, int64_t n_rows, int64_t n_cols) {
  WeightView view = find(name, {n_rows, n_cols});
  view.name = name.c_str();
  auto weight = backend_.load_weight(view);
  weight_bytes_ += weight->size_bytes();
  file_.release(view.bytes);
  advance(view);
  return weight;
}

std::unique_ptr<Buffer> WeightLoader::vector(const std::string& name, int64_t n) {
  WeightView view = find(name, {n});
  view.name = name.c_str();
  auto buffer = backend_.load_vector(view);
  weight_bytes_ += buffer->span().size * sizeof(float);
  advance(view);
  return buffer;
}

WeightView WeightLoader::table(const std::string& name, int64_t n_rows, int64_t n_cols) {
  WeightView view = find(name, {n_rows, n_cols});
  view.name = "token_embd.weight";
  backend_.check_table(view);
  weight_bytes_ += view.bytes.size();
  advance(view);
  return view;
}

}  // namespace outpost
