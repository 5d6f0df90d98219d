"""What the cuts of the training's sequences look like, on shards that are there.

    python3 forge/cut_statistics.py --data DIR --vocabulary FILE.json [--steps N]
"""
import argparse
import re

import numpy as np

from stream import StreamOptions, TokenStream, next_segment
from vocabulary import EOT, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, Vocabulary


def blocks_of(row, vocabulary):
    """@return ([(whether the suffix is first, prefix, suffix, middle)], tokens of these, marks of cut-off blocks)"""
    marks = np.flatnonzero(np.isin(row, (FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, EOT)))
    blocks, n_tokens, n_cut_off, i = [], 0, 0, 0
    while i < len(marks):
        kinds = row[marks[i : i + 4]].tolist()
        if kinds in ([FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, EOT], [FIM_SUFFIX, FIM_PREFIX, FIM_MIDDLE, EOT]):
            first, second, middle, end = marks[i : i + 4]
            texts = [vocabulary.decode(row[a + 1 : b]) for a, b in ((first, second), (second, middle), (middle, end))]
            is_suffix_first = kinds[0] == FIM_SUFFIX
            prefix, suffix = (texts[1], texts[0]) if is_suffix_first else (texts[0], texts[1])
            blocks.append((is_suffix_first, prefix, suffix, texts[2]))
            n_tokens += end - first + 1
            i += 4
        else:
            n_cut_off += row[marks[i]] != EOT
            i += 1
    return blocks, n_tokens, n_cut_off


LINE_ENDS = (b"", b"\n", b"\r")

#: Shares of the blocks: what a block is, from its prefix, suffix and middle.
KINDS = {
    "one whole line, with the break before it": lambda prefix, suffix, middle: (
        (middle[:1] in (b"\n", b"\r") or prefix == b"")
        and b"\n" not in middle.lstrip(b"\r\n")
        and suffix[:1] in LINE_ENDS
    ),
    "the rest of a line": lambda prefix, suffix, middle: (
        b"\n" not in middle and prefix[-1:] not in (b"", b"\n") and suffix[:1] in LINE_ENDS
    ),
    "several lines": lambda prefix, suffix, middle: b"\n" in middle.strip(b"\r\n"),
    "begins inside a word": lambda prefix, suffix, middle: (
        re.search(rb"[\w$]\Z", prefix) is not None and re.match(rb"[\w$]", middle) is not None
    ),
    "begins behind blanks": lambda prefix, suffix, middle: prefix[-1:] in (b" ", b"\t"),
    "begins behind a break": lambda prefix, suffix, middle: prefix[-1:] == b"\n",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--ctx", type=int, default=4096)
    parser.add_argument("--fim-rate", type=float, default=StreamOptions.fim_rate)
    parser.add_argument("--similar-rate", type=float, default=StreamOptions.similar_rate)
    parser.add_argument("--chunk", type=float, nargs=2, default=StreamOptions.chunk)
    arguments = parser.parse_args()
    vocabulary = Vocabulary(arguments.vocabulary)
    options = StreamOptions(arguments.ctx, 64, fim_rate=arguments.fim_rate, similar_rate=arguments.similar_rate,
                            chunk=tuple(arguments.chunk))
    segment = next_segment(arguments.data, {}, 0, options)
    stream = TokenStream(arguments.data, segment, vocabulary, options)
    rows = [row for step in range(min(arguments.steps, segment.n_steps)) for row in stream.batch(step)]
    found = [blocks_of(row, vocabulary) for row in rows]
    blocks = [block for some, _, _ in found for block in some]
    n_tokens, n_cut_off = (sum(one[i] for one in found) for i in (1, 2))
    share = n_tokens / sum(map(len, rows))
    print(f"{len(rows)} sequences, {len(blocks)} blocks with {share:.1%} of the tokens, {n_cut_off} marks of cut-off ones")
    print(f"suffix first: {np.mean([block[0] for block in blocks]):.1%}")
    for name, is_kind in KINDS.items():
        print(f"{name}: {np.mean([bool(is_kind(*block[1:])) for block in blocks]):.1%}")


if __name__ == "__main__":
    main()
