// One loader per architecture: reads its hyperparameters and binds its tensors.
#pragma once

#include <memory>

#include "model/decoder.h"
#include "model/model_keys.h"
#include "model/weight_loader.h"

namespace outpost {

// All throw EngineError kModelInvalid, kModelUnsupported, kOutOfMemory, kCancelled.
std::unique_ptr<Decoder> load_deepseek2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_gemma(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_gemma2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_gemma3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_glm4moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_gpt_oss(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_granite(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_llama(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_phi3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_qwen2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_qwen2moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_qwen3(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_qwen3moe(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_starcoder(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);
std::unique_ptr<Decoder> load_starcoder2(const ModelKeys& keys, int32_t n_vocab, WeightLoader& loader);

}  // namespace outpost
