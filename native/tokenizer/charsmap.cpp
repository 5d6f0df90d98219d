#include "tokenizer/charsmap.h"

#include <cstring>

#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

template <typename... Args>
[[noreturn]] void fail(const std::string& path, const Args&... what) {
  throw EngineError(ErrorCode::kModelInvalid, concat(path, ": tokenizer.ggml.precompiled_charsmap ", what...));
}

}  // namespace

Charsmap::Charsmap(std::span<const std::byte> bytes, const std::string& path) {
  uint32_t n_array = 0;  // bytes of the array, in the first four
  if (bytes.size() < sizeof(n_array)) fail(path, "has ", bytes.size(), " bytes; expected at least 4.");
  std::memcpy(&n_array, bytes.data(), sizeof(n_array));
  const auto rest = bytes.subspan(sizeof(n_array));
  if (n_array >= rest.size()) fail(path, "has an array of ", n_array, " bytes, but only ", rest.size(), " follow.");
  units_.resize(n_array / sizeof(uint32_t));
  if (!units_.empty()) std::memcpy(units_.data(), rest.data(), units_.size() * sizeof(uint32_t));
  replacements_.assign(reinterpret_cast<const char*>(rest.data()) + n_array, rest.size() - n_array);
  check(path);
}

/// Visits every node once.
void Charsmap::check(const std::string& path) {
  if (replacements_.back() != '\0') fail(path, "ends inside a replacement.");
  struct Node {
    size_t at;
    unsigned char last;  // byte of the sequence that leads here; 0 for the root
  };
  std::vector<bool> is_known(units_.size());
  std::vector<Node> open = {{0, 0}};
  while (!open.empty()) {
    const Node node = open.back();
    open.pop_back();
    const bool is_root = node.last == 0;
    const size_t children = node.at ^ base(node.at);
    if (!is_root && has_value(node.at)) {
      if (children >= units_.size()) fail(path, "has a replacement outside of its array.");
      const size_t at = unit(children) & ~(1u << 31);
      if (at >= replacements_.size()) fail(path, "has a replacement at ", at, " of ", replacements_.size(), " bytes.");
      const std::string_view replacement = replacements_.c_str() + at;
      const bool is_word_char = node.last > ' ' && node.last < 0x7F;
      if (is_word_char && (replacement.empty() || replacement.back() == ' ')) keeps_words_apart_ = false;
    }
    for (unsigned c = 1; c < 256; ++c) {
      const size_t child = children ^ c;
      if (child >= units_.size() || !is_child(child, static_cast<unsigned char>(c))) continue;
      if (c == ' ' && !is_root) keeps_words_apart_ = false;
      if (is_known[child]) continue;
      is_known[child] = true;
      open.push_back({child, static_cast<unsigned char>(c)});
    }
  }
}

Charsmap::Match Charsmap::find(std::string_view text) const {
  Match match = {0, {}};
  if (units_.empty()) return match;
  size_t node = base(0);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    node ^= c;
    if (node >= units_.size() || !is_child(node, c)) break;
    const bool is_match = has_value(node);
    node ^= base(node);
    if (is_match) match = {i + 1, replacements_.c_str() + (unit(node) & ~(1u << 31))};
  }
  return match;
}

}  // namespace outpost
