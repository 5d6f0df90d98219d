#include "grammar/grammar_program.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/strings.h"
#include "engine.h"

namespace outpost {

TokenTexts::TokenTexts(std::vector<Token> tokens, std::vector<int32_t> end_tokens, int32_t n_vocab)
    : tokens_(std::move(tokens)), end_tokens_(std::move(end_tokens)), n_vocab_(n_vocab) {
  std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) { return a.bytes < b.bytes; });
  by_id_.resize(static_cast<size_t>(n_vocab));
  for (const Token& token : tokens_) by_id_[static_cast<size_t>(token.id)] = token.bytes;
  n_common_.resize(tokens_.size());
  for (size_t i = 1; i < tokens_.size(); ++i) {
    const std::string_view a = tokens_[i - 1].bytes, b = tokens_[i].bytes;
    n_common_[i] = static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  }
  for (const Token& token : tokens_) ++first_[static_cast<uint8_t>(token.bytes[0]) + size_t{1}];
  for (size_t byte = 0; byte < 256; ++byte) first_[byte + 1] += first_[byte];
}

bool TokenTexts::is_end(int32_t id) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), id) != end_tokens_.end();
}

GrammarProgram::GrammarProgram(Grammar grammar, std::shared_ptr<const TokenTexts> texts)
    : grammar_(std::move(grammar)), texts_(std::move(texts)) {
  find_classes();
  std::vector<int32_t> tops;
  bool may_end = false;
  for (const int32_t begin : grammar_.rules[static_cast<size_t>(grammar_.root)]) open(begin, -1, tops, may_end);
  start_ = intern(std::move(tops), may_end);
}

/// Bytes that are in the same sets lead to the same states.
void GrammarProgram::find_classes() {
  std::unordered_map<std::string, uint8_t> classes;
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string membership;
    for (const ByteSet& set : grammar_.sets) membership += set[byte] ? '1' : '0';
    const auto [it, is_new] = classes.try_emplace(membership, static_cast<uint8_t>(classes.size()));
    class_of_[byte] = it->second;
    if (is_new) {
      byte_of_class_.push_back(static_cast<uint8_t>(byte));
      class_sizes_.push_back(0);
    }
    ++class_sizes_[it->second];
  }
}

int32_t GrammarProgram::frame(int32_t node, int32_t parent) {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(node)) << 32 | static_cast<uint32_t>(parent);
  const auto [it, is_new] = frame_ids_.try_emplace(key, static_cast<int32_t>(frames_.size()));
  if (is_new) {
    if (frames_.size() == kMaxFrames)
      throw EngineError(ErrorCode::kInvalidArgument, "The reply is nested too deeply for its grammar to be followed.");
    frames_.push_back({node, parent});
  }
  return it->second;
}

/// Adds the byte sets that may come at a place, through rules that begin and end there.
void GrammarProgram::open(int32_t node, int32_t parent, std::vector<int32_t>& tops, bool& may_end) {
  std::vector<Frame> open = {{node, parent}};
  std::set<std::pair<int32_t, int32_t>> seen;
  while (!open.empty()) {
    const Frame at = open.back();
    open.pop_back();
    if (!seen.emplace(at.node, at.parent).second) continue;
    const Grammar::Node element = grammar_.nodes[static_cast<size_t>(at.node)];
    if (element.kind == Grammar::Node::Kind::kBytes) {
      tops.push_back(frame(at.node, at.parent));
    } else if (element.kind == Grammar::Node::Kind::kEnd) {
      if (at.parent < 0) {
        may_end = true;
      } else {
        open.push_back(frames_[static_cast<size_t>(at.parent)]);
      }
    } else {
      // A rule at the end of another returns to where that one returns: lists do not make the stack grow.
      const bool is_last = grammar_.nodes[static_cast<size_t>(at.node) + 1].kind == Grammar::Node::Kind::kEnd;
      const int32_t parent_of_rule = is_last ? at.parent : frame(at.node + 1, at.parent);
      for (const int32_t begin : grammar_.rules[static_cast<size_t>(element.index)])
        open.push_back({begin, parent_of_rule});
    }
  }
}

GrammarProgram::State GrammarProgram::intern(std::vector<int32_t> tops, bool may_end) {
  std::sort(tops.begin(), tops.end());
  tops.erase(std::unique(tops.begin(), tops.end()), tops.end());
  if (tops.empty() && !may_end) return kDead;
  std::string key(reinterpret_cast<const char*>(tops.data()), tops.size() * sizeof(int32_t));
  key += may_end ? '1' : '0';
  const auto [it, is_new] = state_ids_.try_emplace(std::move(key), static_cast<State>(states_.size()));
  if (is_new) {
    if (states_.size() == kMaxStates || tops.size() > kMaxTops) {
      throw EngineError(ErrorCode::kInvalidArgument,
                        "The grammar is too ambiguous, or the reply nested too deeply, to be followed.");
    }
    states_.push_back({std::move(tops), std::vector<State>(byte_of_class_.size(), kUnknown), may_end});
  }
  return it->second;
}

GrammarProgram::State GrammarProgram::step(State state, uint8_t byte_class) {
  const State known = states_[static_cast<size_t>(state)].next[byte_class];
  if (known != kUnknown) return known;
  std::vector<int32_t> tops;
  bool may_end = false;
  const std::vector<int32_t> from = states_[static_cast<size_t>(state)].tops;  // a copy: states_ may move
  for (const int32_t top : from) {
    const Frame at = frames_[static_cast<size_t>(top)];
    const ByteSet& set = grammar_.sets[static_cast<size_t>(grammar_.nodes[static_cast<size_t>(at.node)].index)];
    if (set[byte_of_class_[byte_class]]) open(at.node + 1, at.parent, tops, may_end);
  }
  const State next = intern(std::move(tops), may_end);
  states_[static_cast<size_t>(state)].next[byte_class] = next;
  return next;
}

GrammarProgram::State GrammarProgram::next(State state, char byte) {
  return state == kDead ? kDead : step(state, class_of_[static_cast<unsigned char>(byte)]);
}

GrammarProgram::State GrammarProgram::next(State state, std::string_view bytes) {
  for (const char byte : bytes) state = next(state, byte);
  return state;
}

/// A bit for each class of bytes that leads from a state to itself, as those of a text within quotes do: tokens of such
/// bytes alone, which are most of a vocabulary, need no walk. None if there are too many classes for a word of bits.
uint64_t GrammarProgram::classes_that_stay(State state) {
  if (byte_of_class_.size() > 64) return 0;
  uint64_t staying = 0;
  for (size_t c = 0; c < byte_of_class_.size(); ++c) {
    if (step(state, static_cast<uint8_t>(c)) == state) staying |= uint64_t{1} << c;
  }
  if (staying != 0 && token_classes_.empty()) {
    for (const TokenTexts::Token& token : texts_->sorted()) {
      uint64_t classes = 0;
      for (const char byte : token.bytes) classes |= uint64_t{1} << class_of_[static_cast<uint8_t>(byte)];
      token_classes_.push_back(classes);
    }
  }
  return staying;
}

bool GrammarProgram::allows(State state, int32_t id) {
  if (texts_->is_end(id)) return may_end(state);
  const std::string_view bytes = texts_->bytes(id);
  if (bytes.empty()) return false;
  for (const char byte : bytes) {
    state = next(state, byte);
    if (state == kDead) return false;
  }
  return true;
}

std::span<const uint64_t> GrammarProgram::mask(State state) {
  if (const auto known = masks_.find(state); known != masks_.end()) return known->second;
  // All are thrown away at once when they are too many: those in use come back one by one.
  if (masks_.size() * texts_->mask_words() * sizeof(uint64_t) > kMaskMemory) masks_.clear();
  ++n_masks_made_;
  std::vector<uint64_t> mask(texts_->mask_words(), 0);
  const auto allow = [&](int32_t id) { mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64); };
  std::vector<State> path = {state};  // after each byte of the token at hand
  constexpr size_t kNever = std::numeric_limits<size_t>::max();
  size_t dead_at = kNever;  // bytes after which the last token that was walked left the grammar
  const auto tokens = texts_->sorted();
  const uint64_t staying = classes_that_stay(state);
  for (int first = 0; first < 256; ++first) {
    if (next(state, static_cast<char>(first)) == kDead) continue;
    const auto [begin, end] = texts_->with_first(static_cast<uint8_t>(first));
    for (size_t i = begin; i < end; ++i) {
      const auto n_common = static_cast<size_t>(texts_->n_common(i));
      if (n_common >= dead_at) continue;
      const std::string_view bytes = tokens[i].bytes;
      dead_at = kNever;
      if (staying != 0 && (token_classes_[i] & ~staying) == 0) {
        path.assign(bytes.size() + 1, state);
      } else {
        path.resize(n_common + 1);
        for (size_t n = n_common; n < bytes.size(); ++n) {
          ++n_mask_steps_;
          path.push_back(next(path[n], bytes[n]));
          if (path.back() != kDead) continue;
          dead_at = n + 1;
          break;
        }
      }
      if (dead_at == kNever) allow(tokens[i].id);
    }
    dead_at = kNever;
  }
  if (may_end(state)) {
    for (const int32_t id : texts_->end_tokens()) allow(id);
  }
  return masks_.emplace(state, std::move(mask)).first->second;
}

std::string GrammarProgram::forced(State state, size_t n_most) {
  std::string bytes;
  while (bytes.size() < n_most && !may_end(state)) {
    int only = -1, n_possible = 0;
    for (size_t c = 0; c < byte_of_class_.size() && n_possible < 2; ++c) {
      if (step(state, static_cast<uint8_t>(c)) == kDead) continue;
      n_possible += class_sizes_[c];
      only = byte_of_class_[c];
    }
    if (n_possible != 1) break;
    bytes += static_cast<char>(only);
    state = next(state, static_cast<char>(only));
  }
  return bytes;
}

}  // namespace outpost
