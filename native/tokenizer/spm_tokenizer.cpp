#include "tokenizer/spm_tokenizer.h"

#include <algorithm>

#include "tokenizer/escaped_word.h"

namespace outpost {

/// Buffers of one `encode_plain` call, reused from word to word.
struct SpmTokenizer::Workspace {
  struct Symbol {  // a doubly linked list in text order; merged-away symbols have no bytes
    uint32_t begin, n_bytes;
    int32_t previous, next;
  };
  struct Merge {
    float score;
    int32_t left, right;
    uint32_t n_bytes;  // of both when queued: tells whether the merge is stale
  };
  std::string escaped;
  std::vector<Symbol> symbols;
  std::vector<Merge> heap;
};

SpmTokenizer::SpmTokenizer(Vocabulary vocabulary_in) : Tokenizer(std::move(vocabulary_in)) {
  const Vocabulary& vocab = vocabulary();
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const std::string& text = vocab.text(id);
    if (vocab.kind(id) == TokenKind::kNormal) bytes_[static_cast<size_t>(id)] = unescape_spaces(text);
    if (escaped_word_length(text) < text.size()) is_splittable_ = false;
    longest_ = std::max(longest_, text.size());
  }
  for (int byte = 0; byte < 256; ++byte) {
    int32_t& id = byte_tokens_[static_cast<size_t>(byte)];
    id = vocab.find_byte(byte);
    if (id < 0 || vocab.kind(id) != TokenKind::kByte) has_all_bytes_ = false;
  }
}

void SpmTokenizer::encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const {
  Workspace work;
  bool has_prefix = is_after_special && vocabulary().add_space_prefix;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, word_length(text));
    WordCache::Entry& known = out.words.slot(word);
    if (has_prefix || !out.add_known(known, word, begin)) {
      const size_t first = out.ids.size();
      encode_word(word, begin, has_prefix, work, out);
      if (!has_prefix) {
        known = {word.data(), static_cast<uint32_t>(word.size()), static_cast<uint32_t>(first),
                 static_cast<uint32_t>(out.ids.size() - first), static_cast<uint32_t>(begin)};
      }
    }
    has_prefix = false;
    begin += word.size();
    text.remove_prefix(word.size());
  }
}

/// `escaped_word_length`, in bytes of text that is not escaped yet.
size_t SpmTokenizer::word_length(std::string_view text) const {
  if (!is_splittable_) return text.size();
  bool is_after_space = true;
  size_t at = 0;
  while (at < text.size()) {
    const size_t n = char_length_by_lead(text.substr(at));
    const bool is_space = text[at] == ' ' || text.substr(at, n) == kEscapedSpace;
    if (is_space && !is_after_space) break;
    is_after_space = is_space;
    // The bytes that a lead byte asks for may be those of an escaped space.
    size_t n_taken = 1;
    for (++at; n_taken < n && at < text.size(); ++at) n_taken += text[at] == ' ' ? kEscapedSpace.size() : 1;
  }
  return at;
}

void SpmTokenizer::encode_word(std::string_view word, size_t begin, bool has_prefix, Workspace& work,
                               Encoding& out) const {
  work.escaped = has_prefix ? kEscapedSpace : "";
  work.escaped += escape_spaces(word);
  merge(work.escaped, work);
  EscapeCursor cursor(word, has_prefix ? kEscapedSpace.size() : 0);
  const std::string_view escaped = work.escaped;
  for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<size_t>(i)].next) {
    const auto& symbol = work.symbols[static_cast<size_t>(i)];
    const std::string_view text = escaped.substr(symbol.begin, symbol.n_bytes);
    const size_t place = begin + cursor.place_of(symbol.begin);
    if (const int32_t id = vocabulary().find_plain(text); id >= 0) {
      out.add(id, place);
      continue;
    }
    for (const char c : text) {
      int32_t id = byte_tokens_[static_cast<unsigned char>(c)];
      if (id < 0) id = vocabulary().find_plain({&c, 1});
      if (id < 0) id = vocabulary().unknown;
      if (id >= 0) out.add(id, place);  // a vocabulary without bytes and without <unk> cannot say this character
    }
  }
}

void SpmTokenizer::merge(std::string_view escaped, Workspace& work) const {
  auto& symbols = work.symbols;
  auto& heap = work.heap;
  symbols.clear();
  heap.clear();
  for (size_t at = 0; at < escaped.size();) {
    const size_t n = char_length_by_lead(escaped.substr(at));
    const auto i = static_cast<int32_t>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(n), i - 1, i + 1});
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
    if (n_bytes > longest_) return;
    const int32_t id = vocabulary().find_plain(escaped.substr(a.begin, n_bytes));
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
}

bool SpmTokenizer::always_cuts(const Neighbours& n) const {
  return is_splittable_ && n.is_between_chars && n.right == ' ' && n.left != ' ' && n.left != 0x2581;
}

bool SpmTokenizer::has_seams_at(const Neighbours& n) const {
  return has_all_bytes_ && n.is_between_chars && !(is_splittable_ && (n.right == ' ' || n.right == 0x2581));
}

bool SpmTokenizer::may_follow(int32_t left, int32_t right) const {
  const Vocabulary& vocab = vocabulary();
  if (vocab.kind(left) != TokenKind::kNormal || vocab.kind(right) != TokenKind::kNormal) return false;
  const std::string text = vocab.text(left) + vocab.text(right);
  Workspace work;
  merge(text, work);
  const auto& symbols = work.symbols;
  const int32_t second = symbols[0].next;
  return second >= 0 && symbols[static_cast<size_t>(second)].next < 0 && symbols[0].n_bytes == vocab.text(left).size() &&
         vocab.find_plain(vocab.text(left)) == left && vocab.find_plain(vocab.text(right)) == right;
}

}  // namespace outpost
