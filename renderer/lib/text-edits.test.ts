import { expect, it } from 'vitest';
import { random } from './testing/random.ts';
import { type ReplacedText, textEdits } from './text-edits.ts';

const { int, pick } = random(5);

function applied(before: string, edits: readonly ReplacedText[]): string {
  let [after, at] = ['', 0];
  for (const { start, end, text } of edits) {
    expect(start).toBeGreaterThanOrEqual(at);
    expect(end).toBeGreaterThanOrEqual(start);
    after += before.slice(at, start) + text;
    at = end;
  }
  return after + before.slice(at);
}

/** What takes them back: the place of each in the new text, and what stood there. */
function inverse(before: string, edits: readonly ReplacedText[]): ReplacedText[] {
  let shift = 0;
  return edits.map(({ start, end, text }) => {
    const back = { start: start + shift, end: start + shift + text.length, text: before.slice(start, end) };
    shift += text.length - (end - start);
    return back;
  });
}

const part = () => pick(['a', 'b', ' ', 'é', '\u{1f600}', '\u{1f601}', '\u{20000}', '\n', '\r\n', '\r\n', '\t']);
const randomText = (most: number) => Array.from({ length: int(most) }, part).join('');

/** A text made of `before` by random edits, between its characters. */
function edited(before: string): string {
  const parts = before.match(/\r\n|./gsu) ?? [];
  for (let i = int(5); i > 0; i--) parts.splice(int(parts.length + 1), int(4), randomText(4));
  return parts.join('');
}

it('makes the new text of the old one and the old one again, to the last character', () => {
  for (let round = 0; round < 3000; round++) {
    const before = randomText(60);
    const after = round % 3 ? edited(before) : randomText(60);
    const edits = textEdits(before, after);
    expect(applied(before, edits)).toBe(after);
    expect(applied(after, inverse(before, edits))).toBe(before);
  }
});

it('cuts no character and no line ending in two', () => {
  const half = /^[\udc00-\udfff]|[\ud800-\udbff]$/;
  for (let round = 0; round < 3000; round++) {
    const before = randomText(40);
    for (const { start, end, text } of textEdits(before, edited(before))) {
      expect(text).not.toMatch(half);
      for (const at of [start, end])
        expect(before.slice(at - 1, at + 1)).not.toMatch(/^([\ud800-\udbff][\udc00-\udfff]|\r\n)$/);
    }
  }
});

it('changes two places apart and leaves what is between them alone', () => {
  const before = 'one\ntwo\nthree\nfour\n';
  expect(textEdits(before, 'one!\ntwo\nthree\nfive\n')).toEqual([
    { start: 3, end: 3, text: '!' },
    { start: 15, end: 18, text: 'ive' },
  ]);
  expect(textEdits(before, before)).toEqual([]);
});

it('has one edit for a text that is too long to be compared', () => {
  const long = 'x\n'.repeat(600_000);
  expect(textEdits(long, `a${long}b`)).toHaveLength(1);
});
