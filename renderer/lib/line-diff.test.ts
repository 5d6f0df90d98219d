import { expect, it } from 'vitest';
import { diffLines, splitLines, unifiedDiff } from './line-diff.ts';
import { random } from './testing/random.ts';

it('splits at every kind of line ending and loses nothing', () => {
  expect(splitLines('a\nb\r\nc\rd')).toEqual(['a\n', 'b\r\n', 'c\r', 'd']);
  expect(splitLines('\r\n\n')).toEqual(['\r\n', '\n']);
  expect(splitLines('')).toEqual([]);
  const { int, pick } = random(1);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: int(20) }, () => pick(['\r', '\n', '\r\n', 'a', '\u{1f600}', '\u2028'])).join('');
    expect(splitLines(text).join('')).toBe(text);
    for (const line of splitLines(text).slice(0, -1)) expect(line).toMatch(/[\r\n]$/);
  }
});

/** The length of the longest common subsequence, by its definition as a table. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const [up, left, both] = [table[i - 1]?.[j] ?? 0, table[i]?.[j - 1] ?? 0, table[i - 1]?.[j - 1] ?? 0];
      const row = table[i];
      if (row) row[j] = a[i - 1] === b[j - 1] ? both + 1 : Math.max(up, left);
    }
  }
  return table[a.length]?.[b.length] ?? 0;
}

it('finds as few changed lines as possible, in order, with equal lines between', () => {
  const { int, pick } = random(2);
  for (let round = 0; round < 2000; round++) {
    const text = () => Array.from({ length: int(12) }, () => pick(['a\n', 'b\n', 'c\n', 'd\n']));
    const [before, after] = [text(), text()];
    const changes = diffLines(before, after);
    let [old, now, nChanged] = [0, 0, 0];
    for (const { oldStart, oldEnd, newStart, newEnd } of changes) {
      expect(oldEnd - oldStart + newEnd - newStart).toBeGreaterThan(0);
      expect(before.slice(old, oldStart)).toEqual(after.slice(now, newStart));
      [old, now] = [oldEnd, newEnd];
      nChanged += oldEnd - oldStart + newEnd - newStart;
    }
    expect(before.slice(old)).toEqual(after.slice(now));
    expect(nChanged).toBe(before.length + after.length - 2 * commonLength(before, after));
  }
});

it('makes one change of two texts that have nothing in common', () => {
  const before = Array.from({ length: 4000 }, (_, i) => `a${i}\n`);
  const after = Array.from({ length: 4000 }, (_, i) => `b${i}\n`);
  expect(diffLines(before, after)).toEqual([{ oldStart: 0, oldEnd: 4000, newStart: 0, newEnd: 4000 }]);
});

it('writes the changes with the lines around them', () => {
  expect(unifiedDiff('1\n2\n3\n4\n5\r\n6\n', '1\n2\n3\n4\nV\r\nfive\n6\n')).toBe(
    '@@ -5,1 +5,2 @@\n 2\n 3\n 4\n-5\n+V\n+five\n 6\n',
  );
  expect(unifiedDiff('a', 'a')).toBe('');
});
