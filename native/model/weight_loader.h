// Finds tensors by their GGUF name, checks shape and type, and hands them to the backend that computes with them: those
// of a layer to that of its stage, tables of embeddings to the first one, everything else to the last one.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/stages.h"
#include "gguf/gguf_file.h"
#include "model/network.h"

namespace outpost {

class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, Stages& stages, const WeightProgress& on_progress);

  /// Who computes. Layers are shared out when `set_layers` was called, before the first tensor is asked for.
  Stages& stages() const { return stages_; }
  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }
  /// The outermost extent of a tensor. @pre has(name)
  int64_t n_rows(const std::string& name) const { return file_.find_tensor(name)->shape.front(); }

  // All of these throw kModelInvalid for a missing or misshapen tensor.
  /// A matrix [n_rows, n_cols], in the backend's layout. The file's own pages are released.
  std::unique_ptr<Weight> matrix(const std::string& name, int64_t n_rows, int64_t n_cols);
  /// A matrix [sum of n_rows, n_cols] that the file stacks on one another, taken apart.
  std::vector<std::unique_ptr<Weight>> stacked(const std::string& name, const std::vector<int64_t>& n_rows,
                                               int64_t n_cols);
  /// A tensor [n_head, n_rows, n_cols].
  std::unique_ptr<HeadWeights> heads(const std::string& name, int64_t n_head, int64_t n_rows, int64_t n_cols);
  /// A vector [n] as the one row of a matrix.
  std::unique_ptr<Weight> row(const std::string& name, int64_t n);
  /// A vector [n] as f32.
  std::unique_ptr<Buffer> vector(const std::string& name, int64_t n);
  /// A vector of stacked ones, taken apart; nulls if the file has none of that name.
  std::vector<std::unique_ptr<Buffer>> optional_stacked_vector(const std::string& name,
                                                               const std::vector<int64_t>& sizes);
  /// Null if the file has none of that name.
  std::unique_ptr<Buffer> optional_vector(const std::string& name, int64_t n);
  /// A tensor on the host as f32, to be computed with before it becomes a weight.
  std::vector<float> values(const std::string& name, std::initializer_list<int64_t> shape);
  /// Empty if the file has none of that name.
  std::vector<float> optional_values(const std::string& name, std::initializer_list<int64_t> shape);
  /// f32 values [n_head, n_rows, n_cols] that the caller computed from the tensor of that name.
  std::unique_ptr<HeadWeights> computed_heads(const std::string& name, std::span<const float> values, int64_t n_head,
                                              int64_t n_cols);
  /// A matrix that stays in the file, for Backend::embed.
  WeightView table(const std::string& name, int64_t n_rows, int64_t n_cols);
  /// The experts of layer `il`, tensors blk.<il>.ffn_{gate,up,down}_exps: [n_expert, ...] of n_ff columns or rows; in
  /// place of the first two may be ffn_gate_up_exps [n_expert, 2 * n_ff, n_embd], an expert's gate before its up.
  std::unique_ptr<Experts> experts(int32_t il, int64_t n_embd, int64_t n_ff, const RouterParams& router, Gate gate);

  /// Says that tensors whose name begins so are not needed.
  void skip(std::string_view prefix) { skipped_.emplace_back(prefix); }
  /// Refuses a file with tensors that nobody asked for: a forward pass that does not know them would be wrong.
  /// @throws EngineError kModelUnsupported naming the first
  void check_all_used() const;

  /// Of each stage.
  const std::vector<size_t>& weight_bytes() const { return weight_bytes_; }
  /// Of the first stage's, what `table` gave away and no weight shares.
  size_t table_bytes() const { return table_bytes_; }
  /// Everything that `experts` gave away.
  const std::vector<const Experts*>& loaded_experts() const { return loaded_experts_; }

 private:
  WeightView find(const std::string& name, std::initializer_list<int64_t> shape);
  void advance(const WeightView& view);
  /// The stage that computes with a tensor.
  size_t stage_of(std::string_view name) const;
  std::unique_ptr<Weight> load(const WeightView& view);
  std::unique_ptr<HeadWeights> load_heads(const WeightView& view, int64_t n_head);
  /// A view of the file was loaded: its pages are not needed any more, unless they are computed with.
  void release(const Backend& backend, const WeightView& view);
  std::unique_ptr<Buffer> load_vector(const WeightView& view);
  std::vector<std::unique_ptr<Weight>> split(const WeightView& view, const std::vector<int64_t>& n_rows);

  const GgufFile& file_;
  Stages& stages_;
  const WeightProgress& on_progress_;
  std::set<std::string, std::less<>> used_;
  std::vector<std::string> skipped_;
  uint64_t n_bytes_total_ = 0, n_bytes_done_ = 0;
  std::vector<size_t> weight_bytes_;
  size_t table_bytes_ = 0;
  std::set<const std::byte*> counted_tables_;  // their first bytes in the file
  std::vector<const Experts*> loaded_experts_;
};

}  // namespace outpost
