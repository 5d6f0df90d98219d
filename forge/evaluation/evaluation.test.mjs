import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { root } from '../../scripts/lib/process.mjs';
import { withSimilarParts } from './context.mjs';
import { isExact } from './measure.mjs';
import { cutAtSuffix } from './models.mjs';
import { bitsMembers } from './parts.mjs';
import { blockTasks, excerpts, infillingTasks, lineTasks, nTuningProblems } from './samples.mjs';
import { difference, estimate, wilson } from './statistics.mjs';
import { openStore } from './store.mjs';
import { inWords, plain } from './words.mjs';

const folder = await mkdtemp(join(tmpdir(), 'outpost-evaluation-test-'));
afterAll(() => rm(folder, { recursive: true }));

it('keeps results as they come, and goes on after half a line', async () => {
  const path = join(folder, 'rows.jsonl');
  const store = await openStore(path);
  await store.add('a', { value: 1 });
  await store.add('b', { value: 2 });
  await appendFile(path, '{"key":"c","val');
  const again = await openStore(path);
  expect([...again.rows]).toEqual([
    ['a', { value: 1 }],
    ['b', { value: 2 }],
  ]);
  await again.add('d', { value: 3 });
  expect((await openStore(path)).rows.size).toBe(3);
  expect(await readFile(path, 'utf8')).not.toContain('"c"');
});

it('says how sure a rate is, and counts members that belong together once', () => {
  const alone = Array.from({ length: 200 }, (_, i) => ({ group: `${i}`, part: i % 4 === 0 ? 1 : 0, whole: 1 }));
  const sure = estimate(alone);
  expect(sure.value).toBe(0.25);
  // Of 200 that are independent the error is sqrt(0.25 * 0.75 / 200) = 0.031; the interval is twice 1.96 of it.
  expect(sure.high - sure.low).toBeGreaterThan(0.09);
  expect(sure.high - sure.low).toBeLessThan(0.15);
  const together = alone.map((member, i) => ({ ...member, group: `${i % 4}` }));
  const unsure = estimate(together);
  expect(unsure.high - unsure.low).toBeGreaterThan(3 * (sure.high - sure.low));
  expect(estimate(alone)).toEqual(sure);

  const never = estimate(alone.map((member) => ({ ...member, part: 0 })));
  expect(never).toMatchObject({ value: 0, ...wilson(0, 200) });
  expect(never.high).toBeGreaterThan(0);
  // Wilson's interval of 5 of 10, as in tables.
  expect(wilson(5, 10).low).toBeCloseTo(0.2366, 3);
  expect(wilson(5, 10).high).toBeCloseTo(0.7634, 3);

  const better = difference(
    alone.map((member) => ({ ...member, part: 1 })),
    alone,
  );
  expect(better.value).toBeCloseTo(0.75);
  expect(better.low).toBeGreaterThan(0.6);
});

it('is not certain of a difference because both agree in all that was asked', () => {
  const some = Array.from({ length: 40 }, (_, i) => ({ group: `${i % 20}`, part: i % 3 === 0 ? 1 : 0, whole: 1 }));
  const same = difference(some, some);
  // As where none of as many groups has what is asked for.
  expect(same).toMatchObject({ value: 0, low: -wilson(0, 20).high, high: wilson(0, 20).high });
  const all = some.map((member) => ({ ...member, part: 1 }));
  const none = some.map((member) => ({ ...member, part: 0 }));
  expect(difference(all, none)).toMatchObject({ value: 1, low: 1 - wilson(0, 20).high, high: 1 });
});

it('shows no interval of a few groups', () => {
  const members = (/** @type {number} */ n) =>
    Array.from({ length: 3 * n }, (_, i) => ({ group: `${i % n}`, part: i, whole: 3 * n }));
  expect(inWords(estimate(members(8)), plain)).toMatch(/^0\.479 \(0\.\d+ to 0\.\d+\)$/);
  expect(inWords(estimate(members(7)), plain)).toBe('0.476 (7 groups: no interval)');
});

it('draws packages again for bits per byte', () => {
  const row = (/** @type {number} */ i) => ({
    id: `p${i % 3}/f${i}`,
    language: 'go',
    group: `p${i % 3}`,
    bits: i,
    bytes: 10,
  });
  const rows = Array.from({ length: 12 }, (_, i) => row(i));
  expect(estimate(bitsMembers(rows, 'go'))).toMatchObject({ value: 0.55, n: 12, nGroups: 3 });
  expect(bitsMembers(rows, '')).toHaveLength(12);
  expect(bitsMembers(rows, 'rust')).toEqual([]);
});

it('asks for the line of a single-line task without its end, and keeps problems for tuning apart', async () => {
  const record = (/** @type {string} */ name, /** @type {number} */ problem, /** @type {object} */ fields) => ({
    task_id: `${name}/HumanEval/${problem}/L0`,
    entry_point: 'f',
    test: 'def check(f):\n    assert f(1) == 2\n',
    ...fields,
  });
  const lines = Array.from({ length: nTuningProblems + 2 }, (_, problem) =>
    record('SingleLineInfilling', problem, {
      prompt: 'def f(x):\n',
      canonical_solution: '    y = x + 1\n',
      suffix: '    return y\n',
    }),
  );
  const span = { prompt: 'def f(x):\n    y = ', canonical_solution: 'x + 1', suffix: '\n    return y\n' };
  const spans = lines.map((_, problem) => record('RandomSpanInfillingLight', problem, span));
  for (const [name, records] of /** @type {const} */ ([
    ['SingleLineInfilling', lines],
    ['RandomSpanInfillingLight', spans],
  ]))
    await writeFile(
      join(folder, `HumanEval-${name}.jsonl.gz`),
      gzipSync(records.map((one) => `${JSON.stringify(one)}\n`).join('')),
    );
  const { tuning, tasks } = await infillingTasks(folder);
  expect([tuning.length, tasks.length]).toEqual([2 * nTuningProblems, 4]);
  const known = new Set(tuning.map(({ group }) => group));
  expect(tasks.filter(({ group }) => known.has(group))).toEqual([]);
  for (const { kind, prefix, suffix, expected, program } of tasks) {
    expect(prefix + expected + suffix).toBe('def f(x):\n    y = x + 1\n    return y\n');
    expect(expected).toBe(kind === 'single line' ? '    y = x + 1' : 'x + 1');
    expect(`${program?.before}${expected}${program?.after}`).toBe(
      'def f(x):\n    y = x + 1\n    return y\n\ndef check(f):\n    assert f(1) == 2\n\ncheck(f)\n',
    );
  }
});

it('takes the same excerpts and cursors every time, from held-out packages only', async () => {
  // Below the root, where corpora lie.
  const corpus = relative(root, await mkdtemp(join(root, 'build', 'evaluation-test-')));
  try {
    const text = Array.from({ length: 400 }, (_, i) => `  const name${i} = compute(${i}, "some text");\n`).join('');
    const manifest = /** @type {import('../corpus/build.mjs').ManifestEntry[]} */ (
      [
        { part: 'heldout', name: 'one', folder: 'one-1', languages: { typescript: 1 } },
        { part: 'train', name: 'two', folder: 'two-1', languages: { typescript: 1 } },
      ].map((entry) => ({
        ...entry,
        version: '1',
        from: 'npm',
        licence: 'MIT',
        licenceFrom: '',
        files: 1,
        bytes: 1,
        dropped: {},
      }))
    );
    for (const path of ['heldout/one-1', 'heldout/two-1', 'train/two-1']) {
      await mkdir(join(root, corpus, path), { recursive: true });
      await writeFile(join(root, corpus, path, 'a.ts'), text);
    }
    const [some] = [await excerpts(corpus, manifest), await excerpts(corpus, manifest)].map((all) => all);
    expect(some).toEqual(await excerpts(corpus, manifest));
    expect(some?.map(({ group }) => group)).toEqual(['one']);
    expect(some?.[0]?.text).toMatch(/^ {2}const name\d+ = /);
    const tasks = await lineTasks(corpus, manifest, 3);
    expect(tasks).toEqual(await lineTasks(corpus, manifest, 3));
    expect(tasks.length).toBe(4);
    for (const { prefix, wholePrefix, folder, expected, suffix } of tasks) {
      expect(wholePrefix?.endsWith(prefix)).toBe(true);
      expect(text.startsWith(`${wholePrefix}${expected}`)).toBe(true);
      expect(folder).toBe(`${corpus}/heldout/one-1`);
      expect(text).toContain(prefix + expected + suffix);
      expect(suffix.startsWith('\n')).toBe(true);
      expect(expected.length).toBeGreaterThanOrEqual(3);
      expect(expected).not.toContain('\n');
    }
    // There is no other file yet.
    expect((await withSimilarParts(tasks)).map(({ files }) => files)).toEqual(tasks.map(() => []));
    await writeFile(join(root, corpus, 'heldout/one-1', 'b.ts'), `// b\n${text}`);
    for (const { files } of await withSimilarParts(tasks)) {
      expect(files?.map(({ path }) => path)).toEqual(['b.ts']);
      expect(`// b\n${text}`).toContain(files?.[0]?.text);
    }
    await rm(join(root, corpus, 'heldout/one-1', 'b.ts'));
    // Nothing opens a block there.
    expect(await blockTasks(corpus, manifest, 3)).toEqual([]);
    const functions = Array.from(
      { length: 200 },
      (_, i) => `function f${i}() {\n  a${i}();\n  b${i}();\n\n  c();\n}\n`,
    ).join('');
    await writeFile(join(root, corpus, 'heldout/one-1', 'a.ts'), functions);
    const blocks = await blockTasks(corpus, manifest, 3);
    expect(blocks).toEqual(await blockTasks(corpus, manifest, 3));
    expect(blocks).toHaveLength(2);
    for (const { prefix, expected, suffix } of blocks) {
      expect(functions).toContain(prefix + expected + suffix);
      expect(prefix).toMatch(/\nfunction f\d+\(\) \{\n {2}$/);
      expect(expected).toMatch(/^a\d+\(\);(?:\n {2}b\d+\(\);)?$/);
      expect(suffix).toMatch(/^\n/);
    }
  } finally {
    await rm(join(root, corpus), { recursive: true });
  }
});

it('compares lines but for blanks at their end, and spans exactly', async () => {
  const task = {
    expected: 'return 1',
    prefix: '',
    suffix: '',
    id: '',
    group: '',
    path: '',
    repository: '',
    maxTokens: 1,
  };
  expect(isExact({ ...task, kind: 'end of line' }, 'return 1  ')).toBe(true);
  expect(isExact({ ...task, kind: 'end of line' }, '  return 1')).toBe(false);
  expect(isExact({ ...task, kind: 'random span' }, 'return 1\n')).toBe(false);
});

it('takes away what a model without a suffix wrote of it', () => {
  expect(cutAtSuffix('x + 1\n    return y\n\n\ndef g():', '\n    return y\n')).toBe('x + 1');
  expect(cutAtSuffix('[:-1]:\n        pass', ':\n            ns.append(i)\n')).toBe('[:-1]:\n        pass');
  expect(cutAtSuffix('anything', '\n\n')).toBe('anything');
});
