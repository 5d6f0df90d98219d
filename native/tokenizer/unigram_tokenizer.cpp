#include "tokenizer/unigram_tokenizer.h"

#include <algorithm>
#include <limits>

#include "core/strings.h"
#include "tokenizer/escaped_word.h"

namespace outpost {
namespace {

// Below the score of every token, as in SentencePiece.
constexpr float kUnknownPenalty = 10.0f;

Charsmap read_charsmap(const GgufFile& file) {
  const std::string_view key = "tokenizer.ggml.precompiled_charsmap";
  const GgufValue* value = file.find(key);
  if (value == nullptr) return {};
  const auto* array = std::get_if<GgufArray>(&value->value);
  if (array == nullptr || (array->element_type != GgufType::kInt8 && array->element_type != GgufType::kUint8)) {
    throw EngineError(ErrorCode::kModelInvalid,
                      concat(file.path(), ": ", key, " is ", describe(*value), "; expected an array of bytes."));
  }
  return Charsmap(array->bytes, file.path());
}

}  // namespace

UnigramTokenizer::UnigramTokenizer(Vocabulary vocabulary_in, const GgufFile& file)
    : Tokenizer(std::move(vocabulary_in)), charsmap_(read_charsmap(file)) {
  const Vocabulary& vocab = vocabulary();
  float least = std::numeric_limits<float>::max();
  has_cuts_ = charsmap_.keeps_words_apart();
  for (int32_t id = vocab.n_tokens() - 1; id >= 0; --id) {  // of tokens with one text the last counts
    const std::string& text = vocab.text(id);
    const TokenKind kind = vocab.kind(id);
    if (kind == TokenKind::kNormal) {
      bytes_[static_cast<size_t>(id)] = unescape_spaces(text);
      least = std::min(least, vocab.score(id));
    }
    if (kind == TokenKind::kUserDefined) {
      user_defined_.insert(text, id);
      // Normalization is left out where text starts like one of these, however far it reaches.
      if (text.find(' ', 1) != std::string::npos) has_cuts_ = false;
    }
    const bool is_text = kind == TokenKind::kNormal || kind == TokenKind::kUserDefined || kind == TokenKind::kUnused;
    if (!is_text) continue;
    tokens_.insert(text, id);
    if (escaped_word_length(text) < text.size()) is_splittable_ = false;
  }
  unknown_score_ = least - kUnknownPenalty;
  // Where a space alone is unknown it could be joined to an unknown character before it.
  const int32_t space = vocab.find(kEscapedSpace);
  has_cuts_ = has_cuts_ && is_splittable_ && space >= 0 && vocab.kind(space) == TokenKind::kNormal;
}

/// Replaces what the charsmap says and writes spaces as U+2581: one for each, or with `remove_extra_spaces` one before
/// each word.
UnigramTokenizer::Normalized UnigramTokenizer::normalize(std::string_view text, size_t begin,
                                                         bool is_after_special) const {
  Normalized out;
  const bool merges_spaces = vocabulary().remove_extra_spaces;
  const auto append = [&](std::string_view bytes, size_t place) {
    out.text += bytes;
    out.places.resize(out.text.size(), static_cast<uint32_t>(begin + place));
  };
  bool is_prefix_due = vocabulary().add_space_prefix && is_after_special;
  bool is_in_word = !is_after_special;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    size_t n_taken = user_defined_.longest_path(rest);
    std::string_view part = rest.substr(0, n_taken);
    if (n_taken == 0) {
      const Charsmap::Match match = charsmap_.find(rest);
      const DecodedChar c = decode_char(rest);
      n_taken = match.n_bytes > 0 ? match.n_bytes : c.n_bytes;
      const bool is_broken = c.code_point == kReplacementCharacter && c.n_bytes == 1;
      part = match.n_bytes > 0 ? match.replacement : is_broken ? "\xEF\xBF\xBD" : rest.substr(0, c.n_bytes);
    }
    for (const char c : part) {
      if (c == ' ') {
        is_in_word = false;
        if (!merges_spaces) append(kEscapedSpace, at);
        continue;
      }
      if (!is_in_word && (is_prefix_due || merges_spaces)) append(kEscapedSpace, at);
      if (!is_in_word) is_prefix_due = false;
      is_in_word = true;
      append({&c, 1}, at);
    }
    at += n_taken;
  }
  return out;
}

void UnigramTokenizer::encode_plain(std::string_view text, size_t begin, bool is_after_special, Encoding& out) const {
  const Normalized normalized = normalize(text, begin, is_after_special);
  const size_t n_before = out.ids.size();
  for (size_t at = 0; at < normalized.text.size();) {
    const std::string_view rest = std::string_view(normalized.text).substr(at);
    const size_t n = is_splittable_ ? escaped_word_length(rest) : rest.size();
    encode_word(normalized, at, at + n, n_before, out);
    at += n;
  }
}

/// The best way to spell [begin, end), which may be found by itself: no token reaches beyond it.
/// @param n_before tokens of other text
void UnigramTokenizer::encode_word(const Normalized& normalized, size_t begin, size_t end, size_t n_before,
                                   Encoding& out) const {
  struct Best {  // the last token of the best way to a place
    int32_t id;
    uint32_t from;
    double score;
  };
  const std::string_view text = std::string_view(normalized.text).substr(begin, end - begin);
  std::vector<Best> best(text.size() + 1, Best{vocabulary().unknown, 0, -std::numeric_limits<double>::max()});
  best[0].score = 0.0;
  size_t n_char = 0;
  for (size_t at = 0; at < text.size(); at += n_char) {
    n_char = char_length_by_lead(text.substr(at));
    const auto reach = [&](size_t place, int32_t id, double score) {
      if (score > best[place].score) best[place] = {id, static_cast<uint32_t>(at), score};
    };
    bool is_spelled = false;
    const double so_far = best[at].score;
    tokens_.prefixes(text.substr(at), [&](size_t n, int32_t id) {
      is_spelled = is_spelled || n == n_char;
      reach(at + n, id, so_far + static_cast<double>(score_of(id)));
    });
    if (!is_spelled) reach(at + n_char, vocabulary().unknown, so_far + static_cast<double>(unknown_score_));
  }

  std::vector<std::pair<int32_t, uint32_t>> tokens;  // from the end; with the place in `text`
  for (size_t at = text.size(); at > 0; at = best[at].from) {
    // Unknown characters in a row are one token.
    const bool joins = !tokens.empty() && tokens.back().first == best[at].id && best[at].id == vocabulary().unknown;
    if (joins) {
      tokens.back().second = best[at].from;
    } else {
      tokens.emplace_back(best[at].id, best[at].from);
    }
  }
  for (auto it = tokens.rbegin(); it != tokens.rend(); ++it) {
    const bool joins = it->first == vocabulary().unknown && out.ids.size() > n_before && out.ids.back() == it->first;
    if (!joins && it->first >= 0) out.add(it->first, normalized.places[begin + it->second]);
  }
}

}  // namespace outpost
