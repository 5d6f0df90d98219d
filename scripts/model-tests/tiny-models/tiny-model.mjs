// A tiny model as data, and the GGUF file it becomes.
import { createHash } from 'node:crypto';
import { GgufWriter } from './gguf-writer.mjs';
import { Random } from './random.mjs';
import { randomTensor, tensorTypes } from './tensor-types.mjs';
import { writeVocabulary } from './vocabulary.mjs';

/**
 * @typedef {import('./tensor-types.mjs').TensorTypeName} TensorTypeName
 * @typedef {number | boolean | string | { float: number }} MetadataValue a plain number is a whole one
 *
 * @typedef {object} TinyModel
 * @property {string} name of the file, and seed of its numbers
 * @property {string} architecture
 * @property {Record<string, MetadataValue>} metadata keys without the architecture's name
 * @property {import('./weights.mjs').TensorSpec[]} tensors
 * @property {Record<string, MetadataValue | null>} ignored for each key that changes the result but no shape, what a
 *   reader takes who ignores it; null: leaving the key out is the same
 * @property {TensorTypeName[]} [types] of the matrices, taken in turn; f32 if not given
 */

/** @param {number} value @returns {{ float: number }} */
export const float = (value) => ({ float: value });

/** @param {GgufWriter} writer @param {string} key @param {MetadataValue} value */
function writeValue(writer, key, value) {
  if (typeof value === 'number') writer.uint32(key, value);
  else if (typeof value === 'boolean') writer.bool(key, value);
  else if (typeof value === 'string') writer.string(key, value);
  else writer.float32(key, value.float);
}

/**
 * The same model always gives the same bytes.
 * @param {TinyModel} model
 * @returns {Uint8Array}
 */
export function ggufBytes({ name, architecture, metadata, tensors, types = ['f32'] }) {
  const writer = new GgufWriter();
  writer.string('general.architecture', architecture);
  writer.string('general.name', name);
  for (const [key, value] of Object.entries(metadata)) writeValue(writer, `${architecture}.${key}`, value);
  writeVocabulary(writer);
  for (const [i, { name: tensorName, shape, type, ...size }] of tensors.entries()) {
    const chosen = type ?? types[i % types.length] ?? 'f32';
    const nElements = shape.reduce((product, n) => product * n, 1);
    const bytes = randomTensor(chosen, nElements, size, new Random(`${name}/${tensorName}`));
    writer.tensor({ name: tensorName, shape, typeId: tensorTypes[chosen].id, bytes });
  }
  return writer.bytes();
}

/** @param {Uint8Array} bytes */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
