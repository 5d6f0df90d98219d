import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { measureLatency, withinBudget } from './latency.mjs';

const folder = await mkdtemp(join(tmpdir(), 'outpost-latency-test-'));
afterAll(() => rm(folder, { recursive: true }));

it('measures again what another file of weights takes, wherever it lies', async () => {
  const path = join(folder, 'model');
  const other = join(folder, 'other');
  const draft = join(folder, 'draft');
  await writeFile(path, 'weights');
  await writeFile(draft, 'weights of the draft');
  let nOpened = 0;
  /** @type {string[]} */
  const asked = [];
  const open = async (/** @type {{ model: string }} */ { model }) => {
    nOpened += 1;
    const cpuMs = nOpened;
    const fill = async () => {
      asked.push(model);
      return /** @type {import('./models.mjs').Filled} */ ({ cpuMs });
    };
    return { forget: () => void asked.push('forgets'), fill, dispose: () => {} };
  };
  const tasks = /** @type {import('./samples.mjs').Task[]} */ ([{ id: 'a:1', prefix: 'x' }]);
  const options = { folder, addon: '', tasks, machine: 'a machine', open };
  const baseline = { name: 'baseline', path: join(folder, 'baseline') };
  await writeFile(baseline.path, 'its weights');
  const cpuMs = async (/** @type {import('./measure.mjs').Contestant} */ ours) => {
    const rows = await measureLatency({ ...options, contestants: [ours, baseline] });
    return rows.map(([row]) => row?.cold.cpuMs);
  };
  expect(await cpuMs({ name: 'ours', path, draft })).toEqual([1, 2]);
  // In turns, each without and with what it has read.
  const turns = [path, baseline.path, path].flatMap((model) => ['forgets', model, model]);
  expect(asked.slice(0, 9)).toEqual(turns);
  await copyFile(path, other);
  expect(await cpuMs({ name: 'ours', path: other, draft })).toEqual([1, 2]);
  await writeFile(path, 'other weights');
  // Both: figures of two times are not compared.
  expect(await cpuMs({ name: 'ours', path, draft })).toEqual([3, 4]);
  await writeFile(draft, 'other weights of the draft');
  expect(await cpuMs({ name: 'ours', path, draft })).toEqual([5, 6]);
});

it('cuts both sides at the time that nine of ten of our completions take', () => {
  const speed = { cold: [10, 20, 100], warm: [1, 2, 10], prefillMs: 1, decodeMs: 1 };
  const slow = { cold: [], warm: [], prefillMs: 10, decodeMs: 10 };
  const rows = /** @type {import('./measure.mjs').FilledRow[]} */ (
    [1, 5, 50, 500].map((nTokens) => ({ nPrompt: 4, nTokens, isExact: true }))
  );
  expect(withinBudget({ ours: { speed, rows }, theirs: { speed: slow, rows } })).toEqual([
    { budget: 100, ours: [true, true, true, false], theirs: [true, true, false, false] },
    { budget: 10, ours: [true, true, false, false], theirs: [false, false, false, false] },
  ]);
});
