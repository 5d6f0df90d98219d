// A grammar at work for one vocabulary: which tokens may come next, and what follows once one did.
//
// The grammar is run as an automaton that is made while it is used. A state is the set of places where the grammar may
// be, each a stack of rules to return to; stacks and states have numbers, and what a byte leads to is looked up once.
// So a token mask is one walk over the vocabulary in the order of its bytes, where tokens share the way of their common
// beginnings, and a state that comes again has its mask already. Not thread-safe: belongs to the decode thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace outpost {

/// The texts of a vocabulary, sorted for walks. Immutable after construction; shared by all grammars of a model.
class TokenTexts {
 public:
  struct Token {
    int32_t id;
    std::string_view bytes;
  };
  /// @param tokens those a grammar may allow, with text of at least one byte, which must outlive this object
  /// @param end_tokens those that end a reply @param n_vocab size of the masks in bits
  TokenTexts(std::vector<Token> tokens, std::vector<int32_t> end_tokens, int32_t n_vocab);

  std::span<const Token> sorted() const { return tokens_; }
  /// Bytes that a token has in common with the one before it.
  int32_t n_common(size_t i) const { return n_common_[i]; }
  /// Where the tokens begin that have a first byte, and those of the next one.
  std::pair<size_t, size_t> with_first(uint8_t byte) const { return {first_[byte], first_[byte + size_t{1}]}; }
  std::span<const int32_t> end_tokens() const { return end_tokens_; }
  /// Nothing for a token that no grammar may allow.
  std::string_view bytes(int32_t id) const { return by_id_[static_cast<size_t>(id)]; }
  bool is_end(int32_t id) const;
  size_t mask_words() const { return static_cast<size_t>((n_vocab_ + 63) / 64); }

 private:
  std::vector<Token> tokens_;
  std::vector<std::string_view> by_id_;
  std::vector<int32_t> n_common_;
  std::array<size_t, 257> first_{};
  std::vector<int32_t> end_tokens_;
  int32_t n_vocab_;
};

class GrammarProgram {
 public:
  using State = int32_t;
  static constexpr State kDead = -1;

  GrammarProgram(Grammar grammar, std::shared_ptr<const TokenTexts> texts);

  State start() const { return start_; }
  /// @return kDead if the grammar does not go on so
  /// @throws EngineError kInvalidArgument if the grammar has come into too many different states
  State next(State state, char byte);
  State next(State state, std::string_view bytes);
  /// True if the text may end here.
  bool may_end(State state) const { return states_[static_cast<size_t>(state)].may_end; }
  /// True if it has to.
  bool must_end(State state) const { return states_[static_cast<size_t>(state)].tops.empty(); }
  /// Whether a token may come next.
  bool allows(State state, int32_t id);
  /// A bit for each token that may come next; those that end a reply where it may end. Valid until the next call.
  std::span<const uint64_t> mask(State state);
  /// Bytes that follow for certain, at most n_most.
  std::string forced(State state, size_t n_most);

  /// Work done, for measurements: masks made, and lookups of a byte while making them.
  uint64_t n_masks_made() const { return n_masks_made_; }
  uint64_t n_mask_steps() const { return n_mask_steps_; }

 private:
  /// A place in the grammar and where to return to after its rule; -1 at the bottom.
  struct Frame {
    int32_t node, parent;
  };
  struct StateData {
    std::vector<int32_t> tops;  // frames at byte sets, sorted
    std::vector<State> next;    // by class of bytes
    bool may_end = false;
  };
  /// States reached before a byte is looked up.
  static constexpr State kUnknown = -2;
  static constexpr size_t kMaxStates = 1 << 16, kMaxFrames = 1 << 20, kMaxTops = 4096;
  static constexpr size_t kMaskMemory = size_t{64} << 20;

  void find_classes();
  int32_t frame(int32_t node, int32_t parent);
  void open(int32_t node, int32_t parent, std::vector<int32_t>& tops, bool& may_end);
  State intern(std::vector<int32_t> tops, bool may_end);
  State step(State state, uint8_t byte_class);
  uint64_t classes_that_stay(State state);

  Grammar grammar_;
  std::shared_ptr<const TokenTexts> texts_;
  std::array<uint8_t, 256> class_of_{};
  std::vector<uint8_t> byte_of_class_;
  std::vector<int> class_sizes_;
  std::vector<Frame> frames_;
  std::unordered_map<uint64_t, int32_t> frame_ids_;
  std::vector<StateData> states_;
  std::unordered_map<std::string, State> state_ids_;  // by the bytes of tops and may_end
  std::unordered_map<State, std::vector<uint64_t>> masks_;
  std::vector<uint64_t> token_classes_;  // that the bytes of each token have, in the order of texts_; made when needed
  State start_ = kDead;
  uint64_t n_masks_made_ = 0, n_mask_steps_ = 0;
};

}  // namespace outpost
