// Learns a byte-level BPE vocabulary with superwords within a line from a folder of source files.
//
// Two stages (SuperBPE, arXiv:2503.13423). The first is ordinary BPE inside of words, so that identifiers and
// keywords are well covered. The second goes on merging across the borders of words, but never across the end of a
// line (pieces.h), so that `for (let i = `, ` return None` and `});` become tokens. The result depends on the files
// and the options alone, not on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tokenizer/trainer/merge_learner.h"

namespace outpost {

struct TrainerOptions {
  int32_t n_tokens = 65536 - 32;  ///< the 256 bytes and what is learned
  int32_t n_subwords = 0;         ///< of these, after the first stage; 0: two fifths
  MergeLimits limits = {.max_token_bytes = 48, .max_words = 6, .min_count = 16, .min_sources = 5};
  int32_t source_depth = 0;                ///< see list_corpus
  uint64_t max_bytes = uint64_t{3} << 30;  ///< memory to keep to, about; rare text is dropped for it
  int32_t n_threads = 0;                   ///< 0 takes what the processor can run at once
};

struct TrainerProgress {
  const char* stage;  ///< "reading", "subwords", "encoding", "superwords"
  uint64_t done, total;
};

struct TrainingResult {
  LearnedTokens tokens;
  int32_t n_subwords = 0;  ///< tokens of the first stage, bytes included
  uint64_t n_files = 0, n_bytes = 0, n_sources = 0;
  uint64_t n_words = 0, n_pieces = 0;              ///< different ones
  uint64_t dropped_words = 0, dropped_pieces = 0;  ///< highest counts dropped to keep to the memory, 0 for none
};

/// @param on_progress called on the calling thread several times a second; false ends the training
/// @throws EngineError kFileNotFound, kFileUnreadable, kInvalidArgument for options that contradict each other,
///         kCancelled
TrainingResult train_tokenizer(const std::string& folder, const TrainerOptions& options,
                               const std::function<bool(const TrainerProgress&)>& on_progress = {});

}  // namespace outpost
