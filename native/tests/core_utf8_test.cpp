#include <doctest/doctest.h>

#include <iomanip>

#include "core/strings.h"
#include "core/utf8.h"

using namespace outpost;

namespace {

/// What the stream gives when `text` arrives one byte at a time.
std::string push_bytewise(std::string_view text) {
  Utf8Stream stream;
  std::string out;
  for (const char c : text) out += stream.push({&c, 1});
  return out + stream.finish();
}

std::string push_whole(std::string_view text) {
  Utf8Stream stream;
  std::string out = stream.push(text);
  return out + stream.finish();
}

}  // namespace

TEST_CASE("utf8_sequence_length follows RFC 3629 at the edges of every range") {
  CHECK(utf8_sequence_length("a") == 1);
  CHECK(utf8_sequence_length("\xC2\x80") == 2);
  CHECK(utf8_sequence_length("\xC1\xBF") == 0);  // overlong
  CHECK(utf8_sequence_length("\xE0\xA0\x80") == 3);
  CHECK(utf8_sequence_length("\xE0\x9F\xBF") == 0);  // overlong
  CHECK(utf8_sequence_length("\xED\x9F\xBF") == 3);
  CHECK(utf8_sequence_length("\xED\xA0\x80") == 0);  // surrogate
  CHECK(utf8_sequence_length("\xF0\x90\x80\x80") == 4);
  CHECK(utf8_sequence_length("\xF0\x8F\xBF\xBF") == 0);  // overlong
  CHECK(utf8_sequence_length("\xF4\x8F\xBF\xBF") == 4);
  CHECK(utf8_sequence_length("\xF4\x90\x80\x80") == 0);  // above U+10FFFF
  CHECK(utf8_sequence_length("\xF5") == 0);
  CHECK(utf8_sequence_length("\x80") == 0);
  CHECK(utf8_sequence_length("") == -1);
  CHECK(utf8_sequence_length("\xF0\x9F\x98") == -1);  // may still become a character
}

TEST_CASE("a character split over pieces is held back until it is whole") {
  Utf8Stream stream;
  CHECK(stream.push("a\xF0\x9F") == "a");
  CHECK(stream.push("\x98") == "");
  CHECK(stream.push("\x80"
                    "b") ==
        "\xF0\x9F\x98\x80"
        "b");
  CHECK(stream.finish() == "");
}

TEST_CASE("bytes that can never become a character turn into U+FFFD") {
  // The Unicode standard's own example of "maximal subparts" (15.0, table 3-11).
  const std::string bad = "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
  const std::string r = "\xEF\xBF\xBD";
  const std::string expected = "a" + r + r + r + "b" + r + "c" + r + r + "d";
  CHECK(push_whole(bad) == expected);
  CHECK(push_bytewise(bad) == expected);
  CHECK(push_whole("x\xE2\x96") == "x" + r);
}

TEST_CASE("quoted text is safe to show, in files with the standard std::quoted too") {
  std::string text = "\xC3";  // which would be found for a std::string, had ours its name
  CHECK(concat(in_quotes(text)) == "\"\\xc3\"");
  CHECK(in_quotes("a\"b\\\n\x7f\xC3") == "\"a\\x22b\\x5c\\x0a\\x7f\\xc3\"");
  CHECK(in_quotes("abcdef", 3) == "\"abc\"...");
}

TEST_CASE("is_utf8 wants whole characters and nothing else") {
  for (const std::string_view text : {"", "a", "ab\xC3\xA9", "\xF0\x9F\x98\x80z"}) CHECK(is_utf8(text));
  CHECK(is_utf8(std::string_view("a\0b", 3)));
  for (const std::string_view text : {"\xC3", "a\xC3", "\xA9", "\xC3\xA9\xFF", "\xED\xA0\x80", "\xF0\x9F\x98"})
    CHECK_FALSE(is_utf8(text));
}
