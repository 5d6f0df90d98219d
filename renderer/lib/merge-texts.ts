// Two texts that were made from one become one again, by lines ("A Formal Investigation of Diff3", Khanna, Kunal and
// Pierce, 2007). Cautious: where both changed the same line, or lines without one between them, nobody can know what is
// meant.
import { diffLines, type LineChange, splitLines } from './line-diff.ts';

/** Longer texts are not worth the memory of a second copy, nor the time of two comparisons. */
export const kMostMergedChars = 2_000_000;

/** @return null where both changed the same place in different ways */
export function mergeTexts(base: string, mine: string, theirs: string): string | null {
  if (mine === theirs || theirs === base) return mine;
  if (mine === base) return theirs;
  if (Math.max(base.length, mine.length, theirs.length) > kMostMergedChars) return null;
  const old = splitLines(base);
  const sides = [splitLines(mine), splitLines(theirs)] as const;
  const changes = sides
    .flatMap((lines) => diffLines(old, lines).map((change) => ({ ...change, lines: linesOf(lines, change) })))
    .sort((a, b) => a.oldStart - b.oldStart || a.oldEnd - b.oldEnd);
  const merged: string[] = [];
  let at = 0;
  let last: (typeof changes)[number] | null = null;
  for (const change of changes) {
    if (last !== null && change.oldStart <= last.oldEnd) {
      if (!isSameChange(last, change)) return null;
      continue;
    }
    merged.push(...old.slice(at, change.oldStart), ...change.lines);
    at = change.oldEnd;
    last = change;
  }
  merged.push(...old.slice(at));
  return merged.join('');
}

function linesOf(lines: readonly string[], { newStart, newEnd }: LineChange): string[] {
  return lines.slice(newStart, newEnd);
}

interface Change extends LineChange {
  lines: readonly string[];
}

function isSameChange(a: Change, b: Change): boolean {
  return a.oldStart === b.oldStart && a.oldEnd === b.oldEnd && a.lines.join('') === b.lines.join('');
}
