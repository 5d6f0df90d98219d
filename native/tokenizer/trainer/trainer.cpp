#include "tokenizer/trainer/trainer.h"

#include <algorithm>
#include <thread>

#include "core/strings.h"
#include "engine.h"
#include "tokenizer/trainer/corpus.h"
#include "tokenizer/trainer/merge_encoder.h"
#include "tokenizer/trainer/parallel.h"
#include "tokenizer/trainer/pieces.h"

namespace outpost {
namespace {

constexpr int32_t kProgressEvery = 64;  // merges: some hundredths of a second

using Report = std::function<void(const char* stage, uint64_t done, uint64_t total)>;

void check_options(const TrainerOptions& options) {
  const auto refuse = [](const auto&... text) { throw EngineError(ErrorCode::kInvalidArgument, concat(text...)); };
  const int32_t n = options.n_tokens;
  if (n < 256) refuse("A vocabulary of ", n, " tokens cannot hold the 256 bytes.");
  if (options.n_subwords != 0 && (options.n_subwords < 256 || options.n_subwords > n))
    refuse("There cannot be ", options.n_subwords, " subwords; expected 256 to ", n, ".");
  if (options.limits.min_sources > 64)
    refuse("A token cannot be asked to come from ", options.limits.min_sources, " sources; at most 64 are told apart.");
}

/// The texts of a table as tokens, encoded on all threads. Texts of one token have no pair and are left out.
Sequences encode_all(const SharedCounts& counts, const LearnedTokens& tokens, ThreadPool& pool) {
  const MergeEncoder encoder(tokens);
  std::array<Sequences, SharedCounts::kShards> parts;
  run_parallel(pool, parts.size(), [&](size_t i) {
    Sequences& part = parts[i];
    counts.shard(i).for_each([&](std::string_view text, const Tally& tally) {
      const size_t begin = part.tokens.size();
      encoder.encode(text, part.tokens);
      const auto length = static_cast<uint32_t>(part.tokens.size() - begin);
      if (length > 1) {
        part.items.push_back({begin, length, tally.count, tally.sources});
      } else {
        part.tokens.resize(begin);
      }
    });
  });
  Sequences all;
  for (Sequences& part : parts) {
    for (Sequences::Sequence sequence : part.items) {
      sequence.begin += all.tokens.size();
      all.items.push_back(sequence);
    }
    all.tokens.insert(all.tokens.end(), part.tokens.begin(), part.tokens.end());
    part = {};
  }
  return all;
}

void learn(const SharedCounts& counts, const TrainerOptions& options, int32_t n_tokens, const char* stage,
           ThreadPool& pool, const Report& report, LearnedTokens& tokens) {
  report("encoding", 0, counts.size());
  MergeLearner learner(tokens, encode_all(counts, tokens, pool), options.limits, pool);
  const int32_t n_before = tokens.size();
  while (tokens.size() < n_tokens) {
    if ((tokens.size() - n_before) % kProgressEvery == 0) {
      report(stage, static_cast<uint64_t>(tokens.size()), static_cast<uint64_t>(n_tokens));
    }
    if (!learner.merge_next()) break;
  }
}

}  // namespace

TrainingResult train_tokenizer(const std::string& folder, const TrainerOptions& options,
                               const std::function<bool(const TrainerProgress&)>& on_progress) {
  check_options(options);
  const Report report = [&](const char* stage, uint64_t done, uint64_t total) {
    if (on_progress && !on_progress({stage, done, total}))
      throw EngineError(ErrorCode::kCancelled, "The training was stopped.");
  };
  const int32_t n_threads =
      options.n_threads > 0 ? options.n_threads : static_cast<int32_t>(std::thread::hardware_concurrency());
  ThreadPool pool(std::max(n_threads, 1));

  TrainingResult result;
  const auto files = list_corpus(folder, options.source_depth);
  result.n_files = files.size();
  for (const CorpusFile& file : files) result.n_sources = std::max<uint64_t>(result.n_sources, file.source + 1);
  auto counts = std::make_unique<CorpusCounts>();
  // The second stage needs about three times as much again as the table of pieces.
  count_corpus(
      files, options.max_bytes / 4, pool, [&](uint64_t done, uint64_t total) { report("reading", done, total); },
      *counts);
  result.n_bytes = counts->n_bytes;
  result.n_words = counts->words.size();
  result.n_pieces = counts->pieces.size();
  result.dropped_words = counts->dropped_words;
  result.dropped_pieces = counts->dropped_pieces;

  const int32_t n_subwords = options.n_subwords > 0 ? options.n_subwords : std::max(256, options.n_tokens / 5 * 2);
  learn(counts->words, options, n_subwords, "subwords", pool, report, result.tokens);
  result.n_subwords = result.tokens.size();
  learn(counts->pieces, options, options.n_tokens, "superwords", pool, report, result.tokens);
  return result;
}

}  // namespace outpost
