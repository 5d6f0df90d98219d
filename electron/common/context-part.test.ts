import { expect, it } from 'vitest';
import { partChars, partFrom, partLines } from './context-part.ts';

it('is a screen of whole lines, fewer where they are long, and never too much', () => {
  const short = Array.from({ length: 200 }, (_, i) => `line ${i}`);
  expect(partFrom(short, 10).split('\n')).toEqual(short.slice(10, 10 + partLines));
  expect(partFrom(short, 199)).toBe('line 199');
  const wide = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(100, 'x'));
  const part = partFrom(wide, 3);
  expect(part.split('\n')).toEqual(wide.slice(3, 3 + part.split('\n').length));
  // Not one line more would fit.
  expect(part.length).toBeLessThanOrEqual(partChars);
  expect(part.length + 101).toBeGreaterThan(partChars);
  expect(partFrom(['y'.repeat(9000), 'z'], 0)).toBe('y'.repeat(partChars));
  expect(partFrom([`${'y'.repeat(partChars - 1)}😀`], 0).isWellFormed()).toBe(true);
});
