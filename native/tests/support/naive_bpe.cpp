#include "tests/support/naive_bpe.h"

#include <algorithm>
#include <bit>
#include <map>
#include <regex>
#include <set>

namespace outpost::test {
namespace {

using Tokens = std::vector<std::string>;

std::vector<std::string> matches(const std::string& text, const wchar_t* pattern) {
  // One wide character per byte: classes of bytes above 0x7f depend on no locale.
  std::wstring wide;
  for (const char c : text) wide += static_cast<wchar_t>(static_cast<unsigned char>(c));
  const std::wregex regex(pattern);
  std::vector<std::string> out;
  for (std::wsregex_iterator it(wide.begin(), wide.end(), regex), end; it != end; ++it) {
    std::string match;
    for (const wchar_t c : it->str()) match += static_cast<char>(c);
    out.push_back(match);
  }
  return out;
}

struct Text {
  Tokens tokens;
  uint64_t source;
};

struct PairCount {
  uint64_t count = 0;
  std::set<uint64_t> sources;
};

int n_words(const std::string& text) { return static_cast<int>(matches(text, L"[A-Za-z0-9_\\x80-\\xff]+").size()); }

Tokens apply_merge(const Tokens& tokens, const std::string& left, const std::string& right) {
  Tokens out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i + 1 < tokens.size() && tokens[i] == left && tokens[i + 1] == right) {
      out.push_back(left + right);
      ++i;
    } else {
      out.push_back(tokens[i]);
    }
  }
  return out;
}

void learn(std::vector<Text> texts, int32_t n_tokens, const MergeLimits& limits, std::vector<std::string>& known,
           std::vector<NaiveMerge>& merges) {
  // Where BPE has brought each text with what the stage before learned.
  for (Text& text : texts) {
    for (const NaiveMerge& merge : merges) text.tokens = apply_merge(text.tokens, merge.left, merge.right);
  }
  const auto id = [&](const std::string& token) {
    return std::find(known.begin(), known.end(), token) - known.begin();
  };
  while (static_cast<int32_t>(known.size()) < n_tokens) {
    std::map<std::pair<std::string, std::string>, PairCount> pairs;
    for (const Text& text : texts) {
      for (size_t i = 0; i + 1 < text.tokens.size(); ++i) {
        PairCount& pair = pairs[{text.tokens[i], text.tokens[i + 1]}];
        ++pair.count;
        pair.sources.insert(text.source);
      }
    }
    const NaiveMerge none{};
    NaiveMerge best = none;
    for (const auto& [pair, seen] : pairs) {
      const auto& [left, right] = pair;
      const std::string joined = left + right;
      if (seen.count < limits.min_count || static_cast<int32_t>(seen.sources.size()) < limits.min_sources) continue;
      if (joined.size() > limits.max_token_bytes || n_words(joined) > limits.max_words) continue;
      if (std::find(known.begin(), known.end(), joined) != known.end()) continue;
      if (best == none || seen.count > best.count ||
          (seen.count == best.count && std::pair(id(left), id(right)) < std::pair(id(best.left), id(best.right)))) {
        best = {left, right, seen.count};
      }
    }
    if (best == none) return;
    merges.push_back(best);
    known.push_back(best.left + best.right);
    for (Text& text : texts) text.tokens = apply_merge(text.tokens, best.left, best.right);
  }
}

Tokens bytes_of(const std::string& text) {
  Tokens tokens;
  for (const char c : text) tokens.emplace_back(1, c);
  return tokens;
}

}  // namespace

std::vector<std::string> naive_pieces(const std::string& text) {
  std::vector<std::string> pieces;
  for (const std::string& line : matches(text, L"[\\r\\n]+[^\\r\\n]*|[^\\r\\n]+")) {
    for (const std::string& part : matches(line, L"[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))|[^0-9]+")) {
      for (size_t i = 0; i < part.size(); i += 1024) pieces.push_back(part.substr(i, 1024));
    }
  }
  return pieces;
}

std::vector<std::string> naive_words(const std::string& piece) {
  return matches(piece,
                 L"[\\r\\n]+[ \\t]*| ?[A-Za-z_\\x80-\\xff]+| ?[^A-Za-z_\\x80-\\xff \\t\\r\\n0-9]+|[0-9]+|[ \\t]+");
}

std::vector<NaiveMerge> naive_training(const std::vector<std::string>& texts, const TrainerOptions& options) {
  std::vector<Text> words, pieces;
  for (size_t source = 0; source < texts.size(); ++source) {
    for (const std::string& piece : naive_pieces(texts[source])) {
      pieces.push_back({bytes_of(piece), source});
      for (const std::string& word : naive_words(piece)) words.push_back({bytes_of(word), source});
    }
  }
  std::vector<std::string> known;
  for (int byte = 0; byte < 256; ++byte) known.emplace_back(1, static_cast<char>(byte));
  std::vector<NaiveMerge> merges;
  learn(words, options.n_subwords, options.limits, known, merges);
  learn(pieces, options.n_tokens, options.limits, known, merges);
  return merges;
}

std::vector<std::string> naive_encoding(const std::string& text, const std::vector<NaiveMerge>& merges) {
  std::vector<std::string> out;
  for (const std::string& part : matches(text, L"[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))|[^0-9]+")) {
    Tokens tokens = bytes_of(part);
    for (const NaiveMerge& merge : merges) tokens = apply_merge(tokens, merge.left, merge.right);
    out.insert(out.end(), tokens.begin(), tokens.end());
  }
  return out;
}

}  // namespace outpost::test
