// SentencePiece's `precompiled_charsmap`: replacements of character sequences, as Unicode normalization forms are. An
// XOR-compressed compact double array (S. Kanda, "Space- and time-efficient string dictionaries", 2018) finds the
// longest sequence that a text starts with; behind it lie the replacements, each ended by a zero byte.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace outpost {

class Charsmap {
 public:
  Charsmap() = default;  ///< replaces nothing
  /// Checks every sequence in it.
  /// @param path stands in messages
  /// @throws EngineError kModelInvalid
  Charsmap(std::span<const std::byte> bytes, const std::string& path);

  struct Match {
    size_t n_bytes;  ///< of the text that is replaced; 0 for none
    std::string_view replacement;
  };
  /// The longest sequence that `text` starts with.
  Match find(std::string_view text) const;
  /// True if text may be replaced in parts that are cut between an ASCII character and a space behind it: no sequence
  /// reaches over such a place, and none makes the character vanish or become a space.
  bool keeps_words_apart() const { return keeps_words_apart_; }

 private:
  uint32_t unit(size_t at) const { return at < units_.size() ? units_[at] : 0; }
  uint32_t base(size_t at) const { return (unit(at) >> 10) << ((unit(at) & (1u << 9)) >> 6); }
  bool is_child(size_t at, unsigned char c) const { return (unit(at) & ((1u << 31) | 0xFF)) == c; }
  bool has_value(size_t at) const { return (unit(at) >> 8 & 1) != 0; }
  void check(const std::string& path);

  std::vector<uint32_t> units_;
  std::string replacements_;
  bool keeps_words_apart_ = true;
};

}  // namespace outpost
