#include "model/network.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "core/strings.h"
#include "engine.h"
#include "model/architectures/architectures.h"

namespace outpost {
namespace {

struct Architecture {
  std::string_view name;  ///< GGUF's general.architecture
  std::unique_ptr<Decoder> (*load)(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
};

constexpr Architecture kArchitectures[] = {
    {"llama", load_llama},         {"qwen2", load_qwen2},           {"qwen2moe", load_qwen2moe},
    {"qwen3", load_qwen3},         {"qwen3moe", load_qwen3moe},     {"gemma", load_gemma},
    {"gemma2", load_gemma2},       {"gemma3", load_gemma3},         {"phi3", load_phi3},
    {"starcoder", load_starcoder}, {"starcoder2", load_starcoder2}, {"deepseek2", load_deepseek2},
    {"gpt-oss", load_gpt_oss},     {"granite", load_granite},       {"granitemoe", load_granite},
    {"glm4moe", load_glm4moe},
};

std::string architecture_names() {
  std::string names;
  for (const Architecture& architecture : kArchitectures) names += concat(names.empty() ? "" : ", ", architecture.name);
  return names;
}

/// @throws EngineError kModelUnsupported
const Architecture& architecture_of(const GgufFile& file, const ModelKeys& keys) {
  const auto* architecture =
      std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                   [&](const Architecture& candidate) { return candidate.name == keys.architecture(); });
  if (architecture != std::end(kArchitectures)) return *architecture;
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat(file.path(), ": the architecture ", in_quotes(keys.architecture()),
                           " is not supported. Supported are ", architecture_names(), "."));
}

/// `pooling_type` numbers as llama.h does: 1 is the mean, 3 the last token. Files of models for text have none, and the
/// mean is then as good as anything.
Pooling read_pooling(const ModelKeys& keys) {
  constexpr int32_t kUnspecified = 0, kMean = 1, kLast = 3;
  const int32_t type = keys.get("pooling_type", 0, 4, kUnspecified);
  if (type != kUnspecified && type != kMean && type != kLast)
    keys.fail_unsupported("pooling_type", " is ", type, "; supported are 1 (the mean) and 3 (the last token)");
  return type == kLast ? Pooling::kLast : Pooling::kMean;
}

}  // namespace

void check_architecture(const GgufFile& file) { architecture_of(file, ModelKeys(file)); }

std::unique_ptr<Network> load_network(const GgufFile& file, int32_t n_vocab, Stages& stages,
                                      const WeightProgress& on_progress) {
  const ModelKeys keys(file);
  const Architecture& architecture = architecture_of(file, keys);
  WeightLoader loader(file, stages, on_progress);
  auto network = architecture.load(keys, n_vocab, loader);
  network->set_pooling(read_pooling(keys));
  loader.check_all_used();
  keys.warn_of_unread();
  network->set_weight_bytes(loader.weight_bytes(), loader.table_bytes());
  network->set_experts(loader.loaded_experts());
  return network;
}

}  // namespace outpost
