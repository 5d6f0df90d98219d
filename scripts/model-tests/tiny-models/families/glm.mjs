// glm4moe: GLM-4.5 and its relatives. Biases of queries, keys and values, a partial rotation, a first dense layer, then
// experts chosen by a sigmoid with a bias, and a block behind the layers that predicts one token more.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import {
  attention,
  attentionBiases,
  bias,
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

const nExpert = 12;
const nFfExpert = 64;

/** @param {string} blk @param {number} nEmbd @param {number} nShared @returns {TensorSpec[]} */
function experts(blk, nEmbd, nShared) {
  const nFfShared = nFfExpert * nShared;
  return [
    inF32(matrix(`${blk}ffn_gate_inp.weight`, nExpert, nEmbd, 2)),
    bias(`${blk}exp_probs_b.bias`, nExpert, 0.25),
    matrices(`${blk}ffn_gate_exps.weight`, nExpert, nFfExpert, nEmbd),
    matrices(`${blk}ffn_up_exps.weight`, nExpert, nFfExpert, nEmbd),
    matrices(`${blk}ffn_down_exps.weight`, nExpert, nEmbd, nFfExpert, 2),
    matrix(`${blk}ffn_gate_shexp.weight`, nFfShared, nEmbd),
    matrix(`${blk}ffn_up_shexp.weight`, nFfShared, nEmbd),
    matrix(`${blk}ffn_down_shexp.weight`, nEmbd, nFfShared, 2),
  ];
}

/** @param {string} blk @param {number} nEmbd @returns {TensorSpec[]} what a block has that predicts further tokens */
const predictor = (blk, nEmbd) => [
  matrix(`${blk}nextn.eh_proj.weight`, nEmbd, 2 * nEmbd),
  norm(`${blk}nextn.enorm.weight`, nEmbd),
  norm(`${blk}nextn.hnorm.weight`, nEmbd),
  norm(`${blk}nextn.shared_head_norm.weight`, nEmbd),
];

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {{ nShared?: number, hasHeadNorms?: boolean, nRot?: number, isTied?: boolean, nPredict?: number,
 *   seed?: string }} [options]
 * @returns {TinyModel}
 */
function glm4moe(
  name,
  dims,
  { nShared = 1, hasHeadNorms = false, nRot = dims.headDim / 2, isTied = false, nPredict = 0, seed } = {},
) {
  const layer = (/** @type {string} */ blk, /** @type {boolean} */ isDense) => {
    const { nEmbd } = dims;
    const [, ...dense] = gatedFfn(blk, dims);
    return [
      ...attention(blk, dims, { queryGain: hasHeadNorms ? 1 : 2 }),
      ...attentionBiases(blk, dims),
      ...(hasHeadNorms ? queryKeyNorms(blk, dims.headDim) : []),
      norm(`${blk}post_attention_norm.weight`, nEmbd),
      ...(isDense ? dense : experts(blk, nEmbd, nShared)),
    ];
  };
  const nBlock = dims.nLayer + nPredict;
  return {
    name,
    architecture: 'glm4moe',
    metadata: {
      ...dimensions({ ...dims, nLayer: nBlock }),
      'attention.layer_norm_rms_epsilon': float(0.02),
      'rope.dimension_count': nRot,
      'rope.freq_base': float(20000),
      leading_dense_block_count: 1,
      expert_count: nExpert,
      expert_used_count: 3,
      expert_feed_forward_length: nFfExpert,
      expert_shared_count: nShared,
      expert_gating_func: 2,
      expert_weights_norm: true,
      expert_weights_scale: float(1.5),
      ...(nPredict > 0 && { nextn_predict_layers: nPredict }),
    },
    ignored: {
      'attention.layer_norm_rms_epsilon': float(1e-6),
      'rope.dimension_count': dims.headDim,
      'rope.freq_base': float(10000),
      expert_used_count: 2,
      expert_gating_func: 1,
      expert_weights_norm: false,
      expert_weights_scale: float(1),
    },
    unused: ['nextn.enorm.weight', 'nextn.hnorm.weight', 'nextn.shared_head_norm.weight'],
    tensors: [
      ...ends({ ...dims, nVocab }, { isTied }),
      ...Array.from({ length: nBlock }, (_, il) => layer(`blk.${il}.`, il === 0)).flat(),
      ...Array.from({ length: nPredict }, (_, i) => predictor(`blk.${dims.nLayer + i}.`, dims.nEmbd)).flat(),
    ],
    ...(seed && { seed }),
  };
}

export const glmModels = [
  glm4moe('glm4moe', { nLayer: 2, nEmbd: 192, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 320 }, { nPredict: 1 }),
  glm4moe(
    'glm4moe-head-norms-tied',
    { nLayer: 3, nEmbd: 128, nHead: 4, nHeadKv: 1, headDim: 96, nFf: 256 },
    { hasHeadNorms: true, nShared: 2, isTied: true, seed: 'glm4moe-head-norms-tied-2' },
  ),
];
