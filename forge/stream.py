"""Training sequences from token shards: files of one repository in order, packed, with fill-in-the-middle.

A shard is a file of little-endian uint16 ids:  REPOSITORY name (FILE path "\\n" content)*  and so on. Control tokens
occur nowhere else, so the structure is read off the ids. Cuts (cuts.py) are made anew each time a file is seen, and give
the same ids as encoding the parts apart: what an editor's request looks like. Plain text runs on from one sequence into
the next; a block with a cut is always whole in one, because a middle without its prefix and suffix teaches nothing
(arXiv:2404.10830 on texts that are cut off in general).

A batch is a function of (segment, step) alone: any number of processes can make them, and a run that resumes goes on
with the same data.
"""
import dataclasses
import math
import os

import numpy as np

from cuts import choose_span, cut_tokens
from similar import MAX_PART_TOKENS, SimilarParts
from vocabulary import BOS, EOT, FILE, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, NEWLINE, REPOSITORY

#: Of what is cut. The app asks suffix first, so that a key that is typed adds tokens at the end; others ask prefix first.
PREFIX_FIRST = 0.1

#: What a cut may add: four control tokens, EOT, and what two lines take more when they are encoded in two parts.
BLOCK_OVERHEAD = 24


@dataclasses.dataclass(frozen=True)
class StreamOptions:
    n_ctx: int
    n_batch: int  # sequences of a step
    #: Of the chunks of files. Some find no room in their sequence or cannot be cut: those that are have 66 % of the tokens
    #: (30.6 M tokens of `--seed 3`, sequences of 4,096).
    fim_rate: float = 0.75
    header_rate: float = 0.7  # of the runs: those that name the repository and the files
    joined_rate: float = 0.5  # of the runs with names: their files follow each other without EOT, as in the app's prompts
    chunk: tuple = (0.2, 0.8)  # of n_ctx: the smallest and the largest; each size is as likely as its double
    similar_rate: float = 0.0  # of the chunks that begin with a name: behind what is like them in another file (similar.py)
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
    # Names and paths are repeated where a file is cut: 1 % more than the shards hold (the same 5.4 M tokens).
    return Segment(chosen, first_step, max(1, math.ceil(1.01 * n_tokens / options.step_tokens)))


class TokenStream:
    """The batches of one segment."""

    def __init__(self, directory, segment, vocabulary, options):
        self._vocabulary = vocabulary
        self._options = options
        self._segment = segment
        self._tokens = [np.memmap(os.path.join(directory, name), dtype="<u2", mode="r") for name in segment.shards]
        self._similar = SimilarParts(vocabulary)
        line_start = vocabulary.starts_break
        runs = [
            run
            for i, tokens in enumerate(self._tokens)
            for repository in find_repositories(i, tokens)
            for run in find_runs(repository, tokens, options.run_tokens, line_start)
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
        sequences = Sequences(options.n_batch, options.n_ctx + 1)
        while not sequences.is_full:
            self._add_run(self._runs[at % len(self._runs)], sequences, rng)
            at += 1
        return sequences.ids[rng.permutation(options.n_batch)]

    def _add_run(self, run, sequences, rng):
        tokens, options = self._tokens[run.shard], self._options
        has_header, is_joined = rng.random() < options.header_rate, rng.random() < options.joined_rate
        repository = run.repository
        name = [[BOS], [REPOSITORY], tokens[repository.name[0] : repository.name[1]]]
        first = name if has_header else []
        for i_file, (start, end) in run.files:
            path = repository.files[i_file][0]
            header = [[FILE], tokens[path[0] : path[1]]] if has_header else [[BOS]]

            def like(text):
                part = self._similar.find(tokens, repository.files, i_file, text)
                return None if part is None else [*name, [FILE], *part]

            ends_with_eot = not (has_header and is_joined) or (i_file, (start, end)) == run.files[-1]
            like = like if has_header else None
            self._add_content(tokens[start:end], first, header, like, ends_with_eot, sequences, rng)
            first = []

    def _add_content(self, tokens, first, header, like, ends_with_eot, sequences, rng):
        """The ids of one file, in chunks of different sizes, so that a model sees short and long surroundings.

        A chunk with a cut stands behind a header of its own, as in a prompt, and ends with EOT; what follows it begins like
        a file again.

        @param first what stands before the first header
        @param like of ids, what stands before the header in its place: something like them of another file; or None
        """
        options = self._options
        at, goes_on = 0, False
        while at < len(tokens) and not sequences.is_full:
            n = min(int(options.n_ctx * math.exp(rng.uniform(*map(math.log, options.chunk)))), len(tokens) - at)
            is_cut = rng.random() < options.fim_rate
            room = sequences.room - _n_ids([*first, *header]) - BLOCK_OVERHEAD
            least = min(n, options.n_ctx // 8)  # less around a gap is not worth it
            is_like = like is not None and rng.random() < options.similar_rate and room - MAX_PART_TOKENS >= least
            if is_like:
                room -= MAX_PART_TOKENS
            if is_cut and room < least:  # plain text fills the room
                n, is_cut = sequences.room, False
            end = self._last_line_start(tokens, at, at + min(n, room)) if is_cut else None
            block = None if end is None else self._cut_chunk(tokens[at:end], rng)
            if block is not None:
                ids = self._laid_out(*block, rng)
                before = (like(block[0]) if is_like else None) or first
            if block is not None and _n_ids(parts := [*before, *header, *ids]) <= sequences.room:
                sequences.add(*parts)
                goes_on = False
            else:
                end = self._next_line_start(tokens, at + n)
                if not goes_on:
                    sequences.add(*((like(tokens[at : at + n]) if is_like else None) or first), *header)
                sequences.add(tokens[at:end])
                goes_on = True
            at, first = end, []
        if goes_on and ends_with_eot:
            sequences.add([EOT])

    def _next_line_start(self, tokens, at):
        while at < len(tokens) and not self._vocabulary.starts_break[tokens[at]]:
            at += 1
        return min(at, len(tokens))

    def _last_line_start(self, tokens, start, end):
        """Behind `start`, and at `end` at most; None if there is none: elsewhere a character may be in two tokens."""
        if end >= len(tokens):
            return len(tokens)
        found = np.flatnonzero(self._vocabulary.starts_break[tokens[start + 1 : end + 1]])
        return start + 1 + int(found[-1]) if len(found) else None

    def _cut_chunk(self, tokens, rng):
        """@return ids of (prefix, suffix, middle), or None if the chunk is too short or a line of it too long"""
        span = choose_span(self._vocabulary.decode(tokens), rng)
        if span is None:
            return None
        left, suffix = cut_tokens(self._vocabulary, tokens, span[1]) or (None, None)
        if left is None:
            return None
        prefix, middle = cut_tokens(self._vocabulary, left, span[0]) or (None, None)
        if prefix is None:
            return None
        return prefix, suffix, middle

    @staticmethod
    def _laid_out(prefix, suffix, middle, rng):
        if rng.random() < PREFIX_FIRST:  # prefix-suffix-middle, or suffix-prefix-middle (arXiv:2207.14255)
            return [[FIM_PREFIX], prefix, [FIM_SUFFIX], suffix, [FIM_MIDDLE], middle, [EOT]]
        return [[FIM_SUFFIX], suffix, [FIM_PREFIX], prefix, [FIM_MIDDLE], middle, [EOT]]


def _n_ids(parts):
    return sum(map(len, parts))


class Sequences:
    """Rows of ids, filled one after the other."""

    def __init__(self, n_rows, n_tokens):
        self.ids = np.zeros((n_rows, n_tokens), dtype=np.int64)
        self._flat, self._n = self.ids.reshape(-1), 0

    @property
    def is_full(self):
        return self._n == len(self._flat)

    @property
    def room(self):
        """In the row that is being filled"""
        return self.ids.shape[1] - self._n % self.ids.shape[1]

    def add(self, *parts):
        """What has no room in the last row is left out."""
        for part in parts:
            end = min(self._n + len(part), len(self._flat))
            self._flat[self._n : end] = part[: end - self._n]
            self._n = end


@dataclasses.dataclass(frozen=True)
class Repository:
    """Pairs are [start, end) in the shard."""

    shard: int
    name: tuple
    files: tuple  # of (path with its line end, content)


@dataclasses.dataclass(frozen=True)
class Run:
    """Files of one repository that follow each other."""

    repository: Repository
    files: tuple  # of (which of the repository's, [start, end) of its content or of a part of that)
    n_tokens: int

    @property
    def shard(self):
        return self.repository.shard


def find_repositories(shard, tokens):
    """@raise SystemExit for ids that are no shard"""
    marks = np.flatnonzero((tokens == REPOSITORY) | (tokens == FILE))
    if len(marks) == 0 or marks[0] != 0 or tokens[0] != REPOSITORY:
        raise SystemExit(f"Token shard {shard} does not begin with a repository.")
    repositories = []
    for mark, mark_end in zip(marks.tolist(), np.append(marks[1:], len(tokens)).tolist()):
        if tokens[mark] == REPOSITORY:
            repositories.append(((mark + 1, mark_end), []))
            continue
        found = np.flatnonzero(tokens[mark : min(mark_end, mark + 512)] == NEWLINE)
        if len(found) == 0:
            raise SystemExit(f"Token shard {shard}: the file at {mark} has no path.")
        start = mark + int(found[0]) + 1
        repositories[-1][1].append(((mark + 1, start), (start, mark_end)))
    return [Repository(shard, name, tuple(files)) for name, files in repositories]


def find_runs(repository, tokens, run_tokens, line_start):
    """The files in order, long ones in parts that begin with a line.

    @param line_start [n_vocab] whether a token begins with a line end
    """
    runs, files, n_tokens = [], [], 0
    for i_file, (_, (start, file_end)) in enumerate(repository.files):
        while start < file_end:
            end = min(file_end, start + run_tokens)
            while end < file_end and not line_start[tokens[end]]:
                end += 1
            if files and n_tokens + end - start > run_tokens:
                runs.append(Run(repository, tuple(files), n_tokens))
                files, n_tokens = [], 0
            files.append((i_file, (start, end)))
            n_tokens += end - start
            start = end
    if files:
        runs.append(Run(repository, tuple(files), n_tokens))
    return runs
