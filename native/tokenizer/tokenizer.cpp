#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>

#include "core/strings.h"
#include "tokenizer/spm_tokenizer.h"

namespace outpost {
namespace {

/// A stretch of the input: plain text, or one special token.
struct Fragment {
  std::string_view text;
  int32_t id = -1;
};

/// The characters of C's isspace in the "C" locale.
constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

/// Cuts every occurrence of `token` out of the plain fragments, with the white space after it if it strips that.
std::vector<Fragment> split_at(const std::vector<Fragment>& fragments, std::string_view token, int32_t id,
                               bool strips_right) {
  std::vector<Fragment> out;
  for (const Fragment& fragment : fragments) {
    if (fragment.id >= 0) {
      out.push_back(fragment);
      continue;
    }
    std::string_view rest = fragment.text;
    for (size_t at; (at = rest.find(token)) != std::string_view::npos;) {
      if (at > 0) out.push_back({rest.substr(0, at)});
      out.push_back({token, id});
      rest.remove_prefix(at + token.size());
      if (strips_right) rest.remove_prefix(std::min(rest.find_first_not_of(kWhiteSpace), rest.size()));
    }
    if (!rest.empty()) out.push_back({rest});
  }
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::create(const GgufFile& file) {
  const auto kind = file.get_string("tokenizer.ggml.model");
  if (!kind.has_value())
    throw EngineError(ErrorCode::kModelInvalid, concat(file.path(), ": tokenizer.ggml.model is missing."));
  if (*kind == "llama") return std::make_unique<SpmTokenizer>(Vocabulary(file));
  throw EngineError(ErrorCode::kModelUnsupported, concat(file.path(), ": the tokenizer ", quoted(*kind),
                                                         " is not supported; expected \"llama\" (SPM)."));
}

Tokenizer::Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  for (int32_t id = 0; id < vocabulary_.n_tokens(); ++id) {
    if (vocabulary_.is_special(id) && !vocabulary_.text(id).empty()) special_.push_back(id);
  }
  std::stable_sort(special_.begin(), special_.end(),
                   [&](int32_t a, int32_t b) { return vocabulary_.text(a).size() > vocabulary_.text(b).size(); });
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const TokenizeOptions& options) const {
  if (text.size() > std::numeric_limits<int32_t>::max()) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("Cannot tokenize ", text.size(), " bytes at once; at most 2^31 - 1."));
  }
  std::vector<Fragment> fragments;
  if (!text.empty()) fragments.push_back({text});
  // Longest first, each over the whole text: the order in which llama.cpp looks for them.
  for (const int32_t id : special_) {
    // User-defined tokens are ordinary text with a token of their own: they match always, as in the reference.
    if (!options.parse_special && vocabulary_.kind(id) != TokenKind::kUserDefined) continue;
    if (text.find(vocabulary_.text(id)) == std::string_view::npos) continue;
    fragments = split_at(fragments, vocabulary_.text(id), id, vocabulary_.strips_right(id));
  }

  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 2);
  if (options.add_bos && vocabulary_.add_bos) ids.push_back(vocabulary_.bos);
  bool is_after_special = true;
  for (const Fragment& fragment : fragments) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      encode_plain(fragment.text, is_after_special, ids);
    }
    is_after_special = fragment.id >= 0;
  }
  return ids;
}

}  // namespace outpost
