// Counts the words and pieces of a folder of source files: all that the trainer needs to know of the text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "tokenizer/trainer/count_table.h"

namespace outpost {

struct CorpusFile {
  std::string path;
  uint64_t n_bytes = 0;
  uint32_t source = 0;  ///< number of the source it belongs to
};

/// Every regular file below `folder`, ordered by its path; links are not followed.
/// @param source_depth how many folder levels below `folder` name a source: with 2, all files below
///        `folder/rust/tokio` are one source. With 0 every file is one.
/// @throws EngineError kFileNotFound, kFileUnreadable
std::vector<CorpusFile> list_corpus(const std::string& folder, int32_t source_depth);

struct CorpusCounts {
  SharedCounts words, pieces;  ///< see pieces.h
  uint64_t n_bytes = 0;
  /// Highest count that was dropped to keep to the limit, 0 if none was.
  uint64_t dropped_words = 0, dropped_pieces = 0;
};

/// Reads all files, some at a time, and counts. When a table outgrows its part of `max_bytes` its rarest texts are
/// dropped; the words of a dropped piece are still counted. The result depends on the files alone, not on threads.
/// @param max_bytes for both tables together; the files that are being read come on top, 16 MiB per thread at most
/// @param on_progress called by the calling thread with the bytes read so far and in all; may throw to stop
/// @throws EngineError kFileUnreadable, kFileNotFound if a file vanished
void count_corpus(const std::vector<CorpusFile>& files, size_t max_bytes, ThreadPool& pool,
                  const std::function<void(uint64_t done, uint64_t total)>& on_progress, CorpusCounts& counts);

}  // namespace outpost
