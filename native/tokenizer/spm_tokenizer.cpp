#include "tokenizer/spm_tokenizer.h"

#include <algorithm>

#include "tokenizer/escaped_word.h"

namespace outpost {
namespace {

// Below this a scan of all pairs after each merge is faster than a heap; most words are this short.
constexpr size_t kShortWord = 40;

}  // namespace

/// Buffers of one `encode_plain` call, reused from word to word.
struct SpmTokenizer::Workspace {
  std::string escaped;
  std::vector<Symbol> symbols;
};

SpmTokenizer::SpmTokenizer(Vocabulary vocabulary_in) : Tokenizer(std::move(vocabulary_in)) {
  const Vocabulary& vocab = vocabulary();
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    const std::string& text = vocab.text(id);
    if (vocab.kind(id) == TokenKind::kNormal) bytes_[static_cast<size_t>(id)] = unescape_spaces(text);
    pairs_.add(text);
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
    const std::string_view word = text.substr(0, piece_length(text));
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

/// Where the first piece ends. Characters are told by their first byte, as in `merge`; the bytes that it asks for may
/// be those of an escaped space.
size_t SpmTokenizer::piece_length(std::string_view text) const {
  size_t at = 0;
  CharPairs::Code left = 0;
  while (at < text.size()) {
    const size_t n = char_length_by_lead(text.substr(at));
    const bool is_space = text[at] == ' ' || text.substr(at, n) == kEscapedSpace;
    const CharPairs::Code right = is_space ? CharPairs::Code{' '} : CharPairs::code_of_byte(text[at]);
    if (at > 0 && !pairs_.may_join(left, right)) break;
    left = right;
    size_t n_taken = 1;
    for (++at; n_taken < n && at < text.size(); ++at) {
      n_taken += text[at] == ' ' ? kEscapedSpace.size() : 1;
      if (!is_space) left = text[at] == ' ' ? CharPairs::kOther : CharPairs::code_of_byte(text[at]);
    }
  }
  return at;
}

void SpmTokenizer::encode_word(std::string_view word, size_t begin, bool has_prefix, Workspace& work,
                               Encoding& out) const {
  work.escaped = has_prefix ? kEscapedSpace : "";
  work.escaped += escape_spaces(word);
  merge(work.escaped, work.symbols);
  EscapeCursor cursor(word, has_prefix ? kEscapedSpace.size() : 0);
  const std::string_view escaped = work.escaped;
  for (const Symbol& symbol : work.symbols) {
    const std::string_view text = escaped.substr(symbol.begin, symbol.n_bytes);
    const size_t place = begin + cursor.place_of(symbol.begin);
    if (const int32_t id = symbol.id >= 0 ? symbol.id : vocabulary().find_plain(text); id >= 0) {
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

/// The token that two adjacent symbols make, -1 if there is none.
int32_t SpmTokenizer::joined(std::string_view escaped, const Symbol& left, const Symbol& right) const {
  const size_t n_bytes = size_t{left.n_bytes} + right.n_bytes;
  return n_bytes > longest_ ? -1 : vocabulary().find_plain(escaped.substr(left.begin, n_bytes));
}

void SpmTokenizer::merge(std::string_view escaped, std::vector<Symbol>& symbols) const {
  symbols.clear();
  for (size_t at = 0; at < escaped.size();) {
    const size_t n = char_length_by_lead(escaped.substr(at));
    symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(n), -1});
    at += n;
  }
  if (symbols.size() <= kShortWord) {
    merge_short(escaped, symbols);
  } else {
    merge_long(escaped, symbols);
  }
}

void SpmTokenizer::merge_short(std::string_view escaped, std::vector<Symbol>& symbols) const {
  struct Pair {  // i: of the symbols i and i + 1
    int32_t id;
    float score;
  };
  std::array<Pair, kShortWord> pairs;
  size_t n = symbols.size();
  const auto look_up = [&](size_t i) {
    const int32_t id = joined(escaped, symbols[i], symbols[i + 1]);
    pairs[i] = {id, id >= 0 ? vocabulary().score(id) : 0.0f};
  };
  for (size_t i = 0; i + 1 < n; ++i) look_up(i);
  for (;;) {
    size_t best = n;
    for (size_t i = 0; i + 1 < n; ++i) {
      if (pairs[i].id >= 0 && (best == n || pairs[i].score > pairs[best].score)) best = i;
    }
    if (best == n) break;
    symbols[best] = {symbols[best].begin, symbols[best].n_bytes + symbols[best + 1].n_bytes, pairs[best].id};
    --n;
    for (size_t i = best + 1; i < n; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best + 1; i + 1 < n; ++i) pairs[i] = pairs[i + 1];
    if (best + 1 < n) look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(n);
}

void SpmTokenizer::merge_long(std::string_view escaped, std::vector<Symbol>& symbols) const {
  struct Candidate {
    float score;
    uint32_t left, right;
    uint32_t n_bytes;  // of both when queued: tells whether it is stale
    int32_t id;
  };
  const auto runs_later = [](const Candidate& a, const Candidate& b) {
    return a.score < b.score || (a.score == b.score && a.left > b.left);
  };
  // A doubly linked list in text order; merged-away symbols have no bytes.
  constexpr uint32_t kNone = ~uint32_t{0};
  const auto n = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(n), previous(n);
  for (uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1 < n ? i + 1 : kNone;
    previous[i] = i > 0 ? i - 1 : kNone;
  }
  std::vector<Candidate> heap;
  const auto queue = [&](uint32_t left, uint32_t right) {
    if (left == kNone || right == kNone) return;
    const int32_t id = joined(escaped, symbols[left], symbols[right]);
    if (id < 0) return;
    heap.push_back({vocabulary().score(id), left, right, symbols[left].n_bytes + symbols[right].n_bytes, id});
    std::push_heap(heap.begin(), heap.end(), runs_later);
  };
  for (uint32_t i = 1; i < n; ++i) queue(i - 1, i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), runs_later);
    const Candidate candidate = heap.back();
    heap.pop_back();
    Symbol& left = symbols[candidate.left];
    Symbol& right = symbols[candidate.right];
    if (left.n_bytes == 0 || right.n_bytes == 0 || left.n_bytes + right.n_bytes != candidate.n_bytes) continue;
    left = {left.begin, candidate.n_bytes, candidate.id};
    right.n_bytes = 0;
    next[candidate.left] = next[candidate.right];
    if (next[candidate.right] != kNone) previous[next[candidate.right]] = candidate.left;
    queue(previous[candidate.left], candidate.left);
    queue(candidate.left, next[candidate.left]);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.n_bytes == 0; });
}

bool SpmTokenizer::always_cuts(const Neighbours& n) const {
  return n.is_between_chars && !pairs_.may_join(CharPairs::code_of(n.left), CharPairs::code_of(n.right));
}

bool SpmTokenizer::has_seams_at(const Neighbours& n) const {
  return has_all_bytes_ && n.is_between_chars && !always_cuts(n);
}

bool SpmTokenizer::may_follow(int32_t left, int32_t right) const {
  const Vocabulary& vocab = vocabulary();
  if (vocab.kind(left) != TokenKind::kNormal || vocab.kind(right) != TokenKind::kNormal) return false;
  const std::string text = vocab.text(left) + vocab.text(right);
  std::vector<Symbol> symbols;
  merge(text, symbols);
  const auto is_token = [&](const Symbol& symbol, int32_t id) {
    return vocab.find_plain(std::string_view(text).substr(symbol.begin, symbol.n_bytes)) == id;
  };
  return symbols.size() == 2 && is_token(symbols[0], left) && is_token(symbols[1], right);
}

}  // namespace outpost
