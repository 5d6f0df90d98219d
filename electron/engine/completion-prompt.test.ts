import { expect, it } from 'vitest';
import { completionPrompt, completionWindow } from './completion-prompt.ts';

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

it.each([
  ['def divide(a, b):\n    retu', 'def divide(a, b):\n', '    retu'],
  ['def f():\n    return ', 'def f():\n    return', ' '],
  ['def f():\n\t  ', 'def f():\n', '\t  '],
  ['return a', 'return', ' a'],
  ['return', '', 'return'],
  ['x = sel', 'x =', ' sel'],
  ['if (is', 'if (', 'is'],
  ['foo(', 'foo(', ''],
  ['a.', 'a.', ''],
  ['self.it', 'self.', 'it'],
  ['const $el_2', 'const', ' $el_2'],
  ['let größe', 'let', ' größe'],
  ['let cafe\u0301', 'let', ' cafe\u0301'],
  ['let 𝒳𝒴', 'let', ' 𝒳𝒴'],
  ['x = 😀', 'x = 😀', ''],
  ['a\r\n', 'a\r\n', ''],
  ['a\u00a0', 'a\u00a0', ''],
  ['', '', ''],
])(
  'leaves the word at the cursor and its blanks out of the prompt, but no line break: %j',
  (prefix, text, beginWith) => {
    expect(completionPrompt(prefix)).toEqual({ text, beginWith });
  },
);

it('leaves a run that is too long for a word in the prompt', () => {
  const word = 'x'.repeat(32);
  expect(completionPrompt(`= ${word}`)).toEqual({ text: '=', beginWith: ` ${word}` });
  expect(completionPrompt(`= ${word}x`)).toEqual({ text: `= ${word}x`, beginWith: '' });
});

it('asks for no more than 256 bytes', () => {
  for (const prefix of [' '.repeat(1000), `${' '.repeat(1000)}${'𝒳'.repeat(32)}`, `${'\t'.repeat(9000)}x`]) {
    const { text, beginWith } = completionPrompt(prefix);
    expect(prefix.endsWith(text + beginWith)).toBe(true);
    expect(beginWith.isWellFormed()).toBe(true);
    expect(Buffer.byteLength(beginWith)).toBeLessThanOrEqual(256);
    expect(beginWith.length).toBeGreaterThan(100);
  }
});

it('keeps the prompt the same while a word is typed', () => {
  const prompts = ['x =', 'x = ', 'x = s', 'x = self'].map((prefix) => completionPrompt(prefix).text);
  expect(new Set(prompts).size).toBe(1);
});

it('takes a window full of blanks in no time', () => {
  const startMs = performance.now();
  for (const unit of [' ', 'x', ' x', '\t\n']) completionPrompt(`${unit.repeat(3000)}!`);
  expect(performance.now() - startMs).toBeLessThan(500);
});
