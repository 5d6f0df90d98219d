// A flat hash table from text to a number. The texts are kept by the caller.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/hashing.h"

namespace outpost {

class TokenIndex {
 public:
  /// Makes room for `n` entries, of which there can never be more.
  explicit TokenIndex(size_t n = 0) {
    size_t size = 16;
    while (size < n * 2) size *= 2;  // at most half full: a text that is not there is found missing at once
    slots_.resize(size);
  }

  /// Adds `text`, which must stay where it is, or gives it a new value. @return false if it was there
  bool set(std::string_view text, int32_t value) {
    const uint64_t hash = hash_bytes(text);
    Slot& slot = slots_[find_slot(text, hash)];
    const bool is_new = slot.value < 0;
    slot = {text, tag_of(hash), value};
    n_ += is_new;
    return is_new;
  }
  /// @return -1 if there is no such text
  int32_t find(std::string_view text) const { return slots_[find_slot(text, hash_bytes(text))].value; }
  size_t size() const { return n_; }

 private:
  struct Slot {
    std::string_view text;
    uint32_t tag = 0;  // of the hash: texts are compared only where it is the same
    int32_t value = -1;
  };
  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

  size_t find_slot(std::string_view text, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    const uint32_t tag = tag_of(hash);
    size_t at = hash & mask;
    while (slots_[at].value >= 0 && (slots_[at].tag != tag || slots_[at].text != text)) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
  size_t n_ = 0;
};

}  // namespace outpost
