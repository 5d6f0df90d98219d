// Texts of a corpus -> token shards, as stream.py describes them: whole packages, in an arbitrary order, files by path.
// The engine encodes; control tokens are put in here, and text never becomes one.
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { engineTokenizeAll } from '../scripts/lib/engine-cli.mjs';
import { filesBelow } from '../scripts/lib/steps.mjs';
import { sha256 } from '../scripts/tokenizer/corpus.mjs';

/** @typedef {import('./corpus/build.mjs').ManifestEntry} ManifestEntry */

const repositoryToken = 7;
const fileToken = 8;
const batchBytes = 8e6; // of text handed to the engine at once

/**
 * @param {object} options
 * @param {string} options.program the engine's command line
 * @param {string} options.vocabulary GGUF
 * @param {string} options.corpus folder of train/ and heldout/, relative to the repository's root
 * @param {ManifestEntry[]} options.entries of one part
 * @param {string} options.out folder for NAME-000.tokens and so on
 * @param {string} options.name
 * @param {number} options.shardTokens about how many tokens a shard holds
 * @returns {Promise<{ name: string, tokens: number }[]>}
 */
export async function packTokens({ program, vocabulary, corpus, entries, out, name, shardTokens }) {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const order = entries
    .flatMap((entry) => Array.from({ length: entry.repeat ?? 1 }, (_, copy) => ({ entry, copy })))
    .map((item) => ({ ...item, key: sha256(`${item.copy} ${item.entry.folder}`) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  /** @type {{ name: string, tokens: number }[]} */
  const shards = [];
  /** @type {Uint16Array[]} */
  let parts = [];
  let nTokens = 0;
  const flush = async () => {
    if (nTokens === 0) return;
    const shard = `${name}-${String(shards.length).padStart(3, '0')}.tokens`;
    const file = await open(join(out, `${shard}.part`), 'w');
    for (const part of parts) await file.write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    await file.close();
    await rename(join(out, `${shard}.part`), join(out, shard)); // a name that ends in .tokens is a whole shard
    shards.push({ name: shard, tokens: nTokens });
    parts = [];
    nTokens = 0;
  };
  for (const { entry } of order) {
    for await (const tokens of packageTokens(entry, { program, vocabulary, corpus })) {
      parts.push(tokens);
      nTokens += tokens.length;
      if (nTokens >= shardTokens) await flush();
    }
  }
  await flush();
  return shards;
}

/**
 * Parts of a package that stand alone: each begins with the repository's name.
 * @param {ManifestEntry} entry
 * @param {{ program: string, vocabulary: string, corpus: string }} options
 */
async function* packageTokens(entry, { program, vocabulary, corpus }) {
  const folder = `${corpus}/${entry.part}/${entry.folder}`;
  const paths = await filesBelow(folder);
  for (let at = 0; at < paths.length; ) {
    /** @type {string[]} */
    const texts = [repositoryName(entry.name)];
    let nBytes = 0;
    for (; at < paths.length && nBytes < batchBytes; ++at) {
      const path = /** @type {string} */ (paths[at]);
      const text = await readFile(path, 'utf8');
      texts.push(path.slice(folder.length + 1), text.replace(/^\ufeff/, ''));
      nBytes += text.length;
    }
    const [nameIds = [], ...ids] = await engineTokenizeAll({ program, model: vocabulary }, ['\n', ...texts]).then(
      ([newline = [], ...all]) => all.map((ids, i) => (i % 2 === 1 ? [fileToken, ...ids, ...newline] : ids)),
    );
    yield Uint16Array.from([repositoryToken, ...nameIds, ...ids.flat()]);
  }
}

/** A library's own name. @param {string} name of a package */
export function repositoryName(name) {
  return name.replace(/^(librust|python3|golang-github|golang)-/, '').replace(/-dev$/, '');
}
