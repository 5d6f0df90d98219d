#include "runtime/draft_texts.h"

#include <functional>

#include "engine.h"

namespace outpost {
namespace {

constexpr size_t kLeastPiece = 512, kMostPiece = 8192;

/// Where the piece that `text` starts with ends: behind a line whose hash says so, wherever in the file it stands. So
/// a change moves no end but those around it.
size_t piece_end(std::string_view text) {
  size_t line = 0;
  while (line < text.size()) {
    const size_t newline = text.find('\n', line);
    const size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    if (end >= kMostPiece) return line > 0 ? line : kMostPiece;
    const bool is_end = std::hash<std::string_view>{}(text.substr(line, end - line)) % 32 == 0;
    line = end;
    if (line >= kLeastPiece && is_end) break;
  }
  return line;
}

}  // namespace

std::vector<std::vector<int32_t>> DraftTexts::read(const std::vector<std::string>& texts) {
  std::vector<std::vector<int32_t>> pieces;
  size_t n_read = 0;
  const std::lock_guard lock(mutex_);
  for (std::string_view text : texts) {
    while (!text.empty()) {
      const std::string_view piece = text.substr(0, piece_end(text));
      text.remove_prefix(piece.size());
      const uint64_t hash = std::hash<std::string_view>{}(piece);
      if (known_.contains(hash)) continue;
      if (n_read + piece.size() > kMaxNewDraftText) return pieces;
      n_read += piece.size();
      pieces.push_back(tokenizer_.encode_inside(piece));
      known_.insert(hash);
      order_.push_back({hash, pieces.back().size() + 1});
      n_tokens_ += order_.back().n_tokens;
      // Replies share the index with texts: what is as old as half of it may be gone, and is read again.
      while (n_tokens_ > n_most_ / 2) {
        known_.erase(order_.front().hash);
        n_tokens_ -= order_.front().n_tokens;
        order_.pop_front();
      }
    }
  }
  return pieces;
}

}  // namespace outpost
