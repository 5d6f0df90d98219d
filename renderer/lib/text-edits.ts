// A new text as edits of the old one, each as small as possible: so a cursor stays where it is in what did not change.
import { diffLines, splitLines } from './line-diff.ts';

/** Characters `start` to `end` of the old text become `text`. */
export interface ReplacedText {
  start: number;
  end: number;
  text: string;
}

/** To compare longer texts line by line would be felt; they get one edit. */
const kMostComparedChars = 1_000_000;

/** In order, without overlap; none if the texts are equal. No edit begins or ends inside a character or "\r\n". */
export function textEdits(before: string, after: string): ReplacedText[] {
  if (before === after) return [];
  if (Math.max(before.length, after.length) > kMostComparedChars) {
    return trimmed(before, { start: 0, end: before.length, text: after });
  }
  const [old, now] = [splitLines(before), splitLines(after)];
  const [oldAt, nowAt] = [offsets(old), offsets(now)];
  return diffLines(old, now).flatMap(({ oldStart, oldEnd, newStart, newEnd }) =>
    trimmed(before, {
      start: oldAt[oldStart] ?? 0,
      end: oldAt[oldEnd] ?? before.length,
      text: after.slice(nowAt[newStart], nowAt[newEnd]),
    }),
  );
}

/** Where each line begins, and where the last one ends. */
function offsets(lines: readonly string[]): number[] {
  const starts = [0];
  let at = 0;
  for (const line of lines) {
    at += line.length;
    starts.push(at);
  }
  return starts;
}

/** Without what stays the same at both ends. */
function trimmed(before: string, { start, end, text }: ReplacedText): ReplacedText[] {
  const shorter = Math.min(end - start, text.length);
  let head = 0;
  while (head < shorter && before.charCodeAt(start + head) === text.charCodeAt(head)) head += 1;
  let tail = 0;
  const isSame = (n: number) => before.charCodeAt(end - n) === text.charCodeAt(text.length - n);
  while (tail < shorter - head && isSame(tail + 1)) tail += 1;
  // Both texts are the same there, but for what follows or goes before.
  while (head > 0 && (isInside(before, start + head) || isInside(text, head))) head -= 1;
  while (tail > 0 && (isInside(before, end - tail) || isInside(text, text.length - tail))) tail -= 1;
  if (start + head === end - tail && head === text.length - tail) return [];
  return [{ start: start + head, end: end - tail, text: text.slice(head, text.length - tail) }];
}

/** Between the halves of a character beyond U+FFFF, or of "\r\n". */
function isInside(text: string, at: number): boolean {
  if (at <= 0 || at >= text.length) return false;
  const [last, next] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
  if (last === 13 && next === 10) return true;
  return last >= 0xd800 && last < 0xdc00 && next >= 0xdc00 && next < 0xe000;
}
