#include "tokenizer/special_matcher.h"

#include <algorithm>
#include <utility>

namespace outpost {
namespace {

/// The characters of C's isspace in the "C" locale.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary, bool with_control) : vocabulary_(vocabulary) {
  for (int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    const bool is_wanted = with_control || vocabulary.kind(id) == TokenKind::kUserDefined;
    if (vocabulary.is_special(id) && is_wanted) ids_.push_back(id);
  }
  std::stable_sort(ids_.begin(), ids_.end(),
                   [&](int32_t a, int32_t b) { return vocabulary.text(a).size() > vocabulary.text(b).size(); });
  for (size_t i = 0; i < ids_.size(); ++i) {
    const std::string& text = vocabulary.text(ids_[i]);
    trie_.insert(text, static_cast<int32_t>(i));
    starts_[static_cast<unsigned char>(text[0])] = true;
    reach_ = std::max(reach_, text.size());
    if (vocabulary.strips_left(ids_[i]) || vocabulary.strips_right(ids_[i])) keeps_white_space_ = false;
  }
}

/// Cuts every occurrence of the token out of the plain fragments, with the white space that it takes.
void SpecialMatcher::cut_out(std::string_view text, int32_t id, std::vector<Fragment>& fragments) const {
  const std::string& token = vocabulary_.text(id);
  std::vector<Fragment> out;
  for (const Fragment& fragment : fragments) {
    size_t at = fragment.begin;
    while (fragment.id < 0) {
      const size_t found = text.substr(0, fragment.end).find(token, at);
      if (found == std::string_view::npos) break;
      size_t plain_end = found;
      while (vocabulary_.strips_left(id) && plain_end > at && is_space(text[plain_end - 1])) --plain_end;
      if (plain_end > at) out.push_back({at, plain_end, -1});
      at = found + token.size();
      out.push_back({found, at, id});
      while (vocabulary_.strips_right(id) && at < fragment.end && is_space(text[at])) ++at;
    }
    if (at < fragment.end) out.push_back({at, fragment.end, fragment.id});
  }
  fragments.swap(out);
}

std::vector<Fragment> SpecialMatcher::split(std::string_view text) const {
  std::vector<Fragment> fragments;
  const auto add = [&](const Fragment& fragment) {
    if (fragment.begin == fragment.end) return;
    const bool continues =
        fragment.id < 0 && !fragments.empty() && fragments.back().id < 0 && fragments.back().end == fragment.begin;
    if (continues) {
      fragments.back().end = fragment.end;
    } else {
      fragments.push_back(fragment);
    }
  };

  // Occurrences that do not overlap do not matter to each other, unless white space is taken: each cluster of
  // overlapping ones is split by itself, looking only for the tokens that are in it.
  std::vector<uint32_t> last_seen;  // by position in ids_: the number of the cluster
  std::vector<int32_t> orders;      // of the tokens in the cluster
  uint32_t n_clusters = 0;
  size_t begin = 0, end = 0, done = 0;  // the cluster; the text that is in `fragments`
  const auto close = [&] {
    if (orders.empty()) return;
    add({done, begin, -1});
    std::sort(orders.begin(), orders.end());
    std::vector<Fragment> cluster = {{begin, end, -1}};
    for (const int32_t order : orders) cut_out(text, ids_[static_cast<size_t>(order)], cluster);
    for (const Fragment& fragment : cluster) add(fragment);
    done = end;
    orders.clear();
  };
  for (size_t at = 0; at < text.size(); ++at) {
    if (!starts_[static_cast<unsigned char>(text[at])]) continue;
    trie_.prefixes(text.substr(at), [&](size_t n, int32_t order) {
      if (orders.empty() || (at >= end && keeps_white_space_)) {
        close();
        ++n_clusters;
        last_seen.resize(ids_.size());
        begin = keeps_white_space_ ? at : 0;
        end = keeps_white_space_ ? at : text.size();
      }
      end = std::max(end, at + n);
      if (std::exchange(last_seen[static_cast<size_t>(order)], n_clusters) != n_clusters) orders.push_back(order);
    });
  }
  close();
  add({done, text.size(), -1});
  return fragments;
}

bool SpecialMatcher::touches(std::string_view text, size_t at) const {
  for (size_t begin = at - std::min(at, reach_); begin < at; ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    bool reaches = false;
    trie_.prefixes(text.substr(begin), [&](size_t n, int32_t) { reaches = reaches || begin + n >= at; });
    if (reaches) return true;
  }
  return false;
}

}  // namespace outpost
