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
 * @property {string} name of the file
 * @property {string} [seed] of its numbers, if not the name: chosen where a choice of experts within the roundings of
 *   llama.cpp would make its noise large
 * @property {string} architecture
 * @property {Record<string, MetadataValue>} metadata keys without the architecture's name
 * @property {import('./weights.mjs').TensorSpec[]} tensors
 * @property {Record<string, MetadataValue | null>} ignored for each key that changes the result but no shape, what a
 *   reader takes who ignores it; null: leaving the key out is the same
 * @property {Record<string, MetadataValue>[]} [misread] keys as other faulty readers would take them
 * @property {string[]} [unused] kinds of tensors that do not change the result, rightly
 * @property {TensorTypeName[]} [types] of the matrices, taken in turn; f32 if not given
 * @property {string} [geluInput] kind of the matrix whose product goes through GELU, which llama.cpp looks up in f16
 *
 * @typedef {{ name: string, shape: number[], type: TensorTypeName, bytes: Uint8Array }} TensorData
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
 * The model's weights. The same model always gives the same bytes.
 * @param {TinyModel} model
 * @returns {TensorData[]}
 */
export function tensorData({ name: modelName, seed = modelName, tensors, types = ['f32'] }) {
  return tensors.map(({ name, shape, type: own, ...size }, i) => {
    const type = own ?? types[i % types.length] ?? 'f32';
    const nElements = shape.reduce((product, n) => product * n, 1);
    return { name, shape, type, bytes: randomTensor(type, nElements, size, new Random(`${seed}/${name}`)) };
  });
}

/**
 * @param {TinyModel} model
 * @param {TensorData[]} [tensors] its weights, or changed ones
 * @returns {Uint8Array}
 */
export function ggufBytes(model, tensors = tensorData(model)) {
  const writer = new GgufWriter();
  writer.string('general.architecture', model.architecture);
  writer.string('general.name', 'tiny'); // llama.cpp treats vocabularies of models named phi3 specially
  for (const [key, value] of Object.entries(model.metadata)) writeValue(writer, `${model.architecture}.${key}`, value);
  writeVocabulary(writer);
  for (const { type, ...tensor } of tensors) writer.tensor({ ...tensor, typeId: tensorTypes[type].id });
  return writer.bytes();
}

/** "ffn_norm.weight" of "blk.3.ffn_norm.weight" @param {string} name */
export function kindOf(name) {
  return name.replace(/^blk\.\d+\./, '');
}

/** @param {Uint8Array} bytes */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
