// Tables made by scripts/lib/unicode-data.mjs: see unicode_data.cpp. Read through unicode.h.
#pragma once

#include <array>
#include <cstdint>

namespace outpost {

extern const std::array<uint32_t, 2276> kUnicodeClassRanges;
extern const std::array<uint32_t, 728> kUnicodeLowerRanges;
extern const std::array<uint32_t, 5424> kUnicodeNfdRanges;
/// Hangul syllables decompose by rule: the first code point is the leading consonant, one for 588 syllables.
inline constexpr uint32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;

}  // namespace outpost
