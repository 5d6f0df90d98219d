"""A vocabulary that `outpost-engine train-tokenizer` wrote as JSON: bytes of tokens, and the encoding of short texts.

Corpora are encoded by the engine. What is left for Python are the lines that a cut of fill-in-the-middle goes through.
"""
import json
import re
import unicodedata

import numpy as np

BOS, EOT, PAD, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, FIM_PAD, REPOSITORY, FILE = range(9)  # native/tokenizer/trainer/
NEWLINE = 32 + ord("\n")  # bytes follow the special tokens

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in set(_PRINTABLE)]
#: GPT-2's spelling of bytes that are no character alone: the others in order from U+0100 on.
_SPELLING = {chr(byte): byte for byte in _PRINTABLE} | {chr(256 + i): byte for i, byte in enumerate(_OTHERS)}


class Vocabulary:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            tokens = json.load(file)["tokens"]
        #: [n_tokens] bytes of each token; none for special ones
        self.bytes = [self._bytes_of(token) for token in tokens]
        self.n_special = sum("special" in token for token in tokens)
        self._merges = {(t["left"], t["right"]): t["id"] for t in tokens if "left" in t}
        #: [n_tokens] int64
        self.n_bytes = np.array([len(text) for text in self.bytes], dtype=np.int64)
        #: [n_tokens] whether a token starts or ends with a line end: lines are encoded one by one
        self.starts_break = np.array([text[:1] in (b"\n", b"\r") for text in self.bytes])
        self.ends_break = np.array([text[-1:] in (b"\n", b"\r") for text in self.bytes])

    def __len__(self):
        return len(self.bytes)

    @staticmethod
    def _bytes_of(token):
        if "special" in token:
            return b""
        if "text" in token:
            return token["text"].encode()
        return bytes(_SPELLING[char] for char in token["bytes"])

    def decode(self, ids):
        return b"".join(self.bytes[i] for i in ids)

    def encode(self, text):
        """Ids of a short text, by the definition of byte-pair encoding; `text` is bytes of whole characters."""
        return [i for piece in split_pieces(text.decode()) for i in self._encode_piece(piece.encode())]

    def _encode_piece(self, piece):
        ids = [self.n_special + byte for byte in piece]
        while len(ids) > 1:
            # Ids are in the order of learning, so the lowest joined id is the merge to do first, leftmost first.
            joined = [self._merges.get(pair, len(self)) for pair in zip(ids, ids[1:])]
            best = min(joined)
            if best == len(self):
                break
            at = joined.index(best)
            ids[at : at + 2] = [best]
        return ids


def split_pieces(text):
    """Lines with the line ends before them, numbers apart, ASCII digits in threes from the right ("superbpe")."""
    pieces = []
    for number, other in _runs_of_numbers(text):
        if number:
            pieces += re.split(r"(?=(?:[0-9]{3})+(?![0-9]))", number)
        else:
            pieces += re.split(r"(?<=[^\r\n])(?=[\r\n])", other)
    return [piece for piece in pieces if piece]


def _runs_of_numbers(text):
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or _is_number(text[i]) != _is_number(text[start]):
            run = text[start:i]
            yield (run, "") if _is_number(run[0]) else ("", run)
            start = i


def _is_number(char):
    return "0" <= char <= "9" if char < "\x80" else unicodedata.category(char)[0] == "N"
