import { describe, expect, it } from 'vitest';
import { quotable } from './quotable.ts';

describe('texts that a reply may quote', () => {
  it('are those with something in them, the most likely first', () => {
    expect(quotable(['a', ' \n', '', 'b'])).toEqual(['a', 'b']);
  });

  it('end where sending more is not worth it, also within a character', () => {
    const half = 'x'.repeat(200 * 1024);
    const [first, second, ...rest] = quotable([half, half, 'never']);
    expect([first?.length, second?.length, rest.length]).toEqual([200 * 1024, 56 * 1024, 0]);
    const cut = quotable([`${'x'.repeat(256 * 1024 - 1)}😀`]);
    expect(cut[0]?.isWellFormed()).toBe(true);
    expect(quotable(Array.from({ length: 100 }, () => 'x'))).toHaveLength(32);
  });
});
