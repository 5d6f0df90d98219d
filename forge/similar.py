"""The part of another file that looks most like a place, as the app shows it to the model (electron/workspace/similar.ts).

The app compares identifiers; what a shard holds are tokens, and those with names in them tell nearly the same.
"""
import re

import numpy as np

from vocabulary import NEWLINE

MAX_PART_TOKENS = 640
_NAME_TOKENS = 32  # of a repository's name and what marks it and the file
_PART_TOKENS = 500  # 64 lines have about as many
_STEP_TOKENS = _PART_TOKENS // 2
#: Near by is what counts: files are in the order of their paths.
_MOST_FILES = 40
_MOST_WINDOWS = 100
#: Of tokens with names that either has, the share that both have (Jaccard). Less is what any two files have.
_LEAST_SHARE = 0.1

#: Languages that are written in one file and used from another (similar.ts).
_FAMILIES = (
    ("ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"),
    ("c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "cu", "cuh"),
    ("py", "pyi"),
)


class SimilarParts:
    def __init__(self, vocabulary):
        self._vocabulary = vocabulary
        self._has_name = np.array([re.search(rb"[A-Za-z_$][\w$]{2}", text) is not None for text in vocabulary.bytes])

    def find(self, tokens, files, i_file, text):
        """What is most like `text`, ids of file `i_file`, in another one near by that is of its language.

        @param files of (path, content), pairs of [start, end) in `tokens`
        @return (its path with the line end, the ids of whole lines); None if nothing is like it, or if they and the name of a
            repository might be more than MAX_PART_TOKENS
        """
        wanted = self._names(text)
        best, found = _LEAST_SHARE, None
        for i, start, end in self._windows_near(tokens, files, i_file):
            names = self._names(tokens[start:end])
            n_shared = len(wanted & names)
            share = n_shared / max(1, len(wanted) + len(names) - n_shared)
            if share > best:
                best, found = share, (i, start, end)
        if found is None:
            return None
        i, start, end = found
        path = tokens[slice(*files[i][0])]
        part = self._lines(tokens, start, end, files[i][1])
        return (path, part) if part is not None and len(path) + len(part) <= MAX_PART_TOKENS - _NAME_TOKENS else None

    def _names(self, tokens):
        ids = np.unique(tokens)
        return frozenset(ids[self._has_name[ids]].tolist())

    def _windows_near(self, tokens, files, i_file):
        ending = self._ending(tokens, files[i_file])
        if ending is None:
            return
        family = next((family for family in _FAMILIES if ending in family), (ending,))
        n_files = n_windows = 0
        for distance in range(1, len(files)):
            for i in (i_file + distance, i_file - distance):
                if not 0 <= i < len(files) or self._ending(tokens, files[i]) not in family:
                    continue
                n_files += 1
                if n_files > _MOST_FILES:
                    return
                start, end = files[i][1]
                for at in range(start, max(start + 1, end - _STEP_TOKENS), _STEP_TOKENS):
                    n_windows += 1
                    if n_windows > _MOST_WINDOWS:
                        return
                    yield i, at, min(end, at + _PART_TOKENS)

    def _ending(self, tokens, file):
        path = self._vocabulary.decode(tokens[slice(*file[0])]).rstrip(b"\n").decode(errors="replace")
        return path.rsplit(".", 1)[-1].lower() if "." in path else None

    def _lines(self, tokens, start, end, content):
        """Whole lines of the window with a break at their end, the first one encoded without the break before it."""
        starts_break = self._vocabulary.starts_break
        while start > content[0] and start < end and not starts_break[tokens[start]]:
            start += 1
        while end < content[1] and end > start and not starts_break[tokens[end]]:
            end -= 1
        if start >= end:
            return None
        first = start + 1
        while first < end and not starts_break[tokens[first]]:
            first += 1
        line = self._vocabulary.decode(tokens[start:first]).lstrip(b"\r\n") if start > content[0] else None
        head = tokens[start:first] if line is None else self._vocabulary.encode(line)
        return np.concatenate([head, tokens[first:end], [NEWLINE]]).astype(np.uint16)
