// Writes a trained vocabulary: as a GGUF file that any runtime loads, and as JSON for people.
#pragma once

#include <string>

#include "tokenizer/trainer/trainer.h"

namespace outpost {

/// Special tokens have the first ids, the same in every vocabulary; bytes and merges follow.
constexpr int32_t kSpecialTokens = 32;

/// A GGUF (v3) without tensors: tokenizer.ggml.model "gpt2" (byte-level BPE), tokenizer.ggml.pre "superbpe".
std::string vocabulary_gguf(const TrainingResult& result, const std::string& name);

/// One line per token: id, text, stage, count of its pair when it was learned.
std::string vocabulary_json(const TrainingResult& result, const TrainerOptions& options);

/// Replaces the file at `path` in one step: it has the old or the new content, whatever happens.
/// @throws EngineError kFileUnreadable with the system's reason
void replace_file(const std::string& path, std::string_view content);

}  // namespace outpost
