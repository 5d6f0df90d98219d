#include <cstdio>
#include <map>

#include "cli/command.h"
#include "core/strings.h"
#include "gguf/gguf_file.h"

namespace outpost::cli {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += concat(i > 0 ? ", " : "", shape[i]);
  return text + "]";
}

}  // namespace

int run_inspect(const std::vector<std::string>& words) {
  const Arguments arguments(words, {}, {});
  const GgufFile file = GgufFile::open(arguments.positional(0, "MODEL"));
  std::printf("%s: GGUF v%u, %llu bytes, %zu metadata entries, %zu tensors\n\n", file.path().c_str(), file.version(),
              static_cast<unsigned long long>(file.file_bytes()), file.metadata().size(), file.tensors().size());
  for (const auto& [key, value] : file.metadata()) {
    std::printf("%-44s %-8s %s\n", std::string(key).c_str(), gguf_type_name(value.type), describe(value).c_str());
  }

  struct Total {
    size_t n_tensors = 0;
    uint64_t n_elements = 0, n_bytes = 0;
  };
  std::map<std::string, Total> totals;
  std::printf("\n%-44s %-8s %-22s %s\n", "tensor", "type", "shape (outermost first)", "bytes");
  for (const TensorInfo& tensor : file.tensors()) {
    const char* type = tensor_type_traits(tensor.type).name;
    std::printf("%-44s %-8s %-22s %zu\n", std::string(tensor.name).c_str(), type, shape_text(tensor.shape).c_str(),
                tensor.bytes.size());
    Total& total = totals[type];
    ++total.n_tensors;
    total.n_elements += tensor.n_elements;
    total.n_bytes += tensor.bytes.size();
  }
  std::printf("\n");
  for (const auto& [type, total] : totals) {
    std::printf("%-8s %5zu tensors %14llu elements %12llu bytes %6.3f bits per element\n", type.c_str(),
                total.n_tensors, static_cast<unsigned long long>(total.n_elements),
                static_cast<unsigned long long>(total.n_bytes),
                8.0 * static_cast<double>(total.n_bytes) / static_cast<double>(total.n_elements));
  }
  return 0;
}

}  // namespace outpost::cli
