// starcoder (learned positions, one head of keys and values, everything in one matrix) and starcoder2 (RoPE); both
// with LayerNorm, biases and a feed-forward network without a gate.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import { attention, attentionBiases, bias, ends, inF32, matrix, norm } from '../weights.mjs';
import { dimensions, nCtx } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

/**
 * What both have after the projections of the attention.
 * @param {string} blk
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @returns {TensorSpec[]}
 */
const rest = (blk, { nEmbd, nFf }) => [
  bias(`${blk}attn_norm.bias`, nEmbd),
  bias(`${blk}attn_output.bias`, nEmbd),
  norm(`${blk}ffn_norm.weight`, nEmbd),
  bias(`${blk}ffn_norm.bias`, nEmbd),
  matrix(`${blk}ffn_up.weight`, nFf, nEmbd, 1.5),
  bias(`${blk}ffn_up.bias`, nFf),
  matrix(`${blk}ffn_down.weight`, nEmbd, nFf, 1.5),
  bias(`${blk}ffn_down.bias`, nEmbd),
];

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {{ isTied: boolean }} options
 * @returns {TinyModel}
 */
function starcoder(name, dims, { isTied }) {
  const { nEmbd, nHeadKv, headDim } = dims;
  const nQkv = nEmbd + 2 * nHeadKv * headDim;
  const layer = (/** @type {string} */ blk) => [
    norm(`${blk}attn_norm.weight`, nEmbd),
    matrix(`${blk}attn_qkv.weight`, nQkv, nEmbd, 1.7),
    bias(`${blk}attn_qkv.bias`, nQkv),
    matrix(`${blk}attn_output.weight`, nEmbd, nEmbd),
    ...rest(blk, dims),
  ];
  return {
    name,
    architecture: 'starcoder',
    geluInput: 'ffn_up.weight',
    metadata: { ...dimensions(dims), 'attention.layer_norm_epsilon': float(0.04) },
    ignored: { 'attention.layer_norm_epsilon': float(1e-5) },
    tensors: [
      ...ends({ nEmbd, nVocab }, { isTied }),
      bias('output_norm.bias', nEmbd),
      inF32({ ...matrix('position_embd.weight', nCtx, nEmbd), rms: isTied ? 0.1 : 0.7 }),
      ...Array.from({ length: dims.nLayer }, (_, il) => layer(`blk.${il}.`)).flat(),
    ],
  };
}

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {{ isTied: boolean }} options
 * @returns {TinyModel}
 */
function starcoder2(name, dims, { isTied }) {
  const layer = (/** @type {string} */ blk) => [
    ...attention(blk, dims),
    ...attentionBiases(blk, dims),
    ...rest(blk, dims),
  ];
  return {
    name,
    architecture: 'starcoder2',
    geluInput: 'ffn_up.weight',
    metadata: {
      ...dimensions(dims),
      'attention.layer_norm_epsilon': float(0.04),
      'rope.freq_base': float(100000),
    },
    ignored: { 'attention.layer_norm_epsilon': float(1e-5), 'rope.freq_base': float(10000) },
    tensors: [
      ...ends({ ...dims, nVocab }, { isTied }),
      bias('output_norm.bias', dims.nEmbd),
      ...Array.from({ length: dims.nLayer }, (_, il) => layer(`blk.${il}.`)).flat(),
    ],
  };
}

export const starcoderModels = [
  starcoder('starcoder', { nLayer: 2, nEmbd: 256, nHead: 4, nHeadKv: 1, headDim: 64, nFf: 384 }, { isTied: false }),
  starcoder(
    'starcoder-tied',
    { nLayer: 2, nEmbd: 256, nHead: 2, nHeadKv: 1, headDim: 128, nFf: 320 },
    { isTied: true },
  ),
  starcoder2('starcoder2', { nLayer: 3, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 384 }, { isTied: true }),
  starcoder2(
    'starcoder2-untied',
    { nLayer: 2, nEmbd: 256, nHead: 2, nHeadKv: 1, headDim: 128, nFf: 320 },
    { isTied: false },
  ),
];
