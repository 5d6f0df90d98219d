// Our engine by its command line, for tests and benchmarks.
import { join } from 'node:path';
import { capture } from './process.mjs';

/**
 * @typedef {{ program: string, model: string }} EngineCli
 * @typedef {{ hash: string, top: [number, number][] }} Logits hash: of the bits of all logits
 */

/** @param {string} nativeBuild folder of the build */
export function engineProgram(nativeBuild) {
  return join(nativeBuild, process.platform === 'win32' ? 'outpost-engine.exe' : 'outpost-engine');
}

/**
 * The most probable next tokens after each prompt.
 * @param {EngineCli} engine
 * @param {number[][]} prompts token ids, with BOS
 * @param {string[]} [options] such as --chunk 7
 * @returns {Promise<Logits[]>}
 */
export async function engineLogits({ program, model }, prompts, options = []) {
  const input = prompts.map((ids) => JSON.stringify(ids)).join('\n');
  const output = await capture(program, ['logits', model, ...options], { input });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/**
 * @param {EngineCli} engine
 * @param {string} text
 * @returns {Promise<number[]>} ids without BOS, special tokens not parsed
 */
export async function engineTokenize({ program, model }, text) {
  return JSON.parse(await capture(program, ['tokenize', model, '--no-bos'], { input: text }));
}

/**
 * @param {EngineCli} engine
 * @param {string[]} texts
 * @param {string[]} [options] such as --parse-special
 * @returns {Promise<number[][]>} ids of each text, without BOS
 */
export async function engineTokenizeAll({ program, model }, texts, options = []) {
  const input = texts.map((text) => `${Buffer.byteLength(text)}\n${text}`).join('');
  const output = await capture(program, ['tokenize', model, '--no-bos', '--batch', ...options], { input });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/**
 * The most probable continuation.
 * @param {EngineCli} engine
 * @param {string} prompt
 * @param {number} nPredict
 */
export async function engineRun({ program, model }, prompt, nPredict) {
  return capture(program, ['run', model, '-p', prompt, '-n', `${nPredict}`, '--temp', '0']);
}
