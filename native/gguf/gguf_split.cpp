// Models in several files, as llama.cpp's gguf-split writes them: the first describes the model, each holds some of the
// tensors, and `split.no` and `split.count` say which is which (from 0; names count from 1).
#include <cstdio>

#include "core/strings.h"
#include "engine.h"
#include "gguf/gguf_file.h"

namespace outpost {
namespace {

/// Far above any real model; each file is mapped.
constexpr uint64_t kMaxFiles = 999;

/// How the name of file number `index` of `count` ends.
std::string name_end(uint64_t index, uint64_t count) {
  char end[64];
  std::snprintf(end, sizeof(end), "-%05u-of-%05u.gguf", static_cast<unsigned>(index + 1), static_cast<unsigned>(count));
  return end;
}

}  // namespace

void GgufFile::open_siblings() {
  const uint64_t count = get_uint("split.count").value_or(1);
  if (count <= 1) return;
  const uint64_t index = get_uint("split.no").value_or(0);
  const auto fail = [this](const std::string& what) {
    throw EngineError(ErrorCode::kModelInvalid, concat(path_, " ", what));
  };
  if (count > kMaxFiles) fail(concat("claims to be one of ", count, " files; expected at most ", kMaxFiles, "."));
  if (index != 0)
    fail(concat("is part ", index + 1, " of ", count, " of a model. Choose the first, which ends in ",
                name_end(0, count), "."));
  const std::string end = name_end(0, count);
  if (!path_.ends_with(end))
    fail(concat("is the first of ", count, " files of a model; its name must end in ", end,
                ", as by that the others are found."));

  const std::string stem = path_.substr(0, path_.size() - end.size());
  for (uint64_t i = 1; i < count; ++i) {
    GgufFile sibling = open_one(stem + name_end(i, count));
    const uint64_t its_index = sibling.get_uint("split.no").value_or(0);
    const uint64_t its_count = sibling.get_uint("split.count").value_or(1);
    if (its_index != i || its_count != count)
      fail(concat("needs ", sibling.path_, " as part ", i + 1, " of ", count, ", but that is part ", its_index + 1,
                  " of ", its_count, "."));
    for (const TensorInfo& tensor : sibling.tensors_) {
      if (!tensor_index_.emplace(tensor.name, tensors_.size()).second)
        fail(concat("has the tensor ", in_quotes(tensor.name), ", which is also in ", sibling.path_, "."));
      tensors_.push_back(tensor);
    }
    siblings_.push_back(std::move(sibling));
  }
  const uint64_t n_expected = get_uint("split.tensors.count").value_or(tensors_.size());
  if (n_expected != tensors_.size())
    fail(concat("says that its ", count, " files hold ", n_expected, " tensors; they hold ", tensors_.size(), "."));
}

}  // namespace outpost
