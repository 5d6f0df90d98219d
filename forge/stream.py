"""Training sequences from token shards: files of one repository in order, packed, with fill-in-the-middle.

A shard is a file of little-endian uint16 ids:  REPOSITORY name (FILE path "\\n" content)*  and so on. Control tokens
occur nowhere else, so the structure is read off the ids. Cuts are made anew each time a file is seen, at characters,
and give the same ids as encoding the parts apart: what an editor's request looks like.

A batch is a function of (segment, step) alone: any number of processes can make them, and a run that resumes goes on
with the same data.
"""
import dataclasses
import math
import os

import numpy as np

from vocabulary import BOS, EOT, FILE, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, NEWLINE, REPOSITORY

MAX_LINE_BYTES = 400  # longer lines are not cut: encoding them in Python would take long, and nobody writes them


@dataclasses.dataclass(frozen=True)
class StreamOptions:
    n_ctx: int
    n_batch: int  # sequences of a step
    fim_rate: float = 0.6  # of the chunks of files
    header_rate: float = 0.7  # of the runs: those that name the repository and the files
    seed: int = 0

    @property
    def step_tokens(self):
        return self.n_batch * (self.n_ctx + 1)

    @property
    def run_tokens(self):
        """Most tokens of one repository in one place: long enough for several files, and a step has many."""
        return max(self.n_ctx, min(16384, self.step_tokens // 32))


@dataclasses.dataclass(frozen=True)
class Segment:
    """One pass over some shards: the steps from `first_step` on, until all of their tokens were seen."""

    shards: tuple
    first_step: int
    n_steps: int


def list_shards(directory):
    """Names of the shards that are there now; a shard is renamed to its name when it is complete."""
    return sorted(name for name in os.listdir(directory) if name.endswith(".tokens"))


def next_segment(directory, visits, first_step, options):
    """The shards that were seen least so far, of those that are there now. `visits` maps names to passes."""
    names = list_shards(directory)
    if not names:
        raise SystemExit(f"There are no token shards (*.tokens) in {directory}.")
    fewest = min(visits.get(name, 0) for name in names)
    chosen = tuple(name for name in names if visits.get(name, 0) == fewest)
    n_tokens = sum(os.path.getsize(os.path.join(directory, name)) // 2 for name in chosen)
    # Names and paths are repeated where a repository is seen in parts: 5 % more than the shards hold.
    return Segment(chosen, first_step, max(1, math.ceil(1.05 * n_tokens / options.step_tokens)))


class TokenStream:
    """The batches of one segment."""

    def __init__(self, directory, segment, vocabulary, options):
        self._vocabulary = vocabulary
        self._options = options
        self._segment = segment
        self._tokens = [np.memmap(os.path.join(directory, name), dtype="<u2", mode="r") for name in segment.shards]
        line_start = vocabulary.starts_break
        runs = [
            run for i, tokens in enumerate(self._tokens) for run in find_runs(i, tokens, options.run_tokens, line_start)
        ]
        if not runs:
            raise SystemExit(f"The shards {', '.join(segment.shards)} hold no files.")
        order = np.random.default_rng((options.seed, segment.first_step)).permutation(len(runs))
        self._runs = [runs[i] for i in order]
        # Where each run starts among all tokens of the pass; a step begins with the first run that starts in its share.
        self._starts = np.cumsum([0] + [run.n_tokens for run in self._runs])[:-1]
        self._n_tokens = sum(run.n_tokens for run in self._runs)

    def batch(self, step):
        """[n_batch, n_ctx + 1] int64 of `step`, counted from the start of the training."""
        options = self._options
        rng = np.random.default_rng((options.seed, step, 1))
        share = (step - self._segment.first_step) * self._n_tokens / self._segment.n_steps
        at = int(np.searchsorted(self._starts, share)) % len(self._runs)
        parts, n = [], 0
        while n < options.step_tokens:
            part = self._run_ids(self._runs[at % len(self._runs)], rng)
            parts.append(part)
            n += len(part)
            at += 1
        ids = np.concatenate(parts)[: options.step_tokens].astype(np.int64)
        sequences = ids.reshape(options.n_batch, options.n_ctx + 1)
        return sequences[rng.permutation(options.n_batch)]

    def _run_ids(self, run, rng):
        tokens = self._tokens[run.shard]
        has_header = rng.random() < self._options.header_rate
        out = [[BOS]]
        if has_header:
            out += [[REPOSITORY], tokens[run.name[0] : run.name[1]]]
        for path, content in run.files:
            header = [[FILE], tokens[path[0] : path[1]]] if has_header else []
            if not has_header and len(out) > 1:
                out.append([BOS])
            if header:
                out += header
            out += self._content_ids(tokens[content[0] : content[1]], header, rng)
        return np.concatenate([np.asarray(part, dtype=np.uint16) for part in out])

    def _content_ids(self, tokens, header, rng):
        """Parts of the ids of one file. One with cuts ends with EOT; what follows it begins like a file again."""
        out = []
        start = 0
        while start < len(tokens):
            # Chunks of different sizes, so that a model sees short and long surroundings.
            end = start + int(self._options.n_ctx * rng.uniform(0.2, 0.8))
            while end < len(tokens) and not self._vocabulary.starts_break[tokens[end]]:
                end += 1
            chunk = tokens[start:end]
            cut = self._cut_chunk(chunk, rng) if rng.random() < self._options.fim_rate else None
            out += cut if cut is not None else [chunk]
            start += len(chunk)
            if cut is not None and start < len(tokens):
                out += header or [[BOS]]
            elif start >= len(tokens) and cut is None:
                out.append([EOT])
        return out

    def _cut_chunk(self, tokens, rng):
        text = self._vocabulary.decode(tokens)
        span = choose_span(text, rng)
        if span is None:
            return None
        left, suffix = cut_tokens(self._vocabulary, tokens, span[1]) or (None, None)
        if left is None:
            return None
        prefix, middle = cut_tokens(self._vocabulary, left, span[0]) or (None, None)
        if prefix is None:
            return None
        if rng.random() < 0.5:  # prefix-suffix-middle, or suffix-prefix-middle (arXiv:2207.14255)
            return [[FIM_PREFIX], prefix, [FIM_SUFFIX], suffix, [FIM_MIDDLE], middle, [EOT]]
        return [[FIM_SUFFIX], suffix, [FIM_PREFIX], prefix, [FIM_MIDDLE], middle, [EOT]]


@dataclasses.dataclass(frozen=True)
class Run:
    """Files of one repository that follow each other; pairs are [start, end) in the shard."""

    shard: int
    name: tuple
    files: tuple  # of (path with its line end, content)
    n_tokens: int


def find_runs(shard, tokens, run_tokens, line_start):
    """The files of a shard in order, long ones in parts that begin with a line.

    @param line_start [n_vocab] whether a token begins with a line end
    @raise SystemExit for ids that are no shard
    """
    marks = np.flatnonzero((tokens == REPOSITORY) | (tokens == FILE))
    if len(marks) == 0 or marks[0] != 0 or tokens[0] != REPOSITORY:
        raise SystemExit(f"Token shard {shard} does not begin with a repository.")
    runs, name, files, n_tokens = [], None, [], 0

    def flush():
        nonlocal files, n_tokens
        if files:
            runs.append(Run(shard, name, tuple(files), n_tokens))
        files, n_tokens = [], 0

    for mark, mark_end in zip(marks.tolist(), np.append(marks[1:], len(tokens)).tolist()):
        if tokens[mark] == REPOSITORY:
            flush()
            name = (mark + 1, mark_end)
            continue
        found = np.flatnonzero(tokens[mark : min(mark_end, mark + 512)] == NEWLINE)
        if len(found) == 0:
            raise SystemExit(f"Token shard {shard}: the file at {mark} has no path.")
        start = mark + int(found[0]) + 1
        path = (mark + 1, start)
        while start < mark_end:
            end = min(mark_end, start + run_tokens)
            while end < mark_end and not line_start[tokens[end]]:
                end += 1
            if n_tokens + end - start > run_tokens:
                flush()
            files.append((path, (start, end)))
            n_tokens += end - start
            start = end
    flush()
    return runs


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
    """[start, end) of the bytes to fill in, at character boundaries; None if the text is too short.

    A third each: characters anywhere; lines, or the rest of one; a syntax node, as far as brackets and indentation
    tell.
    """
    if len(text) < 16:
        return None
    kind = rng.random()
    span = None
    if kind > 2 / 3:
        span = _node_span(text, rng)
    elif kind > 1 / 3:
        span = _line_span(text, rng)
    if span is None:
        span = _character_span(text, rng)
    start, end = (_character_start(text, at) for at in span)
    return (start, end) if start < end else None


def _character_start(text, at):
    while 0 < at < len(text) and (text[at] & 0xC0) == 0x80:
        at -= 1
    return at


def _character_span(text, rng):
    if rng.random() < 0.5:
        start, end = sorted(rng.integers(0, len(text) + 1, 2).tolist())
        return start, end
    start = int(rng.integers(0, len(text)))
    n = math.exp(rng.uniform(0, math.log(max(2, len(text) // 3))))
    return start, min(len(text), start + max(1, int(n)))


def _line_span(text, rng):
    """From a place in a line to its end, or some whole lines without the last line's end."""
    at = int(rng.integers(0, len(text)))
    line_start = text.rfind(b"\n", 0, at) + 1
    line_end = text.find(b"\n", at)
    line_end = len(text) if line_end < 0 else line_end
    if rng.random() < 0.6:
        indentation = len(text[line_start:line_end]) - len(text[line_start:line_end].lstrip())
        # Where somebody asks for the rest of a line: after the indentation, or at any place after it.
        start = line_start + indentation if rng.random() < 0.4 else max(at, line_start + indentation)
        return (start, line_end) if start < line_end else None
    for _ in range(int(rng.integers(0, 8))):
        next_end = text.find(b"\n", line_end + 1)
        line_end = len(text) if next_end < 0 else next_end
    return (line_start, line_end) if line_start < line_end else None


_CLOSING = {ord("("): ord(")"), ord("["): ord("]"), ord("{"): ord("}")}


def _node_span(text, rng):
    """What a pair of brackets encloses, or the lines indented deeper than the one before them."""
    at = int(rng.integers(0, len(text)))
    if rng.random() < 0.5:
        opens = [i for i in (text.find(bracket, at, at + 400) for bracket in (b"(", b"[", b"{")) if i >= 0]
        if opens:
            start = min(opens)
            opening, closing, depth = text[start], _CLOSING[text[start]], 0
            for i in range(start, min(len(text), start + 4000)):
                depth += (text[i] == opening) - (text[i] == closing)
                if depth == 0:
                    return (start + 1, i) if i > start + 1 else None
        return None
    line_start = text.rfind(b"\n", 0, at) + 1
    head_end = text.find(b"\n", at)
    if head_end < 0:
        return None
    head = _indentation(text[line_start:head_end])
    end = head_end
    while end < len(text):
        next_end = text.find(b"\n", end + 1)
        next_end = len(text) if next_end < 0 else next_end
        line = text[end + 1 : next_end]
        if line.strip() and _indentation(line) <= head:
            break
        end = next_end
    return (head_end + 1, end) if end > head_end + 1 else None


def _indentation(line):
    return len(line) - len(line.lstrip())
