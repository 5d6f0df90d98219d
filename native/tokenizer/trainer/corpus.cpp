#include "tokenizer/trainer/corpus.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <unordered_map>

#include "core/mapped_file.h"
#include "core/strings.h"
#include "engine.h"
#include "tokenizer/trainer/parallel.h"
#include "tokenizer/trainer/pieces.h"

namespace outpost {
namespace {

namespace fs = std::filesystem;

// One task of a thread: enough to make starting it cheap, little enough to keep all threads busy.
constexpr size_t kSliceBytes = size_t{4} << 20;
constexpr size_t kMaxSliceBytes = size_t{16} << 20;
// Tables are held to their limit after each batch.
constexpr uint64_t kBatchBytes = uint64_t{64} << 20;
constexpr size_t kBatchFiles = 1024;  // all of them are mapped at once

/// The folders of `path` that name its source, joined.
std::string source_name(const fs::path& path, int32_t depth) {
  std::string name;
  int32_t level = 0;
  for (auto part = path.begin(); part != path.end() && std::next(part) != path.end() && level < depth; ++part, ++level)
    name += part->generic_string() + '/';
  return depth == 0 || level < depth ? path.generic_string() : name;
}

struct Slice {
  std::string_view text;
  uint32_t source;
};

void count_pieces(const Slice& slice, SharedCounts& pieces) {
  CountTable table;
  const Tally tally{1, uint64_t{1} << (slice.source % 64)};
  for_each_piece(slice.text, [&](std::string_view piece) { table.add(piece, hash_text(piece), tally); });
  pieces.add(table);
}

/// Counts the words of every piece that occurred `max_count` times or less.
void count_words(const SharedCounts& pieces, uint64_t max_count, ThreadPool& pool, SharedCounts& words) {
  run_parallel(pool, SharedCounts::kShards, [&](size_t i) {
    CountTable table;
    pieces.shard(i).for_each([&](std::string_view piece, const Tally& tally) {
      if (tally.count > max_count) return;
      for_each_word(piece, [&](std::string_view word) { table.add(word, hash_text(word), tally); });
    });
    words.add(table);
  });
}

/// Appends the slices of one file.
void cut_into_slices(const MappedFile& file, uint32_t source, std::vector<Slice>& slices) {
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  for (size_t start = 0; start < text.size();) {
    const size_t from = std::min(text.size(), start + kSliceBytes);
    const size_t end = next_line_start(text, from, kMaxSliceBytes - kSliceBytes);
    slices.push_back({text.substr(start, end - start), source});
    start = end;
  }
}

}  // namespace

std::vector<CorpusFile> list_corpus(const std::string& folder, int32_t source_depth) {
  std::vector<CorpusFile> files;
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw EngineError(ErrorCode::kFileNotFound, folder + " is not a folder.");
  fs::recursive_directory_iterator it(folder, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->symlink_status(error).type() != fs::file_type::regular || error) continue;
    const uint64_t n_bytes = it->file_size(error);
    if (!error) files.push_back({it->path().generic_string(), n_bytes, 0});
  }
  if (error) throw EngineError(ErrorCode::kFileUnreadable, concat("Cannot list ", folder, ": ", error.message(), "."));
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  std::unordered_map<std::string, uint32_t> sources;
  for (CorpusFile& file : files) {
    const auto name = source_name(fs::path(file.path).lexically_relative(folder), source_depth);
    file.source = sources.try_emplace(name, static_cast<uint32_t>(sources.size())).first->second;
  }
  return files;
}

void count_corpus(const std::vector<CorpusFile>& files, size_t max_bytes, ThreadPool& pool,
                  const std::function<void(uint64_t done, uint64_t total)>& on_progress, CorpusCounts& counts) {
  uint64_t n_total = 0;
  for (const CorpusFile& file : files) n_total += file.n_bytes;
  for (size_t next = 0; next < files.size();) {
    on_progress(counts.n_bytes, n_total);
    std::vector<std::unique_ptr<MappedFile>> batch;
    std::vector<Slice> slices;
    for (uint64_t n_bytes = 0; next < files.size() && n_bytes < kBatchBytes && batch.size() < kBatchFiles; ++next) {
      batch.push_back(std::make_unique<MappedFile>(files[next].path));
      cut_into_slices(*batch.back(), files[next].source, slices);
      n_bytes += batch.back()->bytes().size();
    }
    run_parallel(pool, slices.size(), [&](size_t i) { count_pieces(slices[i], counts.pieces); });
    for (const auto& file : batch) counts.n_bytes += file->bytes().size();

    const auto keep_words = [&](uint64_t max_count) { count_words(counts.pieces, max_count, pool, counts.words); };
    const uint64_t dropped = counts.pieces.limit_bytes(max_bytes / 4 * 3, keep_words);
    counts.dropped_pieces = std::max(counts.dropped_pieces, dropped);
    counts.dropped_words = std::max(counts.dropped_words, counts.words.limit_bytes(max_bytes / 4));
  }
  count_words(counts.pieces, std::numeric_limits<uint64_t>::max(), pool, counts.words);
  counts.dropped_words = std::max(counts.dropped_words, counts.words.limit_bytes(max_bytes / 4));
  on_progress(counts.n_bytes, n_total);
}

}  // namespace outpost
