// qwen2 (biases of queries, keys and values), qwen3 (norms of queries and keys), and both with experts.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import {
  attention,
  attentionBiases,
  ends,
  gatedFfn,
  inF32,
  matrices,
  matrix,
  norm,
  queryKeyNorms,
} from '../weights.mjs';
import { dimensions } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

/**
 * @param {string} architecture
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {(blk: string) => TensorSpec[]} layer
 * @param {{ isTied?: boolean, metadata?: TinyModel['metadata'], ignored?: TinyModel['ignored'] }} [options]
 * @returns {TinyModel}
 */
function qwen(architecture, name, dims, layer, { isTied = false, metadata = {}, ignored = {} } = {}) {
  return {
    name,
    architecture,
    metadata: {
      ...dimensions(dims),
      'attention.layer_norm_rms_epsilon': float(0.02),
      'rope.freq_base': float(30000),
      ...metadata,
    },
    ignored: { 'attention.layer_norm_rms_epsilon': float(1e-6), 'rope.freq_base': float(10000), ...ignored },
    tensors: [
      ...ends({ ...dims, nVocab }, { isTied }),
      ...Array.from({ length: dims.nLayer }, (_, il) => layer(`blk.${il}.`)).flat(),
    ],
  };
}

/** @param {string} name @param {import('./dimensions.mjs').Dimensions} dims @param {boolean} isTied */
const qwen2 = (name, dims, isTied) =>
  qwen('qwen2', name, dims, (blk) => [...attention(blk, dims), ...attentionBiases(blk, dims), ...gatedFfn(blk, dims)], {
    isTied,
  });

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {boolean} isTied
 * @param {Pick<TinyModel, 'metadata' | 'ignored'>} [more]
 */
const qwen3 = (name, dims, isTied, more) =>
  qwen(
    'qwen3',
    name,
    dims,
    (blk) => [...attention(blk, dims, { queryGain: 1 }), ...queryKeyNorms(blk, dims.headDim), ...gatedFfn(blk, dims)],
    { isTied, ...more },
  );

const nExpert = 10;
const nFfExpert = 96;

/** @param {string} blk @param {number} nEmbd @returns {TensorSpec[]} */
function experts(blk, nEmbd) {
  return [
    norm(`${blk}ffn_norm.weight`, nEmbd),
    inF32(matrix(`${blk}ffn_gate_inp.weight`, nExpert, nEmbd, 2)),
    matrices(`${blk}ffn_gate_exps.weight`, nExpert, nFfExpert, nEmbd),
    matrices(`${blk}ffn_up_exps.weight`, nExpert, nFfExpert, nEmbd),
    matrices(`${blk}ffn_down_exps.weight`, nExpert, nEmbd, nFfExpert, 3),
  ];
}

const moe = { nLayer: 2, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 640 };
const moeMetadata = { expert_count: nExpert, expert_used_count: 3, expert_feed_forward_length: nFfExpert };
const nFfShared = 160;

export const qwenModels = [
  qwen2('qwen2', { nLayer: 3, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 384 }, false),
  qwen2('qwen2-mqa-tied', { nLayer: 2, nEmbd: 256, nHead: 2, nHeadKv: 1, headDim: 128, nFf: 352 }, true),
  qwen3('qwen3', { nLayer: 3, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 128, nFf: 320 }, false),
  qwen3('qwen3-mqa-tied', { nLayer: 3, nEmbd: 192, nHead: 3, nHeadKv: 1, headDim: 80, nFf: 320 }, true),
  qwen3('qwen3-rope-yarn', { nLayer: 2, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 320 }, false, {
    metadata: {
      'rope.scaling.type': 'yarn',
      'rope.scaling.factor': float(4),
      'rope.scaling.original_context_length': 256,
    },
    ignored: {
      'rope.scaling.type': 'linear',
      'rope.scaling.factor': float(1),
      'rope.scaling.original_context_length': 1024,
    },
  }),
  qwen(
    'qwen2moe',
    'qwen2moe',
    moe,
    (blk) => [
      ...attention(blk, moe),
      ...attentionBiases(blk, moe),
      ...experts(blk, moe.nEmbd),
      // At 0 llama.cpp's sigmoid, silu(x) / x, is no number.
      { ...matrix(`${blk}ffn_gate_inp_shexp.weight`, 1, moe.nEmbd, 2), shape: [moe.nEmbd], neutral: 1e-4, type: 'f32' },
      matrix(`${blk}ffn_gate_shexp.weight`, nFfShared, moe.nEmbd),
      matrix(`${blk}ffn_up_shexp.weight`, nFfShared, moe.nEmbd),
      matrix(`${blk}ffn_down_shexp.weight`, moe.nEmbd, nFfShared, 2),
    ],
    {
      metadata: { ...moeMetadata, expert_shared_feed_forward_length: nFfShared },
      ignored: { expert_used_count: 2 },
    },
  ),
  qwen(
    'qwen3moe',
    'qwen3moe',
    { ...moe, nHeadKv: 1, headDim: 96 },
    (blk) => [
      ...attention(blk, { ...moe, nHeadKv: 1, headDim: 96 }, { queryGain: 1 }),
      ...queryKeyNorms(blk, 96),
      ...experts(blk, moe.nEmbd),
    ],
    { metadata: moeMetadata, ignored: { expert_used_count: 2 } },
  ),
];
