// The llama architecture: Llama 1 to 3, Mistral, TinyLlama, SmolLM (arXiv:2302.13971).
#pragma once

#include <memory>

#include "model/network.h"

namespace outpost {

class WeightLoader;

/// @throws EngineError kModelInvalid, kModelUnsupported, kOutOfMemory, kCancelled
std::unique_ptr<Network> load_llama(const Hparams& hparams, WeightLoader& loader);

}  // namespace outpost
