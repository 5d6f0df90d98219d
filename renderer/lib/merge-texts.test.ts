import { expect, it } from 'vitest';
import { mergeTexts } from './merge-texts.ts';
import { random } from './testing/random.ts';

const { int, pick } = random(23);

const ending = () => pick(['\n', '\n', '\n', '\r\n']);
const lines = (n: number) =>
  Array.from({ length: n }, () => pick(['one', 'two', '}', '', '\t', 'é\u{1f600}']) + ending());

/** Every line is another one, so that what became of it can be seen. */
let nMade = 0;
const ownLines = (n: number) => Array.from({ length: n }, () => `line ${nMade++}${ending()}`);

/** Other lines in the place of some; what it takes away, and what it adds. */
function edited(base: readonly string[]) {
  const text = [...base];
  for (let i = 1 + int(4); i > 0; i--) text.splice(int(text.length + 1), int(3), ...ownLines(int(3)));
  return text;
}

it('has every line that either added and none that either took away, in the order of both', () => {
  let nMerged = 0;
  for (let round = 0; round < 4000; round++) {
    const base = ownLines(int(30));
    const [mine, theirs] = [edited(base), edited(base)];
    const merged = mergeTexts(base.join(''), mine.join(''), theirs.join(''));
    expect(mergeTexts(base.join(''), theirs.join(''), mine.join(''))).toBe(merged);
    if (merged === null) continue;
    nMerged += 1;
    const all = merged.match(/[^\n]*\n/g) ?? [];
    expect(new Set(all).size).toBe(all.length);
    const isKept = (line: string) => mine.includes(line) && theirs.includes(line);
    const isAdded = (line: string) => !base.includes(line);
    // Each side's part of the result, in its own order: that is its text without what the other took away.
    for (const [side, other] of [
      [mine, theirs],
      [theirs, mine],
    ] as const) {
      const expected = side.filter((line) => isAdded(line) || isKept(line));
      const part = all.filter((line) => !other.includes(line) || base.includes(line));
      expect(part).toEqual(expected);
    }
  }
  expect(nMerged).toBeGreaterThan(500);
});

it('puts changes together that have an untouched line between them', () => {
  for (let round = 0; round < 2000; round++) {
    // Pieces that one side, the other, both alike, or nobody changes.
    const [base, mine, theirs, both]: string[][] = [[], [], [], []];
    for (let i = int(8); i > 0; i--) {
      const [before, after] = [ownLines(int(3)), ownLines(int(3))];
      const who = int(4);
      base?.push(...before);
      mine?.push(...(who === 0 || who === 2 ? after : before));
      theirs?.push(...(who === 1 || who === 2 ? after : before));
      both?.push(...(who === 3 ? before : after));
      const [between] = ownLines(1);
      for (const side of [base, mine, theirs, both]) side?.push(between ?? '');
    }
    const text = (side: string[] | undefined) => side?.join('') ?? '';
    expect(mergeTexts(text(base), text(mine), text(theirs))).toBe(text(both));
  }
});

it('takes a side as it is where the other changed nothing', () => {
  for (let round = 0; round < 500; round++) {
    const [a, b] = [lines(int(20)).join(''), lines(int(20)).join('')];
    expect(mergeTexts(a, b, a)).toBe(b);
    expect(mergeTexts(a, a, b)).toBe(b);
    expect(mergeTexts(a, b, b)).toBe(b);
  }
});

it('asks where both changed the same line, or neighbouring ones', () => {
  expect(mergeTexts('a\nb\nc\n', 'a\nmine\nc\n', 'a\ntheirs\nc\n')).toBeNull();
  expect(mergeTexts('a\nb\nc\n', 'A\nb\nc\n', 'a\nB\nc\n')).toBeNull();
  expect(mergeTexts('a\n', 'a\nmine\n', 'a\ntheirs\n')).toBeNull();
  expect(mergeTexts('a\nb\nc\n', 'A\nb\nc\n', 'a\nb\nC\n')).toBe('A\nb\nC\n');
  expect(mergeTexts('a\nb\n', 'a\nb\r\n', 'a\nb')).toBeNull();
});

it('asks about a text that is too long to be compared', () => {
  const long = 'x\n'.repeat(1_100_000);
  expect(mergeTexts(long, `${long}mine\n`, `theirs\n${long}`)).toBeNull();
});
