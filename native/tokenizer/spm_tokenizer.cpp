#include "tokenizer/spm_tokenizer.h"

#include <algorithm>
#include <unordered_map>

namespace outpost {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, how SentencePiece writes a space

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (size_t at; (at = text.find(from)) != std::string_view::npos; text.remove_prefix(at + from.size())) {
    out += text.substr(0, at);
    out += to;
  }
  out += text;
  return out;
}

/// The character that `text` starts with, by its first byte alone: input need not be valid UTF-8, and
/// whatever follows a lead byte belongs to it, as in llama.cpp.
size_t character_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(length, text.size());
}

/// Where the next word starts: at a space that follows another character. `text.size()` if nowhere.
size_t word_length(std::string_view text) {
  bool is_after_space = true;  // nothing can be cut off before the first character
  size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const size_t n = character_length(rest);
    const bool is_space = rest.substr(0, n) == kSpace;
    if (is_space && !is_after_space) break;
    is_after_space = is_space;
    at += n;
  }
  return at;
}

std::string byte_token_text(int byte) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

}  // namespace

/// Buffers of one `encode_plain` call, reused from segment to segment.
struct SpmTokenizer::Workspace {
  struct Symbol {  // a doubly linked list in text order; merged-away symbols have no bytes
    const char* data;
    uint32_t n_bytes;
    int32_t previous, next;
  };
  struct Merge {
    float score;
    int32_t left, right;
    uint32_t n_bytes;  // of both when queued: tells whether the merge is stale
  };
  std::vector<Symbol> symbols;
  std::vector<Merge> heap;
};

SpmTokenizer::SpmTokenizer(Vocabulary vocabulary) : Tokenizer(std::move(vocabulary)) {
  const Vocabulary& vocab = this->vocabulary();
  bytes_.resize(static_cast<size_t>(vocab.n_tokens()));
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const std::string& text = vocab.text(id);
    const TokenKind kind = vocab.kind(id);
    if (kind == TokenKind::kNormal) bytes_[static_cast<size_t>(id)] = replace_all(text, kSpace, " ");
    if (kind == TokenKind::kUserDefined) bytes_[static_cast<size_t>(id)] = text;
    if (word_length(text) < text.size()) is_splittable_ = false;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t id = vocab.find(byte_token_text(byte));
    byte_tokens_[static_cast<size_t>(byte)] = id;
    if (id >= 0 && vocab.kind(id) == TokenKind::kByte) bytes_[static_cast<size_t>(id)] = static_cast<char>(byte);
  }
}

std::string_view SpmTokenizer::bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }

void SpmTokenizer::encode_plain(std::string_view text, bool is_after_special, std::vector<int32_t>& ids) const {
  std::string escaped;
  if (is_after_special && vocabulary().add_space_prefix) escaped = kSpace;
  escaped += replace_all(text, " ", kSpace);

  // Text repeats its words: each is merged once, its ids are then copied from where they first stand.
  struct Range {
    size_t begin, n;
  };
  std::unordered_map<std::string_view, Range> known;
  Workspace work;
  std::string_view rest = escaped;
  while (!rest.empty()) {
    const std::string_view segment = rest.substr(0, segment_length(rest));
    const auto [it, is_new] = known.try_emplace(segment, Range{ids.size(), 0});
    if (is_new) {
      merge_segment(segment, work, ids);
      it->second.n = ids.size() - it->second.begin;
    } else {
      const Range range = it->second;
      for (size_t i = 0; i < range.n; ++i) ids.push_back(ids[range.begin + i]);
    }
    rest.remove_prefix(segment.size());
  }
}

size_t SpmTokenizer::segment_length(std::string_view text) const {
  return is_splittable_ ? word_length(text) : text.size();
}

void SpmTokenizer::merge_segment(std::string_view segment, Workspace& work, std::vector<int32_t>& ids) const {
  auto& symbols = work.symbols;
  auto& heap = work.heap;
  symbols.clear();
  heap.clear();
  for (size_t at = 0; at < segment.size();) {
    const size_t n = character_length(segment.substr(at));
    const auto i = static_cast<int32_t>(symbols.size());
    symbols.push_back({segment.data() + at, static_cast<uint32_t>(n), i - 1, i + 1});
    at += n;
  }
  symbols.back().next = -1;

  const auto runs_later = [](const Workspace::Merge& a, const Workspace::Merge& b) {
    return a.score < b.score || (a.score == b.score && a.left > b.left);
  };
  const auto queue_merge = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const auto& a = symbols[static_cast<size_t>(left)];
    const uint32_t n_bytes = a.n_bytes + symbols[static_cast<size_t>(right)].n_bytes;
    const int32_t id = vocabulary().find({a.data, n_bytes});
    if (id < 0) return;
    heap.push_back({vocabulary().score(id), left, right, n_bytes});
    std::push_heap(heap.begin(), heap.end(), runs_later);
  };
  for (int32_t i = 1; i < static_cast<int32_t>(symbols.size()); ++i) queue_merge(i - 1, i);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), runs_later);
    const Workspace::Merge merge = heap.back();
    heap.pop_back();
    auto& left = symbols[static_cast<size_t>(merge.left)];
    auto& right = symbols[static_cast<size_t>(merge.right)];
    if (left.n_bytes == 0 || right.n_bytes == 0 || left.n_bytes + right.n_bytes != merge.n_bytes) continue;
    left.n_bytes = merge.n_bytes;
    right.n_bytes = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = merge.left;
    queue_merge(left.previous, merge.left);
    queue_merge(merge.left, left.next);
  }

  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    const auto& symbol = symbols[static_cast<size_t>(i)];
    append_symbol({symbol.data, symbol.n_bytes}, ids);
  }
}

void SpmTokenizer::append_symbol(std::string_view symbol, std::vector<int32_t>& ids) const {
  if (const int32_t id = vocabulary().find(symbol); id >= 0) {
    ids.push_back(id);
    return;
  }
  for (const char c : symbol) {
    int32_t id = byte_tokens_[static_cast<unsigned char>(c)];
    if (id < 0) id = vocabulary().find({&c, 1});
    if (id < 0) id = vocabulary().unknown;
    if (id >= 0) ids.push_back(id);  // a vocabulary without bytes and without <unk> cannot say this character
  }
}

}  // namespace outpost
