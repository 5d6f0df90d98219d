import { expect, it } from 'vitest';
import { replaceMatches, type TextMatch } from './replace-matches.ts';
import { random } from './testing/random.ts';

it('replaces what is where it was found', () => {
  const matches = [
    { line: 2, start: 0, end: 1, text: 'b', replacement: 'BB' },
    { line: 1, start: 0, end: 1, text: 'a', replacement: '' },
  ];
  expect(replaceMatches('a\r\nb b\n', matches)).toBe('\r\nBB b\n');
  expect(replaceMatches('a\r\nc b\n', matches)).toBeNull();
  expect(replaceMatches('a', matches)).toBeNull();
});

it('refuses matches that overlap', () => {
  const match = (start: number): TextMatch => ({ line: 1, start, end: start + 2, text: 'aa', replacement: 'b' });
  expect(replaceMatches('aaaa', [match(0), match(1)])).toBeNull();
  expect(replaceMatches('aaaa', [match(0), match(2)])).toBe('bb');
});

it('changes the matches and not one other character, in random texts', () => {
  const { int, pick } = random(7);
  for (let round = 0; round < 300; round++) {
    // Built from pieces, so that the expected text needs no search.
    const matches: TextMatch[] = [];
    let [text, expected, line, column] = ['', '', 1, 0];
    for (let i = 0; i < int(30); i++) {
      const piece = pick(['x', 'é', '\u{1f600}', '\r', ' ', '\n', '\r\n']);
      if (int(3) === 0) {
        const [found, replacement] = [pick(['needle', 'ü', 'a']), pick(['', 'N', '$1', 'a\nb'])];
        matches.push({ line, start: column, end: column + found.length, text: found, replacement });
        text += found;
        expected += replacement;
        column += found.length;
      }
      text += piece;
      expected += piece;
      if (piece.endsWith('\n')) [line, column] = [line + 1, 0];
      else column += piece.length;
    }
    const shuffled = [...matches].sort(() => int(3) - 1);
    expect(replaceMatches(text, shuffled)).toBe(expected);
  }
});
