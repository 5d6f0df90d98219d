import { expect, it } from 'vitest';
import { BackOff } from './back-off.ts';
import { CompletionCache } from './completion-cache.ts';
import { type ContextFile, ContextFiles, partAround, shareOfLines } from './context-files.ts';

const lines = (n: number, name = 'line') => Array.from({ length: n }, (_, i) => `${name} ${i + 1}`).join('\n');

const at = (prefix: string, suffix = '') => ({ prefix, suffix });

function context(disk: Record<string, string> = {}) {
  const read: string[] = [];
  const asked: { text: string; answer: (part: ContextFile | null) => void; signal: AbortSignal | undefined }[] = [];
  const files = new ContextFiles(
    {
      read: async ({ path }) => {
        read.push(path);
        const text = disk[path];
        if (text === undefined) throw new Error('not there');
        return { path, text, encoding: 'utf8', eol: 'lf', isReadOnly: false, version: '1' };
      },
      similar: ({ text }, options) =>
        new Promise((resolve) =>
          asked.push({ text, answer: (part) => resolve({ part }), signal: options?.signal ?? undefined }),
        ),
    },
    () => 0,
  );
  return { files, read, asked };
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

it('shows what is like the place of the cursor nearest to the file, and not twice', async () => {
  const { files, asked } = context();
  files.seen('seen.ts', 'a\nb\nc', 1);
  files.seen('like.ts', 'one\ntwo\nthree', 1);
  const look = files.look('main.ts', at(`${'x'.repeat(5000)}\nend`, 'behind'));
  expect(files.for('main.ts').map(({ path }) => path)).toEqual(['seen.ts', 'like.ts']);
  asked[0]?.answer({ path: 'like.ts', text: 'two\nthree\nfour' });
  await look;
  expect(asked[0]?.text).toHaveLength(2000);
  expect(asked[0]?.text.endsWith('x\nend')).toBe(true);
  expect(files.for('main.ts').map(({ text }) => text)).toEqual(['a\nb\nc', 'two\nthree\nfour']);
  expect(files.for('other.ts').map(({ path }) => path)).toEqual(['seen.ts', 'like.ts']);
  files.clear();
  expect(files.for('main.ts')).toEqual([]);
});

it('keeps room for what is like the place of the cursor', async () => {
  const { files, asked } = context();
  for (let i = 0; i < 10; i++) files.seen(`${i}.ts`, lines(300, `some words of file ${i}`), 150);
  const look = files.look('main.ts', at('x', 'y'.repeat(5000)));
  asked[0]?.answer({
    path: 'like.ts',
    text: lines(60, 'what is like it, in lines that are as long as those of the other files, ').slice(0, 2500),
  });
  await look;
  // Near the top of a file there is more behind the cursor.
  expect(asked[0]?.text).toBe(`x${'y'.repeat(1999)}`);
  const shown = files.for('main.ts');
  expect(shown.slice(-2).map(({ path }) => path)).toEqual(['9.ts', 'like.ts']);
  expect(shown.reduce((n, { text }) => n + text.length, 0)).toBeLessThanOrEqual(6000);
});

it('looks at the last place that it was told, and does without an answer', async () => {
  const { files, asked } = context();
  const first = files.look('main.ts', at('first'));
  const second = files.look('main.ts', at('second'));
  expect(asked.map(({ signal }) => signal?.aborted)).toEqual([true, false]);
  asked[1]?.answer({ path: 'b.ts', text: 'b' });
  asked[0]?.answer({ path: 'a.ts', text: 'a' });
  await Promise.all([first, second]);
  expect(files.for('main.ts').map(({ path }) => path)).toEqual(['b.ts']);
  const third = files.look('main.ts', at('third'));
  files.clear();
  asked[2]?.answer({ path: 'c.ts', text: 'of a folder that is closed' });
  await third;
  expect(files.for('main.ts')).toEqual([]);
  const failing = new ContextFiles(
    { read: () => Promise.reject(new Error('gone')), similar: () => Promise.reject(new Error('gone')) },
    () => 0,
  );
  await failing.look('main.ts', at('x'));
  expect(failing.for('main.ts')).toEqual([]);
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
