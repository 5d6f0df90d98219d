// Reads what train.py writes: a file in the format of huggingface/safetensors (size of the header, JSON, data).
import { readFile } from 'node:fs/promises';
import { SetupError } from '../scripts/lib/process.mjs';

/**
 * @typedef {{ name: string, dtype: 'F32' | 'BF16', shape: number[], bytes: Uint8Array }} Weights
 *
 * @typedef {object} Hparams as train.py names them
 * @property {number} n_vocab
 * @property {number} n_embd
 * @property {number} n_layer
 * @property {number} n_head
 * @property {number} n_head_kv
 * @property {number} n_ff
 * @property {number} n_ctx
 * @property {number} rope_freq_base
 * @property {number} rms_eps
 */

/** @param {string} path @returns {Promise<{ metadata: Record<string, string>, tensors: Weights[] }>} */
export async function readSafetensors(path) {
  const file = await readFile(path);
  const size = file.length >= 8 ? Number(file.readBigUInt64LE(0)) : Infinity;
  if (size > file.length - 8) throw new SetupError(`${path} is no safetensors file, or a part of one.`);
  const { __metadata__: metadata, ...entries } = JSON.parse(file.toString('utf8', 8, 8 + size));
  const tensors = Object.entries(entries).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [start, end],
      },
    ]) => {
      const nElements = shape.reduce((/** @type {number} */ product, /** @type {number} */ n) => product * n, 1);
      if ((dtype !== 'F32' && dtype !== 'BF16') || end - start !== nElements * (dtype === 'F32' ? 4 : 2))
        throw new SetupError(`${path}: ${name} is ${dtype} ${JSON.stringify(shape)} in ${end - start} bytes.`);
      if (8 + size + end > file.length) throw new SetupError(`${path} ends inside of ${name}.`);
      return { name, dtype, shape, bytes: file.subarray(8 + size + start, 8 + size + end) };
    },
  );
  return { metadata, tensors };
}
