// The recorded next tokens of llama.cpp in native/tests/vectors/, which every platform can be compared with.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './process.mjs';

export const vectorsDirectory = join(root, 'native', 'tests', 'vectors');
const promptsFile = join(vectorsDirectory, 'prompts.json');
const nextTokensFile = join(vectorsDirectory, 'next-tokens.json');

/**
 * @typedef {import('./agreement.mjs').TopTokens} TopTokens
 * @typedef {{ id: string, text: string }} Prompt
 * @typedef {{ id: string, tokens: number[], top: TopTokens[] }} RecordedPrompt tokens with BOS; top per configuration
 * @typedef {object} Recording
 * @property {Record<string, unknown> & { model: { file: string, sha256: string }, configurations: string[] }} manifest
 * @property {RecordedPrompt[]} prompts
 */

/** @returns {Promise<Prompt[]>} */
export async function readPrompts() {
  return JSON.parse(await readFile(promptsFile, 'utf8')).prompts;
}

/** @returns {Promise<Recording>} */
export async function readRecording() {
  return JSON.parse(await readFile(nextTokensFile, 'utf8'));
}

/** @param {Recording} recording */
export async function writeRecording(recording) {
  await writeFile(nextTokensFile, formatRecording(recording));
}

/**
 * JSON with one line per list of tokens: small, and a difference can be read.
 * @param {Recording} recording
 */
export function formatRecording({ manifest, prompts }) {
  const blocks = prompts.map(({ id, tokens, top }) => {
    const lists = top.map((list) => {
      const pairs = list.map(([token, probability]) => `[${token},${Number(probability.toPrecision(6))}]`);
      return `    [${pairs.join(',')}]`;
    });
    const head = `   "id": ${JSON.stringify(id)},\n   "tokens": ${JSON.stringify(tokens)}`;
    return `  {\n${head},\n   "top": [\n${lists.join(',\n')}\n   ]\n  }`;
  });
  return `{\n "manifest": ${JSON.stringify(manifest, null, 1).replaceAll('\n', '\n ')},\n "prompts": [\n${blocks.join(',\n')}\n ]\n}\n`;
}
