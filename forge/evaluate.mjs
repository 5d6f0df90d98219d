// How good a model is: bits per byte of held-out packages by language, and filling in on tasks that nobody here wrote.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { capture, root } from '../scripts/lib/process.mjs';
import { filesBelow } from '../scripts/lib/steps.mjs';
import { sha256 } from '../scripts/tokenizer/corpus.mjs';
import { languageOf } from './corpus/files.mjs';
import { openModel } from './generate.mjs';

/** @typedef {import('./corpus/build.mjs').ManifestEntry} ManifestEntry */
/** @typedef {{ language: string, files: number, bytes: number, bitsPerByte: number }} LanguageResult */
/**
 * @typedef {object} InfillingTask of openai/human-eval-infilling
 * @property {string} task_id
 * @property {string} entry_point
 * @property {string} prompt
 * @property {string} suffix
 * @property {string} canonical_solution
 * @property {string} test
 */

/**
 * Bits per byte, the logarithm of the probability that a model gives to a text: comparable between vocabularies.
 * An arbitrary choice of held-out files, the same for every model, each from its beginning.
 * @param {{ program: string, model: string, corpus: string, manifest: ManifestEntry[], languages: string[], bytes: number,
 *   nCtx: number }} options bytes: of each language
 * @returns {Promise<LanguageResult[]>}
 */
export async function bitsPerByte({ program, model, corpus, manifest, languages, bytes, nCtx }) {
  const folder = await mkdtemp(join(tmpdir(), 'outpost-evaluate-'));
  try {
    const results = [];
    for (const language of languages) {
      const files = await heldOutFiles(corpus, manifest, language, bytes);
      if (files.length === 0) continue;
      let bits = 0;
      let scored = 0;
      for (const [i, text] of files.entries()) {
        const path = join(folder, `${i}.txt`);
        await writeFile(path, text);
        const output = await capture(program, ['perplexity', model, path, '--ctx', `${nCtx}`, '--whole']);
        const match = output.match(/([\d.]+) bits over (\d+) bytes/);
        bits += Number(match?.[1]);
        scored += Number(match?.[2]);
      }
      results.push({ language, files: files.length, bytes: scored, bitsPerByte: bits / scored });
    }
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {string} corpus @param {ManifestEntry[]} manifest @param {string} language @param {number} bytes */
async function heldOutFiles(corpus, manifest, language, bytes) {
  const paths = [];
  for (const entry of manifest.filter(
    ({ part, languages }) => part === 'heldout' && languages[language] !== undefined,
  )) {
    const folder = `${corpus}/heldout/${entry.folder}`;
    for (const path of await filesBelow(folder))
      if (languageOf(path.slice(folder.length + 1)) === language) paths.push(path);
  }
  const ordered = paths.map((path) => ({ path, key: sha256(path) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const texts = [];
  let nBytes = 0;
  for (const { path } of ordered) {
    if (nBytes >= bytes) break;
    const text = (await readFile(join(root, path), 'utf8')).slice(0, 4000);
    texts.push(text);
    nBytes += Buffer.byteLength(text);
  }
  return texts;
}

/** @param {string} path of a .jsonl.gz @returns {Promise<InfillingTask[]>} */
export async function readTasks(path) {
  const lines = gunzipSync(await readFile(path))
    .toString('utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line));
}

/**
 * Exact answers of a model on infilling tasks, without running any code.
 * @param {{ addon: string, model: string, tasks: InfillingTask[], isSingleLine: boolean }} options a model without
 *   fill-in-the-middle sees what comes before only
 * @returns {Promise<{ exact: number, tasks: number, tokensPerReply: number, msPerReply: number }>}
 */
export async function infillingScore({ addon, model, tasks, isSingleLine }) {
  const opened = await openModel({ addon, model, nCtx: 2048 });
  let exact = 0;
  let nTokens = 0;
  let ms = 0;
  for (const { prompt, suffix, canonical_solution } of tasks) {
    const reply = opened.info.hasFim
      ? await opened.infill(prompt, suffix, 96)
      : await opened.complete(prompt, isSingleLine ? 48 : 96, isSingleLine ? ['\n'] : []);
    // The task's own line end belongs to its answer; whether a model gives one is no question of its code.
    exact += reply.text.trimEnd() === canonical_solution.trimEnd() ? 1 : 0;
    nTokens += reply.nTokens;
    ms += reply.ms;
  }
  opened.dispose();
  const n = tasks.length;
  return { exact, tasks: n, tokensPerReply: nTokens / n, msPerReply: ms / n };
}
