// `node scripts/outpost.mjs soak [--minutes N] [--seed N] [--model FILE] [--draft FILE]`: random requests of all classes to a
// real engine with too little memory for all of them, for 30 minutes or as long as said. Some are cancelled, some have a
// deadline. Every reply has to be the one that the request gets alone and without drafts, or where it was ended early, the
// beginning of it; nobody may wait for more than a minute; afterwards no request may be left, nor memory have grown.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { modelOptions, openEngine, quantile, readCount, submit } from '../lib/bench-addon.mjs';
import { bundledModel } from '../lib/bundled-models.mjs';
import { root } from '../lib/process.mjs';
import { clearLine } from '../lib/steps.mjs';
import { formatTable } from '../lib/table.mjs';

/** @typedef {import('../../electron/engine/native.d.ts').NativeModel} NativeModel */
/** @typedef {import('../../electron/engine/native.d.ts').NativeEngine} NativeEngine */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateRequest} NativeGenerateRequest */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateStats} NativeGenerateStats */
/** @typedef {NonNullable<NativeGenerateRequest['priority']>} Priority */
/** @typedef {{ request: NativeGenerateRequest, alone: string }} Known */
/** @typedef {{ priority: Priority, ttftMs: number, isWhole: boolean, stats: NativeGenerateStats }} Done */

const priorities = /** @type {const} */ (['inline', 'chat', 'agent', 'background']);
const nKinds = 32;
const nAtOnce = 24;
const nCtx = 1024;
const longestWaitMs = 60_000;
const grownMiB = 64;

/** @param {string[]} words */
export async function soak(words) {
  const string = /** @type {const} */ ({ type: 'string' });
  const { values } = parseArgs({ args: words, options: { ...modelOptions, minutes: string, seed: string } });
  const minutes = readCount('minutes', values.minutes, 30);
  const seed = readCount('seed', values.seed, 1);
  const { model, draft } = await openEngine({
    model: values.model ?? bundledModel('outpost-code'),
    draft: values.draft ?? bundledModel('outpost-code-draft'),
    ...(values.threads === undefined ? {} : { threads: values.threads }),
  });
  const random = generator(seed);
  console.log(`${nKinds} requests, each alone and without drafts …`);
  const known = await replyAlone(model, await requests(model, random));
  // Memory for a sixth of those that run together.
  const kvBytes = model.info.kvBytesPerToken * nCtx * Math.ceil(nAtOnce / 6);
  const engine = model.createEngine({
    nCtx,
    kvBytes,
    nSequences: 16,
    ...(draft === null ? {} : { draftModel: draft }),
  });
  const endMs = performance.now() + minutes * 60_000;
  const { done, errors, grown } = await disturb(engine, known, random, endMs);
  // Pages stay in the cache for later requests; requests must not.
  const { nActive } = engine.stats();
  if (nActive !== 0) errors.push(`When all had ended, ${nActive} requests were still there.`);
  if (grown > grownMiB)
    errors.push(`Memory has grown by ${grown.toFixed(0)} MiB since the first fifth; expected at most ${grownMiB}.`);
  engine.dispose();
  report(done, grown);
  for (const error of errors.slice(0, 20)) console.error(error);
  console.log(`\nseed ${seed}, ${minutes} min: ${done.length} replies, ${errors.length} errors`);
  if (errors.length > 0) process.exitCode = 1;
}

/** mulberry32: the same numbers, 0 to 1, for the same seed. @param {number} state */
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Code to continue, from a few tokens to most of a context. @param {NativeModel} model @param {() => number} random */
async function requests(model, random) {
  const folder = join(root, 'native', 'tests');
  const names = (await readdir(folder)).filter((name) => name.endsWith('_test.cpp')).toSorted();
  const files = await Promise.all(names.slice(0, 12).map((name) => readFile(join(folder, name), 'utf8')));
  return Array.from({ length: nKinds }, (_, i) => {
    const file = files[i % files.length] ?? '';
    const start = Math.floor(random() * file.length * 0.5);
    const tokens = model
      .tokenize(file.slice(start, start + 4000))
      .slice(0, 16 + Math.floor(random() ** 2 * (nCtx - 256)));
    /** @type {NativeGenerateRequest} */
    const request = { tokens, nPredict: 16 + Math.floor(random() * 144), seed: i, temperature: i % 2 === 0 ? 0 : 0.8 };
    if (i % 3 === 0) request.texts = [files[(i + 1) % files.length] ?? '', file];
    if (i % 5 === 0) request.original = file.slice(start, start + 3000);
    if (i % 7 === 0) request.stop = ['\n\n'];
    if (i % 8 === 7) request.grammar = 'root ::= ("word " | [0-9]+ "\\n")+';
    if (i % 4 === 1) request.repeatPenalty = 1.1;
    return request;
  });
}

/** @param {NativeModel} model @param {NativeGenerateRequest[]} all @returns {Promise<Known[]>} */
async function replyAlone(model, all) {
  const engine = model.createEngine({ nCtx });
  const known = [];
  for (const request of all) {
    const { text } = await submit(engine, { ...request, draft: false }).done;
    known.push({ request, alone: text });
  }
  engine.dispose();
  return known;
}

/** @param {NativeEngine} engine @param {Known[]} known @param {() => number} random @param {number} endMs */
async function disturb(engine, known, random, endMs) {
  const startMs = performance.now();
  /** @type {Done[]} */
  const done = [];
  /** @type {string[]} */
  const errors = [];
  /** @type {Set<Promise<void>>} */
  const running = new Set();
  let firstMiB = 0;
  let shownMs = 0;
  for (let now = startMs; now < endMs; now = performance.now()) {
    if (now - shownMs > 10_000) {
      shownMs = now;
      const { nWaiting, kvBytesUsed, kvBytesTotal } = engine.stats();
      const minutes = ((now - startMs) / 60_000).toFixed(1);
      const used = Math.round((100 * kvBytesUsed) / kvBytesTotal);
      clearLine();
      process.stdout.write(
        `${minutes} min: ${done.length} replies, ${running.size} run, ${nWaiting} of them without memory, cache ${used} %, ` +
          `${residentMiB().toFixed(0)} MiB${process.stdout.isTTY ? '' : '\n'}`,
      );
    }
    if (firstMiB === 0 && now - startMs > (endMs - startMs) / 5) firstMiB = residentMiB();
    if (running.size < nAtOnce) {
      const one = ask(engine, known, random, done, errors).finally(() => running.delete(one));
      running.add(one);
    }
    // Calm now and then, and crowded between.
    await sleep(random() * (Math.floor((now - startMs) / 15_000) % 3 === 2 ? 400 : 40));
  }
  await Promise.all(running);
  clearLine();
  return { done, errors, grown: residentMiB() - firstMiB };
}

/**
 * One request from its arrival to its end.
 * @param {NativeEngine} engine @param {Known[]} known @param {() => number} random @param {Done[]} done @param {string[]} errors
 */
async function ask(engine, known, random, done, errors) {
  const i = Math.floor(random() * known.length);
  const { request, alone } = /** @type {Known} */ (known[i]);
  const priority = priorities[Math.floor(random() * priorities.length)] ?? 'chat';
  const deadlineMs = random() < 0.05 ? 1 + Math.floor(random() * 2000) : 0;
  const startMs = performance.now();
  const submitted = submit(engine, { ...request, priority, deadlineMs });
  if (random() < 0.15) setTimeout(() => engine.cancel(submitted.id), random() * 1500);
  try {
    const { text, reason, stats } = await submitted.done;
    const isWhole = reason !== 'cancelled' && reason !== 'deadline';
    if (isWhole ? text !== alone : !alone.startsWith(text))
      errors.push(
        `Request ${i} as ${priority}, ended by ${reason}: ${JSON.stringify(text)}; alone ${JSON.stringify(alone)}`,
      );
    const waitedMs = performance.now() - startMs;
    if (waitedMs > longestWaitMs) errors.push(`Request ${i} as ${priority} took ${(waitedMs / 1000).toFixed(1)} s.`);
    done.push({ priority, ttftMs: await submitted.firstMs, isWhole, stats });
  } catch (error) {
    errors.push(`Request ${i} as ${priority} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const residentMiB = () => process.memoryUsage().rss / 2 ** 20;

/** @param {Done[]} done @param {number} grown */
function report(done, grown) {
  const rows = priorities.map((priority) => {
    const some = done.filter((reply) => reply.priority === priority);
    const times = some.map(({ ttftMs }) => ttftMs);
    const parked = some.filter(({ stats }) => stats.nParked > 0).length;
    const ms = (/** @type {number} */ part) => quantile(times, part).toFixed(0);
    return [
      priority,
      `${some.length}`,
      `${some.filter(({ isWhole }) => !isWhole).length}`,
      `${parked}`,
      ms(0.5),
      ms(0.99),
    ];
  });
  const head = ['class', 'replies', 'ended early', 'parked', 'first token, median ms', 'p99'];
  console.log(formatTable([head, ...rows]));
  console.log(`memory: ${grown.toFixed(0)} MiB more at the end than after the first fifth`);
}
