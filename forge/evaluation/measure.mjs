// The parts of an evaluation that run models: bits per byte, and gaps filled in. Each result is kept as it comes.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { capture } from '../../scripts/lib/process.mjs';
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';
import { openFiller } from './models.mjs';
import { findSandbox, passes } from './sandbox.mjs';
import { openStore } from './store.mjs';

/** @typedef {import('./samples.mjs').Task} Task */
/** @typedef {import('./samples.mjs').Excerpt} Excerpt */
/** @typedef {import('./models.mjs').Filled} Filled */
/** @typedef {{ name: string, path: string, draft?: string }} Contestant */
/** @typedef {{ id: string, language: string, group: string, bits: number, bytes: number }} BitsRow */
/** @typedef {Filled & { id: string, kind: string, group: string, isExact: boolean }} FilledRow */

/** Another number where a change of the code changes what models are asked. */
export const version = 4;

/** Another number where a change of the sandbox changes which programs pass. */
const sandboxVersion = 2;

/** @param {string} path */
async function hashOfFile(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** What is kept of a model is kept by its contents. @param {Contestant} contestant @returns {Promise<string[]>} */
export function hashesOfModels({ path, draft }) {
  return Promise.all([path, ...(draft === undefined ? [] : [draft])].map(hashOfFile));
}

/** @param {string} folder of the results @param {string} part @param {Contestant} contestant */
const storePath = (folder, part, { name }) => join(folder, `${part}-${name}.jsonl`);

/**
 * Bits that a model needs for a text: comparable between vocabularies.
 * @param {{ folder: string, program: string, contestant: Contestant, excerpts: Excerpt[], nThreads: number,
 *   progress?: (text: string) => void }} options
 * @returns {Promise<BitsRow[]>}
 */
export async function measureBits({ folder, program, contestant, excerpts, nThreads, progress }) {
  const store = await openStore(storePath(folder, 'bits', contestant));
  const model = await hashOfFile(contestant.path);
  const scratch = await mkdtemp(join(tmpdir(), 'outpost-evaluation-'));
  try {
    const result = [];
    for (const [i, { id, language, group, text }] of excerpts.entries()) {
      const key = sha256(JSON.stringify([version, model, text]));
      if (!store.rows.has(key)) {
        const file = join(scratch, 'text');
        await writeFile(file, text);
        const words = ['perplexity', contestant.path, file, '--ctx', '2048', '--whole'];
        const output = await capture(program, [...words, '--threads', `${nThreads}`]);
        const match = output.match(/([\d.]+) bits over (\d+) bytes/);
        await store.add(key, { id, language, group, bits: Number(match?.[1]), bytes: Number(match?.[2]) });
        progress?.(`${i + 1} of ${excerpts.length}`);
      }
      result.push(/** @type {BitsRow} */ (store.rows.get(key)));
    }
    return result;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * @param {{ folder: string, part: string, addon: string, contestant: Contestant, tasks: Task[], nThreads: number,
 *   progress?: (text: string) => void }} options part: names the file of the results
 * @returns {Promise<FilledRow[]>} one for each task, in their order
 */
export async function measureFilling({ folder, part, addon, contestant, tasks, nThreads, progress }) {
  const store = await openStore(storePath(folder, part, contestant));
  const [model, ...drafts] = await hashesOfModels(contestant);
  const keyOf = (/** @type {Task} */ { kind, path, repository, prefix, suffix, maxTokens, files }) =>
    sha256(
      JSON.stringify([
        version,
        model,
        kind,
        path,
        repository,
        prefix,
        suffix,
        maxTokens,
        ...drafts,
        ...(files ? [files] : []),
      ]),
    );
  const missing = tasks.filter((task) => !store.rows.has(keyOf(task)));
  if (missing.length > 0) {
    const filler = await openFiller({ addon, model: contestant.path, draft: contestant.draft, nThreads });
    for (const [i, task] of missing.entries()) {
      const filled = await filler.fill(task);
      const { id, kind, group } = task;
      await store.add(keyOf(task), { id, kind, group, isExact: isExact(task, filled.text), ...filled });
      progress?.(`${i + 1} of ${missing.length}`);
    }
    filler.dispose();
  }
  return tasks.map((task) => /** @type {FilledRow} */ (store.rows.get(keyOf(task))));
}

/** Blanks at the end of a line say nothing about code. @param {Task} task @param {string} text */
export function isExact({ kind, expected }, text) {
  return kind === 'random span' ? text === expected : text.trimEnd() === expected.trimEnd();
}

/**
 * Whether programs come to their end, tests included.
 * @param {{ folder: string, answers: string[], progress?: (text: string) => void }} options
 * @returns {Promise<boolean[]>}
 */
export async function measurePasses({ folder, answers, progress }) {
  const store = await openStore(join(folder, 'passes.jsonl'));
  const keyOf = (/** @type {string} */ program) => sha256(JSON.stringify([sandboxVersion, program]));
  const missing = [...new Set(answers)].filter((program) => !store.rows.has(keyOf(program)));
  if (missing.length > 0) {
    const { command, hasNetwork } = await findSandbox();
    if (hasNetwork) console.log('  The programs run without a namespace of their own: a network would be in reach.');
    // A few at a time: most of what each takes is its start.
    const queue = missing.entries();
    const work = async () => {
      for (const [i, program] of queue) {
        await store.add(keyOf(program), { hasPassed: await passes(command, program) });
        progress?.(`${i + 1} of ${missing.length}`);
      }
    };
    await Promise.all(Array.from({ length: 4 }, work));
  }
  return answers.map((program) => /** @type {{ hasPassed: boolean }} */ (store.rows.get(keyOf(program))).hasPassed);
}
