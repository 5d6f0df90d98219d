// Which tensors a tiny model has and how large their elements are.
//
// Products keep the size of their input, so that no layer drowns another; queries and keys are larger, so that
// attention has clear favourites; norms vary around 1 and no bias is zero, so that leaving one out is seen.

/**
 * @typedef {import('./tensor-types.mjs').TensorTypeName} TensorTypeName
 * @typedef {object} TensorSpec
 * @property {string} name
 * @property {number[]} shape outermost first
 * @property {number} rms root mean square of what varies around the mean
 * @property {number} mean
 * @property {number} [neutral] what a reader takes who leaves a vector out; the mean if not given
 * @property {TensorTypeName} [type] f32 for vectors; the model's type for matrices
 */

/** Evenly distributed numbers of amplitude 1 have this root mean square. */
const uniformRms = 1 / Math.sqrt(3);

/**
 * [nRows, nCols]: maps nCols inputs of size 1 to nRows outputs of size `gain`.
 * @param {string} name
 * @param {number} nRows
 * @param {number} nCols
 * @param {number} [gain]
 * @returns {TensorSpec}
 */
export function matrix(name, nRows, nCols, gain = 1) {
  return { name, shape: [nRows, nCols], rms: gain / Math.sqrt(nCols), mean: 0 };
}

/**
 * One matrix for each expert or head.
 * @param {string} name
 * @param {number} n
 * @param {number} nRows
 * @param {number} nCols
 * @param {number} [gain]
 * @returns {TensorSpec}
 */
export function matrices(name, n, nRows, nCols, gain = 1) {
  return { ...matrix(name, nRows, nCols, gain), shape: [n, nRows, nCols] };
}

/**
 * Divisors of the frequencies of RoPE.
 * @param {string} name
 * @param {number} nRot
 * @param {number} mean
 * @returns {TensorSpec}
 */
export function ropeFactors(name, nRot, mean) {
  return { name, shape: [nRot / 2], rms: (mean / 2) * uniformRms, mean, neutral: 1, type: 'f32' };
}

/** A norm's weight, from half to one and a half times `mean`. @param {string} name @param {number} n @param {number} [mean] @returns {TensorSpec} */
export function norm(name, n, mean = 1) {
  return { name, shape: [n], rms: (mean / 2) * uniformRms, mean, type: 'f32' };
}

/** @param {string} name @param {number | number[]} shape @param {number} [rms] @returns {TensorSpec} */
export function bias(name, shape, rms = 0.5) {
  return { name, shape: [shape].flat(), rms, mean: 0, type: 'f32' };
}

/** A matrix that stays in f32 in quantized models too. @param {TensorSpec} spec @returns {TensorSpec} */
export function inF32(spec) {
  return { ...spec, type: 'f32' };
}

/**
 * Separate projections for queries, keys and values, and the one of the output.
 * @param {string} blk "blk.0."
 * @param {{ nEmbd: number, nHead: number, nHeadKv: number, headDim: number }} dims
 * @param {{ queryGain?: number, outputGain?: number }} [gains]
 * @returns {TensorSpec[]}
 */
export function attention(blk, { nEmbd, nHead, nHeadKv, headDim }, { queryGain = 2, outputGain = 1 } = {}) {
  return [
    norm(`${blk}attn_norm.weight`, nEmbd),
    matrix(`${blk}attn_q.weight`, nHead * headDim, nEmbd, queryGain),
    matrix(`${blk}attn_k.weight`, nHeadKv * headDim, nEmbd, queryGain),
    matrix(`${blk}attn_v.weight`, nHeadKv * headDim, nEmbd),
    matrix(`${blk}attn_output.weight`, nEmbd, nHead * headDim, outputGain),
  ];
}

/** @param {string} blk @param {{ nHead: number, nHeadKv: number, headDim: number }} dims @returns {TensorSpec[]} */
export function attentionBiases(blk, { nHead, nHeadKv, headDim }) {
  return [
    bias(`${blk}attn_q.bias`, nHead * headDim),
    bias(`${blk}attn_k.bias`, nHeadKv * headDim),
    bias(`${blk}attn_v.bias`, nHeadKv * headDim),
  ];
}

/** @param {string} blk @param {number} headDim @param {number} [mean] @returns {TensorSpec[]} */
export function queryKeyNorms(blk, headDim, mean = 1.5) {
  return [norm(`${blk}attn_q_norm.weight`, headDim, mean), norm(`${blk}attn_k_norm.weight`, headDim, mean)];
}

/**
 * A gated feed-forward network.
 * @param {string} blk
 * @param {{ nEmbd: number, nFf: number }} dims
 * @param {number} [outputGain]
 * @returns {TensorSpec[]}
 */
export function gatedFfn(blk, { nEmbd, nFf }, outputGain = 2) {
  return [
    norm(`${blk}ffn_norm.weight`, nEmbd),
    matrix(`${blk}ffn_gate.weight`, nFf, nEmbd),
    matrix(`${blk}ffn_up.weight`, nFf, nEmbd),
    matrix(`${blk}ffn_down.weight`, nEmbd, nFf, outputGain),
  ];
}

/**
 * Token embedding, final norm and, unless tied, the head.
 * @param {{ nEmbd: number, nVocab: number }} dims
 * @param {{ isTied?: boolean, embeddingRms?: number, headGain?: number }} [options]
 *   a tied embedding is as small as a head has to be
 * @returns {TensorSpec[]}
 */
export function ends({ nEmbd, nVocab }, { isTied = false, embeddingRms = 1, headGain = 2 } = {}) {
  const embedding = matrix('token_embd.weight', nVocab, nEmbd, headGain);
  return [
    isTied ? embedding : { ...embedding, rms: embeddingRms },
    norm('output_norm.weight', nEmbd),
    ...(isTied ? [] : [matrix('output.weight', nVocab, nEmbd, headGain)]),
  ];
}
