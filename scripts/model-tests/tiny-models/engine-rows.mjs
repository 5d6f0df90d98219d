// Our engine's distributions for a tiny model.
import { join } from 'node:path';
import { engineProgram } from '../../lib/engine-cli.mjs';
import { capture, root } from '../../lib/process.mjs';
import { comparedRows, prompts } from './prompts.mjs';

/** Given by `npm run test:model`; by hand, the release build. */
const program = process.env.OUTPOST_ENGINE ?? engineProgram(join(root, 'build', 'native', 'release'));

/**
 * @param {string} path of the model
 * @param {number[][]} promptTokens
 * @param {string[]} options
 * @returns {Promise<{ hash: string, log_probs?: number[][] }[]>} per prompt; hash: of the bits of all logits
 */
async function engineLogits(path, promptTokens, options) {
  const input = promptTokens.map((tokens) => JSON.stringify(tokens)).join('\n');
  const output = await capture(program, ['logits', path, ...options], { input });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** @param {string} path of the model */
export async function engineRows(path) {
  const nLast = Math.max(...prompts.map((prompt) => prompt.nLast));
  const replies = await engineLogits(
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
  const [reply] = await engineLogits(path, [tokens], ['--chunk', `${nChunk}`, '--last', `${tokens.length}`, ...shared]);
  return reply?.hash;
}
