// llama.cpp's distributions for a tiny model: the most exact ones it can give, and those of normal operation.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askPeerForDistributions, peerLibrary } from '../../lib/peer.mjs';
import { run } from '../../lib/process.mjs';
import { writeTinyModel } from './catalog.mjs';
import { referenceRows, roundingsOf } from './comparison.mjs';
import { nCtx } from './families/dimensions.mjs';
import { comparedRows, prompts } from './prompts.mjs';
import { tensorTypes } from './tensor-types.mjs';
import { kindOf, tensorData } from './tiny-model.mjs';

/** @typedef {import('./tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../../lib/peer.mjs').DistributionConfiguration} DistributionConfiguration */

/** @type {DistributionConfiguration} */
const exact = { name: 'f32 cache', batchSize: 512, flashAttention: false, kvCache: 'F32' };
/** @type {DistributionConfiguration} */
export const normal = { name: 'f16 cache', batchSize: 512, flashAttention: false, kvCache: 'F16' };
// Flash attention one token at a time is left out: it sums in f16, and its error grows with the number of positions.
/** @type {DistributionConfiguration[]} */
const configurations = [
  normal,
  { ...normal, name: 'f16 cache, flash attention', flashAttention: true },
  { ...normal, name: 'f16 cache, batch 1', batchSize: 1 },
];

/**
 * The weights as f32, by llama.cpp's code.
 * @param {TinyModel} model
 * @param {string} dequantizer program of the native build's tests
 * @returns {Promise<import('./tiny-model.mjs').TensorData[]>}
 */
async function dequantized(model, dequantizer) {
  const directory = await mkdtemp(join(tmpdir(), 'outpost-dequantize-'));
  try {
    const [input, output] = [join(directory, 'in'), join(directory, 'out')];
    const tensors = [];
    for (const tensor of tensorData(model)) {
      if (tensor.type === 'f32') {
        tensors.push(tensor);
        continue;
      }
      await writeFile(input, tensor.bytes);
      await run(dequantizer, [peerLibrary, `${tensorTypes[tensor.type].id}`, input, output]);
      tensors.push({ ...tensor, type: /** @type {const} */ ('f32'), bytes: await readFile(output) });
    }
    return tensors;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/**
 * @param {string} path of the model
 * @param {DistributionConfiguration[]} asked
 */
export async function peerRows(path, asked) {
  const { distributions, build } = await askPeerForDistributions({ model: path, nCtx, prompts, configurations: asked });
  return { rows: distributions.map(comparedRows), build };
}

/**
 * By how much llama.cpp's table of GELU rounds, as mean squares per position: the inputs of GELU are scaled by factors
 * so near to 1 that only the roundings are redrawn.
 * @param {TinyModel} model in f32
 * @returns {Promise<number[]>}
 */
async function geluRoundings(model) {
  const tensors = tensorData(model);
  const sweep = [];
  for (let step = -4; step <= 4; ++step) {
    const factor = 1 + step * 2 ** -11; // one unit in the last place of f16, at most
    const scaled = tensors.map((tensor) => {
      if (kindOf(tensor.name) !== model.geluInput) return tensor;
      const values = new Float32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.length / 4);
      return { ...tensor, bytes: new Uint8Array(values.map((x) => x * factor).buffer) };
    });
    const { path } = await writeTinyModel(model, `${model.name}-scaled`, scaled);
    sweep.push((await peerRows(path, [exact])).rows[0] ?? []);
    await rm(path);
  }
  return roundingsOf(sweep);
}

/**
 * @param {TinyModel} model
 * @param {string} dequantizer
 */
export async function measureReference(model, dequantizer) {
  const { path, sha256 } = await writeTinyModel(model);
  const isQuantized = tensorData(model).some(({ type }) => type !== 'f32');
  const exactPath = isQuantized
    ? (await writeTinyModel(model, `${model.name}-dequantized`, await dequantized(model, dequantizer))).path
    : path;
  const {
    rows: [exactRows = []],
  } = await peerRows(exactPath, [exact]);
  const { rows, build } = await peerRows(path, configurations);
  const own = model.geluInput === undefined ? [] : await geluRoundings(model);
  return { sha256, rows: referenceRows(exactRows, rows, own), build };
}
