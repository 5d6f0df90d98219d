// Writes a trained vocabulary: as a GGUF file that any runtime loads, and as JSON for people.
#pragma once

#include <string>

#include "tokenizer/trainer/trainer.h"

namespace outpost {

/// Special tokens have the first ids, the same in every vocabulary; bytes and merges follow.
constexpr int32_t kSpecialTokens = 32;

/// A file of version 3 without tensors: tokenizer.ggml.model "gpt2" (byte-level BPE), tokenizer.ggml.pre "superbpe".
/// @throws EngineError kFileUnreadable; what was at `path` is then still there
void write_vocabulary_gguf(const std::string& path, const TrainingResult& result, const std::string& name);

/// One line per token: id and text, and how it was joined.
/// @throws EngineError kFileUnreadable; what was at `path` is then still there
void write_vocabulary_json(const std::string& path, const TrainingResult& result, const TrainerOptions& options);

}  // namespace outpost
