// Our engine's distributions for a tiny model.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { engineProgram } from '../../lib/engine-cli.mjs';
import { capture, root } from '../../lib/process.mjs';
import { comparedRows, prompts } from './prompts.mjs';

/** Given by `npm run test:model`; by hand, the release build. */
const program = process.env.OUTPOST_ENGINE ?? engineProgram(join(root, 'build', 'native', 'release'));
/** The same with GPUs that are emulated; built where there are no real ones. */
const emulatedProgram = join(dirname(program), 'outpost-emulated-engine');
/** Of which kernels/emulated_device/emulated_products.cpp has products, and Q8_0 only in rows of whole wide blocks. */
const emulatedTypes = ['f32', 'f16', 'bf16', 'q4_0', 'q4_K', 'q8_0', 'mxfp4'];

/** @param {import('./tiny-model.mjs').TinyModel} model @returns {string | false} why not, or false */
export function whyNotEmulated({ types = [] }) {
  if (!existsSync(emulatedProgram)) return 'the engine has real GPUs, or none can be emulated here';
  const other = types.find((type) => !emulatedTypes.includes(type));
  return other === undefined ? false : `the emulated GPU has no products with ${other}`;
}

/**
 * @param {string} engine the program
 * @param {string} path of the model
 * @param {number[][]} promptTokens
 * @param {string[]} options
 * @returns {Promise<{ hash: string, log_probs?: number[][] }[]>} per prompt; hash: of the bits of all logits
 */
async function engineLogits(engine, path, promptTokens, options) {
  const input = promptTokens.map((tokens) => JSON.stringify(tokens)).join('\n');
  const output = await capture(engine, ['logits', path, ...options], { input });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/**
 * Of the shortest prompts, on an emulated GPU: an emulated thread takes its time. They have 1, 2 and 17 tokens: kernels
 * for few tokens and for many.
 * @param {string} path of the model
 */
export async function emulatedRows(path) {
  const asked = prompts.filter(({ tokens }) => tokens.length <= 17).map(({ tokens }) => tokens);
  const replies = await engineLogits(emulatedProgram, path, asked, ['--all', '--device', 'cuda:0']);
  return comparedRows(replies.map(({ log_probs = [] }) => log_probs));
}

/** @param {string} path of the model */
export async function engineRows(path) {
  const nLast = Math.max(...prompts.map((prompt) => prompt.nLast));
  const replies = await engineLogits(
    program,
    path,
    prompts.map(({ tokens }) => tokens),
    ['--all', '--last', `${nLast}`],
  );
  return comparedRows(replies.map(({ log_probs = [] }) => log_probs));
}

/**
 * Of all logits of one prompt, prefilled in chunks of `nChunk` tokens.
 * @param {string} path of the model
 * @param {number[]} tokens
 * @param {number} nChunk
 * @param {number[]} [deviceLayers] of the last layers, what further devices compute; here the processor once more
 */
export async function engineHash(path, tokens, nChunk, deviceLayers) {
  const shared =
    deviceLayers === undefined
      ? []
      : ['--device', deviceLayers.map(() => 'cpu').join(), '--device-layers', deviceLayers.join()];
  const [reply] = await engineLogits(
    program,
    path,
    [tokens],
    ['--chunk', `${nChunk}`, '--last', `${tokens.length}`, ...shared],
  );
  return reply?.hash;
}
