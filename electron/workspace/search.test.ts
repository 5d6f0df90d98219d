import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { rgPath } from '@vscode/ripgrep';
import { expect, it } from 'vitest';
import type { FileMatches, SearchEvent, SearchQuery } from '../common/search-contract.ts';
import { searchQuerySchema } from '../common/search-contract.ts';
import { temporaryFolder, writeFiles } from '../testing/temporary-folder.ts';
import { search } from './search.ts';

const plain: SearchQuery = {
  pattern: 'x',
  isRegex: false,
  isCaseSensitive: false,
  isWholeWord: false,
  include: [],
  exclude: [],
  withIgnored: false,
  replacement: null,
};

async function run(root: string, query: Partial<SearchQuery>, signal?: AbortSignal) {
  const files: FileMatches[] = [];
  let done: Extract<SearchEvent, { type: 'done' }> | undefined;
  for await (const event of search(rgPath, root, { ...plain, ...query }, signal)) {
    if (event.type === 'files') files.push(...event.files);
    else done = event;
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, done };
}

const found = ({ files }: { files: FileMatches[] }) => files.map(({ path }) => path);

it('finds text with positions in UTF-16 units, whatever stands before it', async () => {
  const root = temporaryFolder({ 'a.txt': 'one\n\u{1f600} é needle needle\r\n' });
  const { files, done } = await run(root, { pattern: 'NEEDLE' });
  expect(done).toEqual({ type: 'done', isTruncated: false });
  const line = '\u{1f600} é needle needle';
  expect(files).toHaveLength(1);
  for (const [i, match] of files[0]?.matches.entries() ?? []) {
    expect(match.line).toBe(2);
    expect(match.start).toBe(i === 0 ? line.indexOf('needle') : line.lastIndexOf('needle'));
    expect(line.slice(match.start, match.end)).toBe(match.text);
    expect(match.preview.slice(match.previewStart, match.previewStart + 6)).toBe('needle');
  }
  expect(files[0]?.matches).toHaveLength(2);
});

it('reads lines that hold separators of other kinds', async () => {
  const root = temporaryFolder({ 'a.txt': 'one\u2028 needle \u0085\n' });
  const { files } = await run(root, { pattern: 'needle' });
  expect(files[0]?.matches).toMatchObject([{ line: 1, start: 5, end: 11, preview: 'one\u2028 needle \u0085' }]);
});

it('takes a pattern literally unless it is a regular expression', async () => {
  const root = temporaryFolder({ 'a.txt': 'a.c\nabc\n', 'b.txt': '--help -e $1' });
  expect((await run(root, { pattern: 'a.c' })).files[0]?.matches.map(({ line }) => line)).toEqual([1]);
  expect((await run(root, { pattern: 'a.c', isRegex: true })).files[0]?.matches.map(({ line }) => line)).toEqual([
    1, 2,
  ]);
  expect(found(await run(root, { pattern: '--help' }))).toEqual(['b.txt']);
  expect(found(await run(root, { pattern: '-e' }))).toEqual(['b.txt']);
});

it('minds case and words when asked to', async () => {
  const root = temporaryFolder({ 'a.txt': 'Cat', 'b.txt': 'cat', 'c.txt': 'concatenate' });
  expect(found(await run(root, { pattern: 'cat' }))).toEqual(['a.txt', 'b.txt', 'c.txt']);
  expect(found(await run(root, { pattern: 'cat', isCaseSensitive: true }))).toEqual(['b.txt', 'c.txt']);
  expect(found(await run(root, { pattern: 'cat', isWholeWord: true }))).toEqual(['a.txt', 'b.txt']);
});

it('looks where it is told to', async () => {
  const files = [
    'src/a.ts',
    'src/deep/b.ts',
    'src/c.js',
    'lib/src/d.ts',
    'node_modules/e.ts',
    '.hidden/f.ts',
    '.git/g.ts',
  ];
  const root = temporaryFolder(Object.fromEntries([...files, 'ignored.ts'].map((path) => [path, 'x'])));
  writeFiles(root, { '.gitignore': 'ignored.ts\n' });
  expect(found(await run(root, {}))).toEqual(['.hidden/f.ts', 'lib/src/d.ts', 'src/a.ts', 'src/c.js', 'src/deep/b.ts']);
  expect(found(await run(root, { include: ['*.js'] }))).toEqual(['src/c.js']);
  expect(found(await run(root, { include: ['src'] }))).toEqual([
    'lib/src/d.ts',
    'src/a.ts',
    'src/c.js',
    'src/deep/b.ts',
  ]);
  expect(found(await run(root, { include: ['./src/deep/'] }))).toEqual(['src/deep/b.ts']);
  expect(found(await run(root, { exclude: ['src', '.hidden'] }))).toEqual([]);
  expect(found(await run(root, { withIgnored: true }))).toContain('node_modules/e.ts');
  expect(found(await run(root, { withIgnored: true }))).toContain('ignored.ts');
  expect(found(await run(root, { withIgnored: true }))).not.toContain('.git/g.ts');
});

it('says what every match becomes, with groups only in regular expressions', async () => {
  const root = temporaryFolder({ 'a.txt': 'size = 10; size = 20;\n' });
  const replaced = async (query: Partial<SearchQuery>) =>
    (await run(root, query)).files[0]?.matches.map(({ replacement }) => replacement);
  expect(await replaced({ pattern: '(\\d+)', isRegex: true, replacement: '<$1>' })).toEqual(['<10>', '<20>']);
  expect(await replaced({ pattern: '(1)0', isRegex: true, replacement: '$1x $& $$1' })).toEqual(['1x 10 $1']);
  expect(await replaced({ pattern: '10', replacement: '$1 $$' })).toEqual(['$1 $$']);
  expect(await replaced({ pattern: '10', replacement: '' })).toEqual(['']);
});

it('does not follow links out of the folder', async () => {
  const outside = temporaryFolder({ 'secret.txt': 'x' });
  const root = temporaryFolder({ 'a.txt': 'x' });
  symlinkSync(outside, join(root, 'link'));
  symlinkSync(join(outside, 'secret.txt'), join(root, 'secret.txt'));
  expect(found(await run(root, { withIgnored: true }))).toEqual(['a.txt']);
});

it('says what is wrong with a pattern', async () => {
  const root = temporaryFolder({ 'a.txt': 'x' });
  await expect(run(root, { pattern: '(', isRegex: true })).rejects.toMatchObject({
    code: 'SEARCH_INVALID',
    message: 'This cannot be searched for: unclosed group.',
  });
});

it('stops at the most matches that it gives', async () => {
  const root = temporaryFolder({ 'a.txt': 'x\n'.repeat(12_000), 'b.txt': 'x\n'.repeat(12_000) });
  const { files, done } = await run(root, {});
  expect(files.reduce((sum, { matches }) => sum + matches.length, 0)).toBe(10_000);
  expect(done?.isTruncated).toBe(true);
});

it('gives the first of hundreds of thousands of matches in one line of megabytes, soon', async () => {
  const word = '"ü",';
  const root = temporaryFolder({ 'a.json': word.repeat(600_000) });
  const { files, done } = await run(root, { pattern: 'ü' });
  expect(done?.isTruncated).toBe(true);
  const matches = files[0]?.matches ?? [];
  expect(matches.length).toBe(10_000);
  expect(matches.every(({ start, end }, i) => start === i * word.length + 1 && end === start + 1)).toBe(true);
}, 20_000);

it('leaves out a line of which there is too much to say, and says so', async () => {
  const root = temporaryFolder({ 'a.txt': `${'x'.repeat(2_000_000)}\nx\n`, 'b.txt': 'x\n' });
  const { files, done } = await run(root, {});
  expect(done).toEqual({ type: 'done', isTruncated: true });
  expect(files.map(({ path, matches }) => [path, ...matches.map(({ line }) => line)])).toEqual([
    ['a.txt', 2],
    ['b.txt', 1],
  ]);
});

it('gives many matches in small pieces, which a window can take in between two pictures', async () => {
  const folder = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${i}.txt`, 'x\n'.repeat(30)]));
  const root = temporaryFolder(folder);
  const sizes: number[] = [];
  for await (const event of search(rgPath, root, plain, undefined)) {
    if (event.type === 'files') sizes.push(event.files.reduce((sum, { matches }) => sum + matches.length, 0));
  }
  expect(sizes.reduce((sum, size) => sum + size)).toBe(3000);
  // Full at 200, with the last file's other matches.
  expect(Math.max(...sizes)).toBeLessThan(230);
});

it('ends when it is aborted, also between two pieces', async () => {
  const folder = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${i}.txt`, 'x\n'.repeat(30)]));
  const many = temporaryFolder(folder);
  const stop = new AbortController();
  const reading = (async () => {
    let nMatches = 0;
    for await (const event of search(rgPath, many, plain, stop.signal)) {
      if (event.type === 'files') for (const { matches } of event.files) nMatches += matches.length;
      if (nMatches > 1000) stop.abort();
    }
  })();
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });

  const root = temporaryFolder({ 'a.txt': 'x\n'.repeat(5000) });
  const abort = new AbortController();
  abort.abort();
  await expect(run(root, {}, abort.signal)).rejects.toThrow();
});

it('skips what is not text, and lines that are too long to be read', async () => {
  const root = temporaryFolder({ 'a.bin': new Uint8Array([0x78, 0, 0x78, 0xff]), 'min.js': `${'y'.repeat(300_000)}x` });
  const { files } = await run(root, {});
  expect(files.map(({ path }) => path)).toEqual(['min.js']);
  expect(files[0]?.matches[0]?.preview.length).toBeLessThan(300);
});

it('refuses queries that could mean something else to the program', () => {
  const isValid = (change: object) => searchQuerySchema.safeParse({ ...plain, ...change }).success;
  expect(isValid({})).toBe(true);
  expect(isValid({ pattern: '' })).toBe(false);
  expect(isValid({ pattern: 'a\0b' })).toBe(false);
  expect(isValid({ pattern: 'a\nb' })).toBe(false);
  expect(isValid({ include: ['!a'] })).toBe(false);
  expect(isValid({ pattern: 'a'.repeat(2001) })).toBe(false);
});
