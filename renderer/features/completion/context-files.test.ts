import { expect, it } from 'vitest';
import { BackOff } from './back-off.ts';
import { CompletionCache } from './completion-cache.ts';
import { ContextFiles, partAround, shareOfLines } from './context-files.ts';

const lines = (n: number, name = 'line') => Array.from({ length: n }, (_, i) => `${name} ${i + 1}`).join('\n');

function context(disk: Record<string, string> = {}) {
  const read: string[] = [];
  const files = new ContextFiles(
    async ({ path }) => {
      read.push(path);
      const text = disk[path];
      if (text === undefined) throw new Error('not there');
      return { path, text, encoding: 'utf8', eol: 'lf', isReadOnly: false, version: '1' };
    },
    () => 0,
  );
  return { files, read };
}

it('keeps what was seen, oldest first, without the file itself and without the same part twice', () => {
  const { files } = context();
  files.seen('a.ts', 'a\nb\nc', 1);
  files.seen('b.ts', 'x', 1);
  files.seen('a.ts', 'a\nb\nc', 2);
  expect(files.for('c.ts').map(({ path }) => path)).toEqual(['b.ts', 'a.ts']);
  expect(files.for('a.ts').map(({ path }) => path)).toEqual(['b.ts']);
});

it('has room for little, and gives it to the newest', () => {
  const { files } = context();
  for (let i = 0; i < 40; i++) files.seen(`${i}.ts`, lines(300, `some words of file ${i}`), 150);
  const shown = files.for('x.ts');
  expect(shown.at(-1)?.path).toBe('39.ts');
  expect(shown.reduce((n, { text }) => n + text.length, 0)).toBeLessThanOrEqual(6000);
});

it('shows the declarations of what a file imports, found by the spelling that exists', async () => {
  const { files, read } = context({
    'src/queue.ts': 'const x = 1;\nexport class Queue {\n  push(item: T): void {\n  }\n}\n',
  });
  const text = "import { Queue } from './queue';\n";
  await files.enter('src/main.ts', text, 'typescript');
  expect(files.for('src/main.ts')).toEqual([
    { path: 'src/queue.ts', text: 'export class Queue {\n  push(item: T): void {' },
  ]);
  expect(files.for('src/other.ts')).toEqual([]);
  const nRead = read.length;
  await files.enter('src/main.ts', text, 'typescript');
  expect(read.filter((path) => path === 'src/queue.ts')).toHaveLength(1);
  expect(nRead).toBeGreaterThan(1);
});

it('takes whole lines around a place', () => {
  const text = lines(500);
  expect(partAround(text, 1).split('\n')[0]).toBe('line 1');
  expect(partAround(text, 500).split('\n').at(-1)).toBe('line 500');
  expect(partAround(text, 250).split('\n')).toContain('line 250');
  expect(partAround('a', 9)).toBe('a');
  expect(shareOfLines('a\nb', 'a\nc')).toBeCloseTo(1 / 3);
});

it('waits longer after each dismissal, shorter after each acceptance, and forgets', () => {
  const backOff = new BackOff();
  expect(backOff.delayMs(0)).toBe(0);
  backOff.dismissed(0);
  const once = backOff.delayMs(0);
  backOff.dismissed(1000);
  expect(backOff.delayMs(1000)).toBeGreaterThan(once);
  backOff.accepted(2000);
  backOff.accepted(2000);
  expect(backOff.delayMs(2000)).toBeLessThan(once + 50);
  for (let i = 0; i < 30; i++) backOff.dismissed(3000);
  expect(backOff.delayMs(3000)).toBe(3000);
  expect(backOff.delayMs(3000 + 10 * 60_000)).toBe(0);
});

it('finds a suggestion again after going back, and not in another text', () => {
  const cache = new CompletionCache();
  const place = { bufferId: 'a', prefix: 'x = ', suffix: '' };
  cache.add({ ...place, text: 'foo(b)' });
  cache.add({ ...place, prefix: 'x = f', text: 'ind()' });
  expect(cache.find({ ...place, prefix: 'x = f' })).toBe('ind()');
  expect(cache.find({ ...place, prefix: 'x = fo' })).toBe('o(b)');
  expect(cache.find(place)).toBe('foo(b)');
  expect(cache.find({ ...place, bufferId: 'b' })).toBeNull();
  cache.forget(place);
  expect(cache.find(place)).toBeNull();
});
