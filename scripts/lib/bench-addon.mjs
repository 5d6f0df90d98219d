// Requests to the engine through its addon, for benchmarks of what only shows with several of them, and of what a
// request is told to draft from.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ensureDefaultModel } from './default-model.mjs';
import { ensureDependencies } from './dependencies.mjs';
import { buildNative } from './native-build.mjs';
import { SetupError } from './process.mjs';
import { ensureSystemPackages } from './system-packages.mjs';

/** @typedef {import('../../electron/engine/native.d.ts').NativeAddon} NativeAddon */
/** @typedef {import('../../electron/engine/native.d.ts').NativeEngine} NativeEngine */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateRequest} NativeGenerateRequest */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateStats} NativeGenerateStats */
/** @typedef {{ text: string, reason: string, stats: NativeGenerateStats }} Reply */

/** For parseArgs. */
export const modelOptions = /** @type {const} */ ({
  model: { type: 'string' },
  draft: { type: 'string' },
  threads: { type: 'string' },
  limit: { type: 'string' },
  'no-write': { type: 'boolean' },
});

/**
 * The engine, built, and the model that the command line names, or the default one.
 * @param {{ model?: string, draft?: string, threads?: string }} values
 */
export async function openEngine({ model: modelPath, draft: draftPath, threads }) {
  const nThreads = readCount('threads', threads, 0);
  await ensureSystemPackages(['build']);
  await ensureDependencies();
  const build = await buildNative('release');
  /** @type {NativeAddon} */
  const addon = createRequire(import.meta.url)(join(build, 'outpost_engine.node'));
  const load = (/** @type {string} */ path) => addon.loadModel(path, { nThreads }).promise;
  const model = await load(modelPath ?? (await ensureDefaultModel()));
  const draft = draftPath === undefined ? null : await load(draftPath);
  return { build, model, draft, nThreads };
}

/** @param {string} name @param {string | undefined} text @param {number} otherwise */
export function readCount(name, text, otherwise) {
  const value = Number(text ?? otherwise);
  if (!Number.isInteger(value) || value < 0) throw new SetupError(`--${name} expects a whole number from 0.`);
  return value;
}

/**
 * Submits a request now. `firstMs` settles with the time to its first text, `done` with all of it.
 * @param {NativeEngine} engine @param {NativeGenerateRequest} request
 */
export function submit(engine, request) {
  const startMs = performance.now();
  /** @type {PromiseWithResolvers<number>} */
  const first = Promise.withResolvers();
  /** @type {PromiseWithResolvers<Reply>} */
  const all = Promise.withResolvers();
  let text = '';
  const id = engine.submit(request, {
    onText: (piece) => {
      text += piece;
      first.resolve(performance.now() - startMs);
    },
    onDone: (reason, stats, error) => {
      first.resolve(performance.now() - startMs);
      if (error) all.reject(error);
      else all.resolve({ text, reason, stats });
    },
  });
  return { id, firstMs: first.promise, done: all.promise };
}

/** @param {number[]} values @param {number} part 0 to 1 */
export function quantile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}

/** @param {number[]} values */
export const sum = (values) => values.reduce((total, value) => total + value, 0);
