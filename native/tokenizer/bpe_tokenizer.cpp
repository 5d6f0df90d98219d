#include "tokenizer/bpe_tokenizer.h"

#include <optional>

#include "core/strings.h"
#include "tokenizer/escaped_word.h"

namespace outpost {
namespace {

// Text is classified and cut in stretches that stay in the processor's cache.
constexpr size_t kStretchBytes = size_t{1} << 15;
// Below this merging is faster than searching.
constexpr size_t kSearchedBytes = 24;

/// The character that stands for a byte in tokens (GPT-2, bytes_to_unicode): itself if it can be seen, else the next
/// unused one from U+0100 on.
uint32_t character_of_byte(int byte) {
  const auto is_visible = [](int c) { return (c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || c >= 0xAE; };
  if (is_visible(byte)) return static_cast<uint32_t>(byte);
  uint32_t n_before = 0;
  for (int c = 0; c < byte; ++c) n_before += !is_visible(c);
  return 256 + n_before;
}

/// The bytes that a token spells; none if some character stands for no byte.
std::optional<std::string> bytes_of_spelling(std::string_view text) {
  static const std::vector<int> bytes = [] {  // by character
    std::vector<int> out(0x144, -1);
    for (int byte = 0; byte < 256; ++byte) out[character_of_byte(byte)] = byte;
    return out;
  }();
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const DecodedChar c = decode_char(rest);
    if (c.code_point >= bytes.size() || bytes[c.code_point] < 0) return std::nullopt;
    out += static_cast<char>(bytes[c.code_point]);
    rest.remove_prefix(c.n_bytes);
  }
  return out;
}

std::span<const std::string_view> read_merges(const GgufFile& file) {
  const auto merges = file.get_strings("tokenizer.ggml.merges");
  if (merges.has_value()) return *merges;
  throw EngineError(ErrorCode::kModelInvalid,
                    concat(file.path(), ": tokenizer.ggml.merges is missing; byte-pair encoding needs it."));
}

/// The first place from `at` on where text is always cut, or its end.
size_t next_cut(std::string_view text, size_t at, const Splitter& splitter) {
  while (at < text.size()) {
    const bool starts_char = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (starts_char && splitter.always_cuts(neighbours_at(text, at))) return at;
    ++at;
  }
  return text.size();
}

}  // namespace

BpeTokenizer::BpeTokenizer(Vocabulary vocabulary_in, const GgufFile& file)
    : Tokenizer(std::move(vocabulary_in)),
      pre_(*vocabulary().pre_tokenizer()),
      merger_(vocabulary(), read_merges(file), file.path()) {
  const Vocabulary& vocab = vocabulary();
  for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
    if (vocab.kind(id) != TokenKind::kNormal) continue;
    const std::string& text = vocab.text(id);
    // Text that spells no bytes is never made of text; it may still be part of a reply.
    bytes_[static_cast<size_t>(id)] =
        pre_.has_raw_text ? unescape_spaces(text) : bytes_of_spelling(text).value_or(text);
  }

  bool is_complete = true;
  for (int byte = 0; byte < 256; ++byte) {
    const auto i = static_cast<size_t>(byte);
    if (pre_.has_raw_text) {
      byte_symbols_[i] = -1;
      byte_tokens_[i] = vocab.find_byte(byte);
    } else {
      std::string spelling;
      append_utf8(spelling, character_of_byte(byte));
      const int32_t symbol = merger_.find(spelling);
      // A user-defined token of this spelling is the character, not the byte.
      const bool is_char = merger_.is_token(symbol) && vocab.kind(symbol) == TokenKind::kUserDefined;
      byte_symbols_[i] = is_char ? -1 : symbol;
      byte_tokens_[i] = merger_.is_token(byte_symbols_[i]) ? symbol : -1;
    }
    is_complete = is_complete && byte_tokens_[i] >= 0;
  }
  if (pre_.ignore_merges) {
    whole_ = TokenIndex(static_cast<size_t>(vocab.n_tokens()));
    for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
      if (vocab.kind(id) == TokenKind::kNormal && bytes_of_spelling(vocab.text(id))) whole_.set(bytes(id), id);
    }
  }
  // Seams are between symbols; each has to be seen in the tokens.
  has_seams_ = is_complete && !merger_.has_extra_symbols() && !pre_.ignore_merges;
  if (has_seams_ && pre_.splitter->has_long_pieces && !pre_.has_raw_text) {
    std::vector<std::string> tokens(bytes_.size());
    for (int32_t id = 0; id < vocab.n_tokens(); ++id) {
      const bool is_made = vocab.kind(id) != TokenKind::kControl && vocab.kind(id) != TokenKind::kUnknown;
      if (is_made) tokens[static_cast<size_t>(id)] = bytes_of_spelling(vocab.text(id)).value_or("");
    }
    search_.emplace(merger_, std::move(tokens), byte_symbols_);
  }
}

void BpeTokenizer::encode_plain(std::string_view text, size_t begin, bool, Encoding& out) const {
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < text.size();) {
    const size_t stretch_end = next_cut(text, at + kStretchBytes, *pre_.splitter);
    const std::string_view stretch = text.substr(at, stretch_end - at);
    out.classified.assign(stretch);
    pre_.splitter->split(out.classified, out.piece_ends);
    size_t piece_begin = 0;
    for (const uint32_t piece_end : out.piece_ends) {
      const std::string_view piece = stretch.substr(piece_begin, piece_end - piece_begin);
      const size_t place = begin + at + piece_begin;
      WordCache::Entry& known = out.words.slot(piece);
      if (!out.add_known(known, piece, place)) {
        const size_t first = out.ids.size();
        encode_piece(piece, place, symbols, out);
        known = {piece.data(), static_cast<uint32_t>(piece.size()), static_cast<uint32_t>(first),
                 static_cast<uint32_t>(out.ids.size() - first), static_cast<uint32_t>(place)};
      }
      piece_begin = piece_end;
    }
    at = stretch_end;
  }
}

int32_t BpeTokenizer::find_whole(std::string_view piece) const {
  if (pre_.ignore_merges) return whole_.find(piece);
  if (pre_.joins_newlines && piece[0] == '\n') return vocabulary().find_plain(piece);
  return -1;
}

/// Spaces of raw text are written U+2581 here.
void BpeTokenizer::append_characters(std::string_view text, std::vector<Symbol>& symbols) const {
  if (!pre_.has_raw_text) {
    for (const char c : text) symbols.push_back({byte_symbols_[static_cast<unsigned char>(c)], 1});
    return;
  }
  while (!text.empty()) {
    const uint32_t n = decode_char(text).n_bytes;
    symbols.push_back({merger_.find(text[0] == ' ' ? kEscapedSpace : text.substr(0, n)), n});
    text.remove_prefix(n);
  }
}

void BpeTokenizer::encode_piece(std::string_view piece, size_t begin, std::vector<Symbol>& symbols,
                                Encoding& out) const {
  if (const int32_t id = find_whole(piece); id >= 0) {
    out.add(id, begin);
    return;
  }
  symbols.clear();
  if (search_ && piece.size() > kSearchedBytes) {
    search_->encode(piece, out.pairs, symbols);
  } else {
    append_characters(piece, symbols);
    merger_.merge(symbols);
  }
  size_t at = 0;
  for (const Symbol& symbol : symbols) {
    if (merger_.is_token(symbol.id)) {
      out.add(symbol.id, begin + at);
    } else {
      // No token: its bytes, as far as the vocabulary has them.
      std::string text(piece.substr(at, symbol.n_bytes));
      if (pre_.has_raw_text) text = escape_spaces(text);
      for (const char c : text) {
        const int32_t id = byte_tokens_[static_cast<unsigned char>(c)];
        if (id >= 0) out.add(id, begin + at);
      }
    }
    at += symbol.n_bytes;
  }
}

bool BpeTokenizer::may_follow(int32_t left, int32_t right) const {
  const Vocabulary& vocab = vocabulary();
  if (vocab.kind(left) != TokenKind::kNormal || vocab.kind(right) != TokenKind::kNormal) return false;
  std::vector<Symbol> symbols;
  append_characters(bytes(left), symbols);
  append_characters(bytes(right), symbols);
  merger_.merge(symbols);
  return symbols.size() == 2 && symbols[0].id == left && symbols[1].id == right;
}

}  // namespace outpost
