// Weights of train.py and a vocabulary of train-tokenizer -> a GGUF model of the architecture "llama".
import { readFile, rename, writeFile } from 'node:fs/promises';
import { SetupError } from '../scripts/lib/process.mjs';
import { GgufWriter } from '../scripts/model-tests/tiny-models/gguf-writer.mjs';
import { readSafetensors } from './safetensors.mjs';
import { metadataEntries } from './vocabulary-entries.mjs';

/** GGUF's numbers of tensor types, and of files in which most tensors have one (general.file_type). */
const types = { F32: { tensor: 0, file: 0 }, BF16: { tensor: 30, file: 32 } };

/** @typedef {import('./safetensors.mjs').Hparams} Hparams */
/** @typedef {import('./safetensors.mjs').Weights} Weights */

/**
 * @param {{ weights: string, vocabulary: string, out: string, name: string, description: string }} options
 * @returns {Promise<{ nParams: number, nTokens: number }>} nTokens: that the model was trained on
 */
export async function exportGguf({ weights, vocabulary, out, name, description }) {
  const { metadata, tensors } = await readSafetensors(weights);
  const entries = metadataEntries(await readFile(vocabulary)).filter(({ key }) => key.startsWith('tokenizer.'));
  /** @type {Hparams} */
  const hp = JSON.parse(metadata.hparams ?? 'null');
  if (hp === null || entries.length === 0) throw new SetupError(`${weights} or ${vocabulary} lacks its metadata.`);
  const about = { name, description, organization: 'Outpost', license: 'mit' };
  const nParams = await writeLlama({ out, about, hp, vocabulary: entries, tensors });
  return { nParams, nTokens: Number(metadata.n_tokens) };
}

/**
 * Writes a model of the architecture "llama" whose output is its token embedding.
 * @param {{ out: string, about: { name: string, description: string, organization: string, license: string },
 *   hp: Hparams, vocabulary: { bytes: Uint8Array }[], tensors: Weights[] }} model vocabulary: metadata as it lies in a file
 * @returns {Promise<number>} of parameters
 */
export async function writeLlama({ out, about, hp, vocabulary, tensors }) {
  const nParams = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  const file = new GgufWriter();
  file.string('general.architecture', 'llama');
  file.string('general.type', 'model');
  for (const [key, value] of Object.entries(about)) file.string(`general.${key}`, value);
  file.string('general.size_label', `${Math.round(nParams / 1e5) / 10}M`);
  file.uint32('general.quantization_version', 2);
  const main = tensors.some(({ dtype }) => dtype === 'BF16') ? types.BF16 : types.F32;
  file.uint32('general.file_type', main.file);
  file.uint32('llama.vocab_size', hp.n_vocab);
  file.uint32('llama.context_length', hp.n_ctx);
  file.uint32('llama.embedding_length', hp.n_embd);
  file.uint32('llama.block_count', hp.n_layer);
  file.uint32('llama.feed_forward_length', hp.n_ff);
  file.uint32('llama.attention.head_count', hp.n_head);
  file.uint32('llama.attention.head_count_kv', hp.n_head_kv);
  file.uint32('llama.attention.key_length', hp.n_embd / hp.n_head);
  file.uint32('llama.attention.value_length', hp.n_embd / hp.n_head);
  file.uint32('llama.rope.dimension_count', hp.n_embd / hp.n_head);
  file.float32('llama.rope.freq_base', hp.rope_freq_base);
  file.float32('llama.attention.layer_norm_rms_epsilon', hp.rms_eps);
  for (const { bytes } of vocabulary) file.entry(bytes);

  for (const tensor of tensors) {
    // Vectors are f32 in GGUF files, whatever the matrices are.
    const isVector = tensor.shape.length === 1;
    const bytes = isVector && tensor.dtype === 'BF16' ? widened(tensor.bytes) : tensor.bytes;
    const typeId = isVector ? types.F32.tensor : types[tensor.dtype].tensor;
    file.tensor({ name: tensor.name, shape: tensor.shape, typeId, bytes });
  }
  await writeFile(`${out}.part`, file.bytes());
  await rename(`${out}.part`, out);
  return nParams;
}

/** bf16 -> f32: the upper half of its bits. @param {Uint8Array} bytes */
function widened(bytes) {
  const wide = new Uint8Array(bytes.length * 2);
  for (let i = 0; i < bytes.length; i += 2) wide.set(bytes.subarray(i, i + 2), i * 2 + 2);
  return wide;
}
