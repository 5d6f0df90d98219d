// What a completion takes: of a text that the engine has not seen, and one key after another request. On one thread, in
// processor time, which is what a free core would take: a machine that does other things distorts it little.

import { cpus } from 'node:os';
import { join } from 'node:path';
import { quantile, sum } from '../../scripts/lib/bench-addon.mjs';
import { markdownTable } from '../../scripts/lib/doc-section.mjs';
import { SetupError } from '../../scripts/lib/process.mjs';
import { step } from '../../scripts/lib/steps.mjs';
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';
import { filled, membersOf } from './filled.mjs';
import { hashesOfModels, version } from './measure.mjs';
import { openFiller } from './models.mjs';
import { lineTasks } from './samples.mjs';
import { estimate } from './statistics.mjs';
import { openStore } from './store.mjs';
import { inWords, percent } from './words.mjs';

/** @typedef {import('./samples.mjs').Task} Task */
/** @typedef {import('./measure.mjs').Contestant} Contestant */
/** @typedef {import('./models.mjs').Filled} Filled */
/** @typedef {Awaited<ReturnType<typeof openFiller>>} Filler */
/** @typedef {import('./measure.mjs').FilledRow} FilledRow */
/** @typedef {import('./filled.mjs').Context} Context */
/** @typedef {import('./filled.mjs').Section} Section */
/** @typedef {{ id: string, cold: Filled, warm: Filled }} LatencyRow */
/** @typedef {{ cold: number[], warm: number[], prefillMs: number, decodeMs: number }} Speed of processor time */

/** Of each task the quickest of so many: what disturbs only makes it slower. */
const nTimes = 4;

/**
 * One after the other on each task: what else a machine does for a while concerns all of them alike.
 * @param {{ folder: string, addon: string, contestants: Contestant[], tasks: Task[], machine: string,
 *   open?: (...options: Parameters<typeof openFiller>) => Promise<Pick<Filler, 'fill' | 'forget' | 'dispose'>> }} options
 * @returns {Promise<LatencyRow[][]>} of each contestant, one for each task
 */
export async function measureLatency({ folder, addon, contestants, tasks, machine, open = openFiller }) {
  /** @type {Awaited<ReturnType<typeof openStore<{ rows: LatencyRow[] }>>>} */
  const store = await openStore(join(folder, 'latency.jsonl'));
  const models = await Promise.all(contestants.map(hashesOfModels));
  const keyOf = (/** @type {Task} */ { id }) => sha256(JSON.stringify([version, machine, models, id]));
  const missing = tasks.filter((task) => !store.rows.has(keyOf(task)));
  if (missing.length > 0) {
    const fillers = [];
    for (const { path, draft } of contestants) fillers.push(await open({ addon, model: path, draft, nThreads: 1 }));
    for (const task of missing) {
      const times = fillers.map(() => ({ cold: /** @type {Filled[]} */ ([]), warm: /** @type {Filled[]} */ ([]) }));
      for (let i = 0; i < nTimes; ++i)
        for (const [which, filler] of fillers.entries()) {
          filler.forget();
          times[which]?.cold.push(await filler.fill({ ...task, prefix: task.prefix.slice(0, -1) }));
          times[which]?.warm.push(await filler.fill(task));
        }
      const rows = times.map(({ cold, warm }) => ({ id: task.id, cold: quickest(cold), warm: quickest(warm) }));
      await store.add(keyOf(task), { rows });
    }
    for (const filler of fillers) filler.dispose();
  }
  return contestants.map((_, which) =>
    tasks.map((task) => /** @type {LatencyRow} */ (store.rows.get(keyOf(task))?.rows[which])),
  );
}

/** @param {Filled[]} times @returns {Filled} */
function quickest(times) {
  return times.reduce((best, one) => (one.cpuMs < best.cpuMs ? one : best));
}

/** @param {Context} context @returns {Promise<Section>} */
export async function latency(context) {
  const all = await lineTasks(context.corpus, context.manifest, 1);
  // One cursor of each file: the others see almost the same text.
  const tasks = all.filter((_, i) => i % 4 === 2).slice(0, context.isQuick ? 2 : 6);
  const machine = cpus()[0]?.model ?? 'unknown';
  const results = await step('latency', () => measureLatency({ ...context, tasks, machine }));
  const speeds = results.map((rows) => {
    const cold = rows.map((row) => row.cold);
    const warm = rows.map((row) => row.warm);
    const cpuMs = (/** @type {Filled[]} */ all) => sum(all.map((row) => row.cpuMs));
    const nTokens = (/** @type {Filled[]} */ all) => sum(all.map((row) => row.nTokens));
    const nNew = (/** @type {Filled[]} */ all) => sum(all.map(({ nPrompt, nReused }) => nPrompt - nReused));
    // A token or two of the prompt are computed anew after a key: about as much as tokens of the reply.
    const decodeMs = cpuMs(warm) / (nTokens(warm) + nNew(warm));
    return {
      cold: cold.map((row) => row.cpuMs),
      warm: warm.map((row) => row.cpuMs),
      prefillMs: (cpuMs(cold) - decodeMs * nTokens(cold)) / nNew(cold),
      decodeMs,
    };
  });
  const [ours, theirs] = speeds;
  if (ours === undefined || theirs === undefined) throw new SetupError('The latency of two models is needed.');
  const p = (/** @type {number[]} */ values, /** @type {number} */ part) => quantile(values, part);
  const ms = (/** @type {number} */ value) => `${value.toFixed(0)} ms`;
  const row = (/** @type {string} */ name, /** @type {(speed: Speed) => number} */ of, isRate = false) => {
    const [a, b] = [of(ours), of(theirs)];
    const show = (/** @type {number} */ value) => (isRate ? value.toFixed(0) : ms(value));
    return [name, show(a), show(b), `${(isRate ? a / b : b / a).toFixed(1)}×`];
  };
  const head = ['', ...context.contestants.map(({ name }) => name), 'ours is faster by'];
  const table = markdownTable([
    head,
    row('prefill, tokens per second', ({ prefillMs }) => 1000 / prefillMs, true),
    row('decode, tokens of the reply per second', ({ decodeMs }) => 1000 / decodeMs, true),
    row('a completion of text not seen before, median', ({ cold }) => p(cold, 0.5)),
    row('a completion after the next key, median', ({ warm }) => p(warm, 0.5)),
  ]);
  const lines = [
    `${machine}, one thread, in processor time: ${tasks.length} completions to the end of the line in held-out files, as the app asks for them.`,
    table,
    await budgetTable(context, ours, theirs),
  ];
  return { title: 'Latency', text: lines.join('\n\n') };
}

/** @typedef {{ speed: Speed, rows: FilledRow[] }} Side rows: of what was filled in */

/**
 * Which replies are there in the time that nine of ten of our pair's completions take. The time of each follows from its
 * tokens and the model's speed.
 * @param {{ ours: Side, theirs: Side }} sides
 */
export function withinBudget({ ours, theirs }) {
  return /** @type {const} */ (['cold', 'warm']).map((key) => {
    const budget = quantile(ours.speed[key], 0.9);
    const inTime = (/** @type {Side} */ { speed: { prefillMs, decodeMs }, rows }) =>
      rows.map(({ nPrompt, nTokens }) => (key === 'cold' ? nPrompt : 1) * prefillMs + nTokens * decodeMs <= budget);
    return { budget, ours: inTime(ours), theirs: inTime(theirs) };
  });
}

/** @param {Context} context @param {Speed} ourSpeed @param {Speed} theirSpeed */
async function budgetTable(context, ourSpeed, theirSpeed) {
  const { tasks, ours, theirs } = await filled(context);
  const sides = { ours: { speed: ourSpeed, rows: ours }, theirs: { speed: theirSpeed, rows: theirs } };
  const ofLines = (/** @type {boolean[]} */ values) => estimate(membersOf(tasks, values, 'single line'));
  const cells = (/** @type {FilledRow[]} */ rows, /** @type {boolean[]} */ inTime) => [
    percent(ofLines(inTime).value),
    inWords(ofLines(rows.map((row, i) => row.isExact && inTime[i] === true)), percent),
  ];
  const table = withinBudget(sides).map((inTime, i) => [
    i === 0 ? 'of text not seen before' : 'after the next key',
    `${inTime.budget.toFixed(0)} ms`,
    ...cells(theirs, inTime.theirs),
    ...cells(ours, inTime.ours),
  ]);
  const [pair, baseline] = context.contestants;
  const done = [baseline, pair].flatMap(({ name }) => [`${name} is done`, name]);
  return markdownTable([['single lines, exact, in the time our pair takes (p90)', 'time', ...done], ...table]);
}
