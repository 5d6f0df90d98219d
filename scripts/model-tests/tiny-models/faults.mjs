// What a faulty reader of a tiny model would compute: the model with one key or one kind of tensor as if it were not
// there. Each has to be told from the reference; otherwise the comparison proves nothing about that key.
import { kindOf, tensorData } from './tiny-model.mjs';

/** @typedef {import('./tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {{ what: string, model: TinyModel, tensors: import('./tiny-model.mjs').TensorData[] }} Fault */

/** Matrices without which a model still makes sense: where a product with them is added. */
const optionalMatrices = ['ffn_down_shexp.weight', 'position_embd.weight'];

/** @param {number} n @param {number} value */
const constant = (n, value) => new Uint8Array(new Float32Array(n).fill(value).buffer);

/** @param {TinyModel} model @returns {Fault[]} */
export function faultsOf(model) {
  const data = tensorData(model);
  const ignoredKeys = Object.entries(model.ignored).map(([key, value]) => {
    const { [key]: _, ...others } = model.metadata;
    return {
      what: `${key} = ${value === null ? 'none' : JSON.stringify(value)}`,
      model: { ...model, metadata: value === null ? others : { ...others, [key]: value } },
      tensors: data,
    };
  });
  const misreadKeys = (model.misread ?? []).map((keys) => ({
    what: JSON.stringify(keys),
    model: { ...model, metadata: { ...model.metadata, ...keys } },
    tensors: data,
  }));
  const kinds = model.tensors.flatMap(({ name, type, shape }) => {
    const isVector = type === 'f32' && (shape.length === 1 || name.endsWith('.bias')); // experts have one bias each
    return isVector || optionalMatrices.includes(kindOf(name)) ? [kindOf(name)] : [];
  });
  const ignoredTensors = [...new Set(kinds)]
    .filter((kind) => !model.unused?.includes(kind))
    .map((kind) => ({
      what: kind,
      model,
      tensors: data.map((tensor, i) => {
        if (kindOf(tensor.name) !== kind || tensor.type !== 'f32') return tensor;
        const { mean = 0, neutral = mean } = model.tensors[i] ?? {};
        return { ...tensor, bytes: constant(tensor.bytes.length / 4, neutral) };
      }),
    }));
  return [...ignoredKeys, ...misreadKeys, ...ignoredTensors];
}
