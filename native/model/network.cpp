#include "model/network.h"

#include "core/strings.h"
#include "engine.h"
#include "model/llama.h"
#include "model/weight_loader.h"

namespace outpost {

std::unique_ptr<Network> load_network(const GgufFile& file, int32_t n_vocab, Backend& backend,
                                      const WeightProgress& on_progress) {
  const auto architecture = file.get_string("general.architecture");
  if (!architecture.has_value())
    throw EngineError(ErrorCode::kModelInvalid, concat(file.path(), ": general.architecture is missing."));
  WeightLoader loader(file, backend, on_progress);
  if (*architecture == "llama") return load_llama(read_hparams(file, n_vocab), loader);
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat(file.path(), ": the architecture ", quoted(*architecture),
                           " is not supported yet. Supported: llama (Llama, Mistral, TinyLlama, SmolLM)."));
}

}  // namespace outpost
