import { expect, it } from 'vitest';
import { afterBlanks, completionPrompt, completionWindow } from './completion-prompt.ts';

const lines = (n: number) => Array.from({ length: n }, (_, i) => `line ${i}`).join('\n');

it('keeps a short prefix whole', () => {
  for (const text of ['', 'a', 'x'.repeat(2999)]) expect(completionWindow(text)).toBe(text);
});

it('is always the end of the prefix, between 1500 and 3000 characters of it', () => {
  for (const text of [lines(2000), 'x'.repeat(10_000), `${'x'.repeat(499)}\n`.repeat(20), '\n'.repeat(9000)]) {
    for (let n = 3000; n < 7000; n += 37) {
      const prefix = text.slice(0, n);
      const window = completionWindow(prefix);
      expect(prefix.endsWith(window)).toBe(true);
      expect(window.length).toBeGreaterThanOrEqual(1500);
      expect(window.length).toBeLessThan(3000);
    }
  }
});

it('begins at the start of a line where there is one', () => {
  const prefix = lines(2000);
  expect(completionWindow(prefix)).toMatch(/^line \d+\n/);
  expect(prefix.at(-completionWindow(prefix).length - 1)).toBe('\n');
});

it('begins at the same place for a thousand keystrokes', () => {
  const text = lines(3000);
  const starts = new Set<number>();
  for (let n = 5000; n < 6000; n++) starts.add(n - completionWindow(text.slice(0, n)).length);
  expect(starts.size).toBe(1);
});

it('does not begin with half of a pair', () => {
  const text = '😀'.repeat(4000);
  for (const prefix of [text, `x${text}`]) {
    const window = completionWindow(prefix);
    expect(window.isWellFormed()).toBe(true);
    expect(prefix.endsWith(window)).toBe(true);
  }
});

it('leaves the blanks at the cursor out of the prompt, but no line break', () => {
  expect(completionPrompt('def f():\n    return ')).toEqual({ text: 'def f():\n    return', blanks: ' ' });
  expect(completionPrompt('def f():\n\t  ')).toEqual({ text: 'def f():\n', blanks: '\t  ' });
  expect(completionPrompt('x = 1')).toEqual({ text: 'x = 1', blanks: '' });
});

it('takes the blanks that stand there off the answer once', () => {
  expect(afterBlanks(' a / b', ' ')).toBe('a / b');
  expect(afterBlanks('        return', '    ')).toBe('    return');
  expect(afterBlanks('  return', '    ')).toBe('return');
  expect(afterBlanks('a / b', ' ')).toBe('a / b');
  expect(afterBlanks(' a', '')).toBe(' a');
});
