#include "tokenizer/unicode.h"

#include <algorithm>
#include <map>
#include <vector>

#include "core/utf8.h"
#include "tokenizer/unicode_data.h"

namespace outpost {
namespace {

constexpr uint32_t kNCodePoints = 0x110000;

/// Classes by block of 128 code points; blocks of the same content are stored once. About 60 kB.
class ClassTable {
 public:
  ClassTable() {
    std::vector<CharClass> all(kNCodePoints);
    for (size_t i = 0; i < kUnicodeClassRanges.size(); ++i) {
      const uint32_t begin = kUnicodeClassRanges[i] >> 8;
      const uint32_t end = i + 1 < kUnicodeClassRanges.size() ? kUnicodeClassRanges[i + 1] >> 8 : kNCodePoints;
      std::fill(all.begin() + begin, all.begin() + end, static_cast<CharClass>(kUnicodeClassRanges[i] & 0xFF));
    }
    std::map<std::string, uint16_t> known;
    for (uint32_t at = 0; at < kNCodePoints; at += kBlock) {
      const std::string block(all.begin() + at, all.begin() + at + kBlock);
      const auto [it, is_new] = known.try_emplace(block, static_cast<uint16_t>(known.size()));
      if (is_new) classes_.insert(classes_.end(), block.begin(), block.end());
      blocks_.push_back(it->second);
    }
  }
  CharClass operator[](uint32_t c) const { return classes_[blocks_[c / kBlock] * kBlock + c % kBlock]; }

 private:
  static constexpr uint32_t kBlock = 128;
  std::vector<uint16_t> blocks_;
  std::vector<CharClass> classes_;
};

/// The last range of `n` numbers that starts at or before `c`; null if there is none.
template <size_t n, size_t kSize>
const uint32_t* find_range(const std::array<uint32_t, kSize>& ranges, uint32_t c) {
  size_t low = 0, high = kSize / n;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ranges[middle * n] <= c) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? nullptr : &ranges[(low - 1) * n];
}

}  // namespace

CharClass char_class(uint32_t code_point) {
  static const ClassTable table;
  return code_point < kNCodePoints ? table[code_point] : CharClass{0};
}

uint32_t to_lower(uint32_t code_point) {
  const uint32_t* range = find_range<4>(kUnicodeLowerRanges, code_point);
  if (range == nullptr || code_point > range[1] || (code_point - range[0]) % range[2] != 0) return code_point;
  return code_point - range[0] + range[3];
}

uint32_t first_of_nfd(uint32_t code_point) {
  if (code_point >= kHangulFirst && code_point <= kHangulLast) return 0x1100 + (code_point - kHangulFirst) / 588;
  const uint32_t* range = find_range<3>(kUnicodeNfdRanges, code_point);
  return range == nullptr || code_point > range[1] ? code_point : range[2];
}

bool is_han(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2EBEF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

DecodedChar decode_char(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  switch (utf8_sequence_length(text.substr(0, 4))) {
    case 1: return {byte(0), 1};
    case 2: return {(byte(0) & 0x1F) << 6 | (byte(1) & 0x3F), 2};
    case 3: return {(byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
    case 4: return {(byte(0) & 7) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
    default: return {kReplacementCharacter, 1};
  }
}

void append_utf8(std::string& out, uint32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace outpost
