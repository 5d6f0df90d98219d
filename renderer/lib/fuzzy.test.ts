import { describe, expect, it } from 'vitest';
import { fuzzyFilter, fuzzyMatch } from './fuzzy.ts';

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
