"""Where a text is cut for fill-in-the-middle, and the ids of its parts.

Most cuts are those that the app asks for (electron/engine/completion-prompt.ts): from the break before a line, or from a
word's start with the blanks before it, to the line's end. The break and the blanks belong to the middle, because a
vocabulary has tokens for "break and indentation" and for "blank and word" and plain text nearly always uses them: a middle
that began behind them would begin with ids that follow nothing else (arXiv:2405.17103 asks for whole lines for the same
reason). Of the rest, what brackets or indentation hold together stands for syntax nodes (arXiv:2506.00204), there being no
parser here, and some are anywhere between characters, for runtimes that ask so.
"""
import math
import re

import numpy as np

MAX_LINE_BYTES = 400  # longer lines are not cut: encoding them in Python would take long, and nobody writes them
MAX_BLOCK_BYTES = 4000
N_TRIES = 8  # a blank line has nothing to fill in, a line of one word no rest: another place is tried

#: `unfinishedLine` of completion-prompt.ts: a break, blanks, and at most 32 characters of a word before the cursor.
_UNFINISHED = re.compile(r"(?:\r?\n)?[ \t]{0,127}(?<![\w$])[\w$]{0,32}\Z")
_UNFINISHED_BYTES = 4 * (2 + 127 + 32 + 1)


def cut_tokens(vocabulary, tokens, at):
    """Ids of the text's bytes before and after `at`, each as if encoded alone; None where a line is too long.

    Lines are encoded one by one, so that only the line with the cut has to be encoded again.
    """
    tokens = np.asarray(tokens)
    ends = np.cumsum(vocabulary.n_bytes[tokens])
    if at <= 0:
        return tokens[:0], tokens
    if len(tokens) == 0 or at >= ends[-1]:
        return tokens, tokens[:0]
    first = int(np.searchsorted(ends, at, side="right"))  # the token with byte `at`
    begins = vocabulary.starts_break[tokens].copy()
    begins[1:] &= ~vocabulary.ends_break[tokens[:-1]]
    begins[0] = True
    line_starts = np.flatnonzero(begins)
    i = int(np.searchsorted(line_starts, first, side="right")) - 1
    lo = int(line_starts[i])
    hi = int(line_starts[i + 1]) if i + 1 < len(line_starts) else len(tokens)
    line = vocabulary.decode(tokens[lo:hi])
    within = at - int(ends[lo] - vocabulary.n_bytes[tokens[lo]])
    if within == 0:
        return tokens[:lo], tokens[lo:]
    if len(line) > MAX_LINE_BYTES:
        return None
    left, right = vocabulary.encode(line[:within]), vocabulary.encode(line[within:])
    return np.concatenate([tokens[:lo], left]).astype(np.uint16), np.concatenate([right, tokens[hi:]]).astype(np.uint16)


def choose_span(text, rng):
    """[start, end) of the bytes to fill in, at character boundaries; None if the text is too short."""
    if len(text) < 16:
        return None
    kind = rng.random()
    for share, choose in _KINDS:
        if kind < share:
            break
        kind -= share
    for _ in range(N_TRIES):
        span = choose(text, rng)
        if span is not None and text[span[0] : span[1]].strip():
            return tuple(_character_start(text, at) for at in span)
    return None


def asked_start(text, at):
    """Where the middle begins for a cursor at byte `at`: before the word there, its blanks, and the break before them."""
    before = text[max(0, at - _UNFINISHED_BYTES) : at].decode(errors="ignore")
    found = _UNFINISHED.search(before)
    return at - len(found[0].encode()) if found else at


def _whole_line(text, rng):
    start, end = _line(text, int(rng.integers(0, len(text))))
    return _break_before(text, start), end


def _rest_of_line(text, rng):
    start, end = _line(text, int(rng.integers(0, len(text))))
    first = start + _indentation(text[start:end])
    if end - first < 2:
        return None
    at = asked_start(text, _character_start(text, int(rng.integers(first + 1, end))))
    return (at, end) if at > first else None  # else it is the whole line


def _block(text, rng):
    return _BLOCKS[int(rng.integers(len(_BLOCKS)))](text, rng)


_CLOSING = {ord("("): ord(")"), ord("["): ord("]"), ord("{"): ord("}")}


def _in_brackets(text, rng):
    at = int(rng.integers(0, len(text)))
    opens = [i for i in (text.find(bracket, at, at + 400) for bracket in (b"(", b"[", b"{")) if i >= 0]
    if not opens:
        return None
    start = min(opens)
    opening, closing, depth = text[start], _CLOSING[text[start]], 0
    for i in range(start, min(len(text), start + MAX_BLOCK_BYTES)):
        depth += (text[i] == opening) - (text[i] == closing)
        if depth == 0:
            return start + 1, i
    return None


def _indented_deeper(text, rng):
    """The lines below one that are indented deeper, without blank ones at their end."""
    line_start, head_end = _line(text, int(rng.integers(0, len(text))))
    head = text[line_start:head_end]
    if not head.strip():
        return None
    end = head_end
    for start, line_end in _lines_below(text, head_end):
        line = text[start:line_end]
        if line.strip():
            if _indentation(line) <= _indentation(head) or line_end - head_end > MAX_BLOCK_BYTES:
                break
            end = line_end
    return head_end, end


def _several_lines(text, rng):
    start, end = _line(text, int(rng.integers(0, len(text))))
    n_more = int(rng.integers(1, 8))
    for _, (_, line_end) in zip(range(n_more), _lines_below(text, end)):
        end = line_end
    return _break_before(text, start), end


_BLOCKS = (_in_brackets, _indented_deeper, _several_lines)


def _characters(text, rng):
    if rng.random() < 0.5:
        start, end = sorted(rng.integers(0, len(text) + 1, 2).tolist())
        return start, end
    start = int(rng.integers(0, len(text)))
    n = math.exp(rng.uniform(0, math.log(max(2, len(text) // 3))))
    return start, min(len(text), start + max(1, int(n)))


#: How often each is tried. Prompts for lines are what an editor sends with every key, so they are most of it.
_KINDS = ((0.35, _whole_line), (0.30, _rest_of_line), (0.20, _block), (0.15, _characters))


def _character_start(text, at):
    while 0 < at < len(text) and (text[at] & 0xC0) == 0x80:
        at -= 1
    return at


def _line(text, at):
    """[start, end) of the line with byte `at`, without its break"""
    start = text.rfind(b"\n", 0, at) + 1
    end = text.find(b"\n", at)
    return start, len(text) if end < 0 else _break_start(text, end)


def _lines_below(text, line_end):
    """[start, end) of each line after the one that ends at `line_end`"""
    newline = text.find(b"\n", line_end)
    while 0 <= newline and newline + 1 < len(text):
        start, end = _line(text, newline + 1)
        yield start, end
        newline = text.find(b"\n", end)


def _break_before(text, line_start):
    """Where the break begins that ends the line before; the text's start has none."""
    return _break_start(text, line_start - 1) if line_start > 0 else 0


def _break_start(text, newline):
    return newline - 1 if text[newline - 1 : newline] == b"\r" else newline


def _indentation(line):
    return len(line) - len(line.lstrip())
