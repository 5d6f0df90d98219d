// How the trainer cuts text.
//
// A piece is what a token may at most span: a line with the line ends before it, cut at every number. The encoder
// needs no rule for lines: no merge is ever learned across a piece's border, so none is applied there.
// Words are the finer units of the first stage, where merges stay inside of an identifier or a run of punctuation.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace outpost {

/// Pieces longer than this are cut, so that one endless line costs no more than many short ones.
constexpr size_t kMaxPieceBytes = 1024;

/// Calls `on_piece` for each piece of `text`, in order; together they are the whole text but for lines that are not
/// valid UTF-8, which are left out: no encoder could see them.
///
/// A piece is either 1 to 3 ASCII digits, of a longer number grouped from its right end ("12", "345", "678"), or text
/// without digits in which line ends come first: [\r\n]* then anything else. This is the number rule of the
/// pre-tokenizer "superbpe" (llama.cpp, src/llama-vocab.cpp), with lines in addition.
void for_each_piece(std::string_view text, const std::function<void(std::string_view piece)>& on_piece);

/// Calls `on_word` for each word of a piece; together they are the whole piece. A word is
///   - line ends with the indentation that follows: [\r\n]+[ \t]*
///   - an identifier or a run of text outside ASCII, with one space before it: [ ]?[A-Za-z_\x80-\xff]+
///   - a run of punctuation, with one space before it
///   - a run of digits
///   - white space that belongs to none of these
void for_each_word(std::string_view piece, const std::function<void(std::string_view word)>& on_word);

/// Where `text` may be cut at or after `from` so that the pieces of both parts are those of the whole: the start of
/// a line. At most `max_bytes` after `from`, where it is cut in any case.
size_t next_line_start(std::string_view text, size_t from, size_t max_bytes);

}  // namespace outpost
