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
    Slot& slot = slots_[find_slot(text)];
    const bool is_new = slot.value < 0;
    slot = {text, value};
    n_ += is_new;
    return is_new;
  }
  /// @return -1 if there is no such text
  int32_t find(std::string_view text) const { return slots_[find_slot(text)].value; }
  size_t size() const { return n_; }

 private:
  struct Slot {
    std::string_view text;
    int32_t value = -1;
  };

  size_t find_slot(std::string_view text) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash_bytes(text) & mask;
    while (slots_[at].value >= 0 && slots_[at].text != text) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
  size_t n_ = 0;
};

}  // namespace outpost
