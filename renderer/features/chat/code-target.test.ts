import { expect, it } from 'vitest';
import { targetPath } from './code-target.ts';

it('reads the file from the words after the fence, or from the first line', () => {
  expect(targetPath('', 'ts src/a.ts')).toBe('src/a.ts');
  expect(targetPath('', 'ts title="src/a.ts"')).toBe('src/a.ts');
  expect(targetPath('', 'python:lib/a.py')).toBe('lib/a.py');
  expect(targetPath('// src/deep/a.ts\ncode', 'ts')).toBe('src/deep/a.ts');
  expect(targetPath('# file: a.py\ncode', 'python')).toBe('a.py');
  expect(targetPath('<!-- index.html -->\n', 'html')).toBe('index.html');
});

it('reads nothing from words that are no path, and nothing that leaves the folder', () => {
  for (const label of [
    'ts',
    '',
    'ts {1,3}',
    'console output',
    'ts ../a.ts',
    'ts /etc/passwd.txt',
    'ts file=a/../../b.ts',
  ]) {
    expect(targetPath('const a = 1;', label)).toBeNull();
  }
  expect(targetPath('// see the note\n', 'ts')).toBeNull();
  expect(targetPath('// ../../secret.txt\n', 'ts')).toBeNull();
});
