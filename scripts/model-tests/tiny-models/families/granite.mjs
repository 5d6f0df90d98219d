// granite and granitemoe: llama with four multipliers; experts with or without a shared one.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import { attention, bias, ends, gatedFfn, inF32, matrices, matrix, norm } from '../weights.mjs';
import { dimensions } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

/**
 * @param {string} architecture
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {(blk: string) => TensorSpec[]} ffn
 * @param {{ isTied?: boolean, embeddingScale?: number, metadata?: TinyModel['metadata'],
 *   ignored?: TinyModel['ignored'] }} [options]
 * @returns {TinyModel}
 */
function granite(
  architecture,
  name,
  dims,
  ffn,
  { isTied = false, embeddingScale = 6, metadata = {}, ignored = {} } = {},
) {
  return {
    name,
    architecture,
    metadata: {
      ...dimensions(dims),
      'rope.dimension_count': dims.headDim,
      'attention.layer_norm_rms_epsilon': float(0.03),
      'rope.freq_base': float(5000),
      'attention.scale': float(0.07),
      embedding_scale: float(embeddingScale),
      residual_scale: float(0.6),
      logit_scale: float(7),
      ...metadata,
    },
    ignored: {
      'attention.layer_norm_rms_epsilon': float(1e-5),
      'rope.freq_base': float(10000),
      'attention.scale': null,
      embedding_scale: null,
      residual_scale: null,
      logit_scale: float(1),
      ...ignored,
    },
    tensors: [
      // The head is divided by logit_scale, the embedding multiplied by embedding_scale.
      ...ends({ ...dims, nVocab }, { isTied, embeddingRms: 1 / embeddingScale, headGain: 14 }),
      ...Array.from({ length: dims.nLayer }, (_, il) => [
        ...attention(`blk.${il}.`, dims, { queryGain: 2.5 }),
        ...ffn(`blk.${il}.`),
      ]).flat(),
    ],
  };
}

const dense = { nLayer: 3, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 384 };
const denseMqa = { nLayer: 2, nEmbd: 320, nHead: 4, nHeadKv: 1, headDim: 80, nFf: 320 };
const moe = { nLayer: 2, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 96 };
const nExpert = 10;
const nFfShared = 160;
const moeOptions = {
  metadata: { expert_count: nExpert, expert_used_count: 3 },
  ignored: { expert_used_count: 2 },
};

/** @param {string} blk @returns {TensorSpec[]} */
const experts = (blk) => [
  norm(`${blk}ffn_norm.weight`, moe.nEmbd),
  inF32(matrix(`${blk}ffn_gate_inp.weight`, nExpert, moe.nEmbd, 2)),
  matrices(`${blk}ffn_gate_exps.weight`, nExpert, moe.nFf, moe.nEmbd),
  matrices(`${blk}ffn_up_exps.weight`, nExpert, moe.nFf, moe.nEmbd),
  matrices(`${blk}ffn_down_exps.weight`, nExpert, moe.nEmbd, moe.nFf, 3),
];

/** @param {string} blk @returns {TensorSpec[]} */
const sharedExpert = (blk) => [
  matrix(`${blk}ffn_gate_shexp.weight`, nFfShared, moe.nEmbd),
  matrix(`${blk}ffn_up_shexp.weight`, nFfShared, moe.nEmbd),
  matrix(`${blk}ffn_down_shexp.weight`, moe.nEmbd, nFfShared, 2),
];

export const graniteModels = [
  granite('granite', 'granite', dense, (blk) => gatedFfn(blk, dense)),
  granite(
    'granite',
    'granite-mqa-tied',
    denseMqa,
    (blk) => [bias(`${blk}attn_output.bias`, denseMqa.nEmbd), ...gatedFfn(blk, denseMqa)],
    { isTied: true, embeddingScale: 2 },
  ),
  granite('granitemoe', 'granitemoe', moe, experts, moeOptions),
  granite('granitemoe', 'granitemoe-shared', moe, (blk) => [...experts(blk), ...sharedExpert(blk)], {
    metadata: { ...moeOptions.metadata, expert_shared_feed_forward_length: nFfShared },
    ignored: moeOptions.ignored,
  }),
];
