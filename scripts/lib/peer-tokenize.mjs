// llama.cpp's tokens of texts, for vocabularies with or without a model.
import { join } from 'node:path';
import { peerDirectory } from './peer.mjs';
import { capture } from './process.mjs';

/**
 * @typedef {object} PeerTokenizeRequest
 * @property {string} model path
 * @property {string[]} texts
 * @property {boolean} [parseSpecial]
 */

/** @param {PeerTokenizeRequest} request @returns {Promise<number[][]>} ids of each text, without BOS */
export async function peerTokenize(request) {
  const output = await capture(process.execPath, [join(peerDirectory, 'tokenize.mjs')], {
    cwd: peerDirectory,
    input: JSON.stringify(request),
  });
  return JSON.parse(output);
}
