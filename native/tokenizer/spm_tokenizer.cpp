#include "tokenizer/spm_tokenizer.h"

#include <algorithm>
#include <cstdio>

namespace outpost {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, how SentencePiece writes a space

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (size_t at; (at = text.find(from)) != std::string_view::npos; text.remove_prefix(at + from.size())) {
    out += text.substr(0, at);
    out += to;
  }
  out += text;
  return out;
}

/// Length of a character by its first byte alone: input need not be valid UTF-8.
size_t character_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// A space that follows anything but a space, in `text` from `from` on.
size_t find_word_start(std::string_view text, size_t from) {
  for (size_t at = from; (at = text.find(kSpace, at)) != std::string_view::npos; at += kSpace.size()) {
    const bool is_after_space = at >= kSpace.size() && text.substr(at - kSpace.size(), kSpace.size()) == kSpace;
    if (at > 0 && !is_after_space) return at;
  }
  return std::string_view::npos;
}

}  // namespace

/// Buffers of one encode call, reused from segment to segment.
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
  byte_tokens_.fill(-1);
  bytes_.reserve(static_cast<size_t>(vocab.n_tokens()));
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const std::string& text = vocab.text(id);
    switch (vocab.kind(id)) {
      case TokenKind::kByte: {
        unsigned value = 0;
        char end = 0;
        const bool is_byte = text.size() == 6 && std::sscanf(text.c_str(), "<0x%2X%c", &value, &end) == 2 && end == '>';
        if (is_byte) byte_tokens_[value] = id;
        bytes_.push_back(is_byte ? std::string(1, static_cast<char>(value)) : std::string());
        break;
      }
      case TokenKind::kNormal:
      case TokenKind::kUnused:
        bytes_.push_back(replace_all(text, kSpace, " "));
        if (find_word_start(text, 0) != std::string_view::npos) is_splittable_ = false;
        break;
      case TokenKind::kUserDefined: bytes_.push_back(text); break;
      case TokenKind::kControl:
      case TokenKind::kUnknown: bytes_.emplace_back(); break;
    }
  }
}

std::string_view SpmTokenizer::bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }

void SpmTokenizer::encode_plain(std::string_view text, bool is_after_special, std::vector<int32_t>& ids) const {
  std::string escaped;
  if (is_after_special && vocabulary().add_space_prefix) escaped = kSpace;
  escaped += replace_all(text, " ", kSpace);

  Workspace work;
  std::string_view rest = escaped;
  while (!rest.empty()) {
    const size_t end = is_splittable_ ? std::min(find_word_start(rest, 0), rest.size()) : rest.size();
    merge_segment(rest.substr(0, end), work, ids);
    rest.remove_prefix(end);
  }
}

void SpmTokenizer::merge_segment(std::string_view segment, Workspace& work, std::vector<int32_t>& ids) const {
  auto& symbols = work.symbols;
  auto& heap = work.heap;
  symbols.clear();
  heap.clear();
  for (size_t at = 0; at < segment.size();) {
    const size_t n = std::min(character_length(segment[at]), segment.size() - at);
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
