// A model that fills in gaps as the app has it do: with the app's own code for the prompt, and its draft.
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { submit } from '../../scripts/lib/bench-addon.mjs';
import { root } from '../../scripts/lib/process.mjs';

/** @typedef {import('./samples.mjs').Task} Task */
/** @typedef {import('../../electron/engine/native.d.ts').NativeModel} NativeModel */
/** @typedef {typeof import('../../electron/engine/completion-formats.ts') & typeof import('../../electron/engine/completion-prompt.ts') & typeof import('../../electron/engine/block-end.ts')} PromptCode */
/**
 * @typedef {object} Filled
 * @property {string} text
 * @property {number} nPrompt
 * @property {number} nReused
 * @property {number} nTokens
 * @property {number} nPasses
 * @property {number} nDrafted
 * @property {number} nAccepted
 * @property {number} prefillMs
 * @property {number} ttftMs
 * @property {number} decodeMs
 * @property {number} cpuMs of this process meanwhile, all of its threads
 * @property {number} ms from the request to the end of the reply
 */

const nCtx = 2048;

const promptCode = ['completion-formats', 'completion-prompt', 'block-end'].map((name) => `electron/engine/${name}.ts`);

/**
 * The app's modules are TypeScript, which Node 20 does not run.
 * @param {string[]} paths relative to the root @returns {Promise<any>} what all of them export
 */
export async function appCode(paths) {
  const { rolldown } = await import('rolldown');
  const input = paths.map((path) => join(root, path));
  const bundle = await rolldown({ input, platform: 'node', logLevel: 'warn' });
  const folder = join(root, 'build', 'forge', 'evaluation', 'app');
  await bundle.write({ dir: folder, format: 'esm' });
  await bundle.close();
  const modules = input.map((path) => pathToFileURL(join(folder, basename(path).replace('.ts', '.js'))).href);
  return Object.assign({}, ...(await Promise.all(modules.map((url) => import(url)))));
}

/**
 * @param {{ addon: string, model: string, draft?: string | undefined, nThreads: number }} options
 */
export async function openFiller({ addon, model: path, draft: draftPath, nThreads }) {
  /** @type {PromptCode} */
  const { fimFormat, gapOf, completionPrompt, blockEnd } = await appCode(promptCode);
  /** @type {import('../../electron/engine/native.d.ts').NativeAddon} */
  const { loadModel } = createRequire(import.meta.url)(addon);
  const load = (/** @type {string} */ file) => loadModel(file, { nThreads }).promise;
  const model = await load(path);
  const draftModel = draftPath === undefined ? undefined : await load(draftPath);
  const createEngine = () => model.createEngine({ nCtx, ...(draftModel === undefined ? {} : { draftModel }) });
  let engine = createEngine();
  const format = fimFormat(model);

  return {
    dispose: () => engine.dispose(),

    /** Begins anew, with nothing in the cache. */
    forget: () => {
      engine.dispose();
      engine = createEngine();
    },

    /** @param {Task} task @returns {Promise<Filled>} */
    fill: async (task) => {
      const { kind, prefix, suffix, path, repository, maxTokens, files = [] } = task;
      const isSpan = kind === 'random span';
      /** @type {'line' | 'block'} */
      const mode = isSpan || kind === 'block' ? 'block' : 'line';
      const request = { path, prefix, suffix, repository, files, mode };
      const gap = gapOf(format, request);
      const { beginWith, nCandidates, followedBy } = gap;
      // What stands before the cursor already is said again.
      const nPredict = maxTokens + (beginWith === '' ? 0 : model.tokenize(beginWith, { addBos: false }).length);
      const tokens = completionPrompt(model, format, request, gap, nCtx - nPredict);
      const startMs = performance.now();
      const startCpu = process.cpuUsage();
      const { text, stats } = await submit(engine, {
        tokens,
        beginWith,
        nPredict,
        candidates: nCandidates,
        followedBy,
        temperature: 0,
        stop: isSpan ? [] : [mode === 'line' ? '\n' : '\n\n'],
      }).done;
      const { nDrafted, nAccepted } = stats.drafts.model;
      const cpu = process.cpuUsage(startCpu);
      const end = kind === 'block' ? blockEnd(text, task, true) : null;
      return {
        text: format === null && isSpan ? cutAtSuffix(text, suffix) : text.slice(0, end ?? text.length),
        nPrompt: stats.nPrompt,
        nReused: stats.nReused,
        nTokens: stats.nDecoded,
        nPasses: stats.nPasses,
        nDrafted,
        nAccepted,
        prefillMs: stats.prefillMs,
        ttftMs: stats.ttftMs,
        decodeMs: stats.decodeMs,
        cpuMs: (cpu.user + cpu.system) / 1000,
        ms: performance.now() - startMs,
      };
    },
  };
}

/**
 * A model that sees the prefix only does not know where to stop: what it writes of the suffix's first line is taken away.
 * @param {string} text @param {string} suffix
 */
export function cutAtSuffix(text, suffix) {
  const first = suffix.split('\n').find((line) => line.trim().length >= 3);
  const at = first === undefined ? -1 : text.indexOf(first);
  if (at < 0) return text;
  // The line ends between the two are the suffix's.
  const blank = suffix.slice(0, suffix.indexOf(first ?? ''));
  const cut = text.slice(0, at);
  return cut.endsWith(blank) ? cut.slice(0, cut.length - blank.length) : cut;
}
