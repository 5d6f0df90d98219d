// Finds tensors by their GGUF name, checks shape and type, and hands them to the backend.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "gguf/gguf_file.h"
#include "model/network.h"

namespace outpost {

class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, Backend& backend, const WeightProgress& on_progress);

  Backend& backend() const { return backend_; }
  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  /// A matrix [n_rows, n_cols], in the backend's layout. The file's own pages are released.
  std::unique_ptr<Weight> matrix(const std::string& name, int64_t n_rows, int64_t n_cols);
  /// A vector [n] as f32.
  std::unique_ptr<Buffer> vector(const std::string& name, int64_t n);
  /// A matrix that stays in the file, for Backend::embed.
  WeightView table(const std::string& name, int64_t n_rows, int64_t n_cols);

  size_t weight_bytes() const { return weight_bytes_; }

 private:
  WeightView find(const std::string& name, std::initializer_list<int64_t> shape) const;
  void advance(const WeightView& view);

  const GgufFile& file_;
  Backend& backend_;
  const WeightProgress& on_progress_;
  uint64_t n_bytes_total_ = 0, n_bytes_done_ = 0;
  size_t weight_bytes_ = 0;
};

}  // namespace outpost
