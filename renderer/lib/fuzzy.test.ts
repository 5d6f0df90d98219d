import { describe, expect, it } from 'vitest';
import { fuzzyFilter, fuzzyMatch } from './fuzzy.ts';
import { random } from './testing/random.ts';

const best = (query: string, items: string[]) =>
  fuzzyFilter(query, items, (item) => item, 10).map((found) => found.item);

describe('fuzzyMatch', () => {
  it('needs every letter in order', () => {
    expect(fuzzyMatch('abc', 'acb')).toBeNull();
    expect(fuzzyMatch('abc', 'a-b-c')?.positions).toEqual([0, 2, 4]);
  });

  it('ignores case and spaces in the query', () => {
    expect(fuzzyMatch('OP fo', 'Open Folder…')?.positions).toEqual([0, 1, 5, 6]);
  });

  it('prefers a run over scattered letters', () => {
    expect(fuzzyMatch('main', 'm-a-main')?.positions).toEqual([4, 5, 6, 7]);
  });

  it('matches everything with an empty query', () => {
    expect(fuzzyMatch(' ', 'anything')).toEqual({ score: 0, positions: [] });
  });

  it('returns one position per letter, ascending, for repeated letters', () => {
    expect(fuzzyMatch('aaa', 'aaaa')?.positions).toHaveLength(3);
  });
});

/** The score by definition: the best of all ways to place the letters. */
function bestByTrying(needle: string, text: string): number | null {
  const place = (i: number, from: number, before: number): number | null => {
    if (i === needle.length) return 0;
    let best: number | null = null;
    for (let j = from; j < text.length; j++) {
      if (text.charAt(j).toLowerCase() !== needle.charAt(i)) continue;
      const rest = place(i + 1, j + 1, j);
      if (rest === null) continue;
      const isStart = j === 0 || /[/._-]/.test(text.charAt(j - 1)) || /[a-z][A-Z]/.test(text.slice(j - 1, j + 1));
      const inName = j > text.lastIndexOf('/');
      const own = 1 + (isStart ? 10 : 0) + (inName ? 4 : 0) + (i > 0 && j === before + 1 ? 8 : 0);
      best = Math.max(best ?? 0, own + rest);
    }
    return best;
  };
  const best = place(0, 0, -1);
  return best === null ? null : best - text.length * 0.02;
}

it('finds the best of all ways to match, in random texts', () => {
  const { int, pick } = random(3);
  const text = (length: number) =>
    Array.from({ length }, () => pick(['a', 'b', 'c', 'A', 'B', '/', '_', '.'])).join('');
  for (let round = 0; round < 2000; round++) {
    const [needle, hay] = [text(1 + int(4)).toLowerCase(), text(int(12))];
    const found = fuzzyMatch(needle, hay);
    const expected = bestByTrying(needle, hay);
    if (expected === null) expect(found).toBeNull();
    else expect(found?.score).toBeCloseTo(expected, 9);
    expect(found?.positions.map((at) => hay.charAt(at).toLowerCase()).join('') ?? needle).toBe(needle);
  }
});

describe('fuzzyFilter', () => {
  it('ranks the file name above its folders', () => {
    expect(best('chat', ['chat/deep/other-file.ts', 'src/chat.ts'])[0]).toBe('src/chat.ts');
  });

  it('ranks initials of words high', () => {
    expect(best('tc', ['attic.ts', 'toggle-chat.ts'])[0]).toBe('toggle-chat.ts');
  });

  it('ranks the shorter of two equals first and keeps to the limit', () => {
    expect(fuzzyFilter('a', ['abbbb', 'ab', 'zz'], (text) => text, 1).map((found) => found.item)).toEqual(['ab']);
  });
});
