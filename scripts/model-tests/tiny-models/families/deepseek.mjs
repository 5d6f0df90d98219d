// deepseek2: DeepSeek V2, V2-Lite and V3 with latent attention; a first dense layer, then experts, some shared.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import { bias, ends, gatedFfn, inF32, matrices, matrix, norm } from '../weights.mjs';
import { nCtx } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

/**
 * @typedef {{ nLayer: number, nEmbd: number, nHead: number, nFf: number, nLoraQ: number, nLoraKv: number, nNope: number,
 *   nRope: number, nValue: number, nExpert: number, nExpertUsed: number, nFfExpert: number, nShared: number,
 *   queryGain?: number, outputGain?: number }} Dimensions
 *   nLoraQ: 0 for queries of one matrix; nNope and nRope: of a head of queries and keys, nValue: of one of values
 */

/**
 * @param {string} blk
 * @param {Dimensions} dims
 * @param {boolean} isLegacy keys and values of the latent vector in one matrix, as before llama.cpp had MLA
 * @returns {TensorSpec[]}
 */
function latentAttention(
  blk,
  { nEmbd, nHead, nLoraQ, nLoraKv, nNope, nRope, nValue, queryGain = 2, outputGain = 1 },
  isLegacy,
) {
  const nQuery = nHead * (nNope + nRope);
  const queries =
    nLoraQ === 0
      ? [matrix(`${blk}attn_q.weight`, nQuery, nEmbd, queryGain)]
      : [
          matrix(`${blk}attn_q_a.weight`, nLoraQ, nEmbd),
          norm(`${blk}attn_q_a_norm.weight`, nLoraQ),
          matrix(`${blk}attn_q_b.weight`, nQuery, nLoraQ, queryGain),
        ];
  const keysAndValues = isLegacy
    ? [matrix(`${blk}attn_kv_b.weight`, nHead * (nNope + nValue), nLoraKv, 1.7)]
    : [
        // Transposed: multiplied with the query, so that its scale is that of nLoraKv inputs all the same.
        { ...matrices(`${blk}attn_k_b.weight`, nHead, nLoraKv, nNope), rms: 2 / Math.sqrt(nLoraKv) },
        matrices(`${blk}attn_v_b.weight`, nHead, nValue, nLoraKv),
      ];
  return [
    norm(`${blk}attn_norm.weight`, nEmbd),
    ...queries,
    matrix(`${blk}attn_kv_a_mqa.weight`, nLoraKv + nRope, nEmbd, 2),
    norm(`${blk}attn_kv_a_norm.weight`, nLoraKv),
    ...keysAndValues,
    matrix(`${blk}attn_output.weight`, nEmbd, nHead * nValue, outputGain),
  ];
}

/** @param {string} blk @param {Dimensions} dims @param {boolean} hasBias of the choice of experts @returns {TensorSpec[]} */
function experts(blk, { nEmbd, nExpert, nFfExpert, nShared, outputGain = 1 }, hasBias) {
  const nFfShared = nFfExpert * nShared;
  return [
    norm(`${blk}ffn_norm.weight`, nEmbd),
    inF32(matrix(`${blk}ffn_gate_inp.weight`, nExpert, nEmbd, 2)),
    ...(hasBias ? [bias(`${blk}exp_probs_b.bias`, nExpert, 0.25)] : []),
    matrices(`${blk}ffn_gate_exps.weight`, nExpert, nFfExpert, nEmbd),
    matrices(`${blk}ffn_up_exps.weight`, nExpert, nFfExpert, nEmbd),
    matrices(`${blk}ffn_down_exps.weight`, nExpert, nEmbd, nFfExpert, 2 * outputGain),
    matrix(`${blk}ffn_gate_shexp.weight`, nFfShared, nEmbd),
    matrix(`${blk}ffn_up_shexp.weight`, nFfShared, nEmbd),
    matrix(`${blk}ffn_down_shexp.weight`, nEmbd, nFfShared, 2 * outputGain),
  ];
}

/**
 * @param {string} name
 * @param {Dimensions} dims
 * @param {{ isTied?: boolean, isLegacy?: boolean, hasBias?: boolean, seed?: string, metadata?: TinyModel['metadata'],
 *   ignored?: TinyModel['ignored'] }} [options]
 * @returns {TinyModel}
 */
function deepseek2(
  name,
  dims,
  { isTied = false, isLegacy = false, hasBias = false, seed, metadata = {}, ignored = {} } = {},
) {
  const { nEmbd, nHead, nLoraQ, nLoraKv, nNope, nRope, nValue } = dims;
  const heads = isLegacy
    ? { 'attention.head_count_kv': nHead, 'attention.key_length': nNope + nRope, 'attention.value_length': nValue }
    : {
        'attention.head_count_kv': 1,
        'attention.key_length': nLoraKv + nRope,
        'attention.value_length': nLoraKv,
        'attention.key_length_mla': nNope + nRope,
        'attention.value_length_mla': nValue,
      };
  const layers = Array.from({ length: dims.nLayer }, (_, il) => [
    ...latentAttention(`blk.${il}.`, dims, isLegacy),
    ...(il === 0 ? gatedFfn(`blk.${il}.`, dims) : experts(`blk.${il}.`, dims, hasBias)),
  ]);
  return {
    name,
    architecture: 'deepseek2',
    metadata: {
      context_length: nCtx,
      block_count: dims.nLayer,
      embedding_length: nEmbd,
      feed_forward_length: dims.nFf,
      'attention.head_count': nHead,
      ...heads,
      'attention.layer_norm_rms_epsilon': float(0.02),
      ...(nLoraQ > 0 && { 'attention.q_lora_rank': nLoraQ }),
      'attention.kv_lora_rank': nLoraKv,
      'rope.dimension_count': nRope,
      'rope.freq_base': float(4000),
      leading_dense_block_count: 1,
      expert_count: dims.nExpert,
      expert_used_count: dims.nExpertUsed,
      expert_feed_forward_length: dims.nFfExpert,
      expert_shared_count: dims.nShared,
      ...metadata,
    },
    ignored: {
      'attention.layer_norm_rms_epsilon': float(1e-6),
      'rope.freq_base': float(10000),
      expert_used_count: dims.nExpertUsed - 1,
      ...ignored,
    },
    tensors: [...ends({ nEmbd, nVocab }, { isTied }), ...layers.flat()],
    ...(seed && { seed }),
  };
}

/** @param {number} logMultiplier @returns {Pick<TinyModel, 'metadata' | 'ignored'>} */
const yarn = (logMultiplier) => ({
  metadata: {
    'rope.scaling.type': 'yarn',
    'rope.scaling.factor': float(8),
    'rope.scaling.original_context_length': 128,
    'rope.scaling.yarn_log_multiplier': float(logMultiplier),
  },
  ignored: {
    'rope.scaling.type': 'linear',
    'rope.scaling.factor': float(1),
    'rope.scaling.original_context_length': nCtx,
    'rope.scaling.yarn_log_multiplier': null,
  },
});

// V2-Lite is told by its 27 layers. So many with sharp attention and narrow choices would turn roundings into noise.
const lite = {
  nLayer: 27,
  nEmbd: 64,
  nHead: 2,
  nFf: 128,
  nLoraQ: 0,
  nLoraKv: 64,
  nNope: 32,
  nRope: 16,
  nValue: 32,
  nExpert: 6,
  nExpertUsed: 2,
  nFfExpert: 32,
  nShared: 2,
  queryGain: 1.3,
  outputGain: 0.25,
};
const large = {
  nLayer: 3,
  nEmbd: 192,
  nHead: 4,
  nFf: 320,
  nLoraQ: 80,
  nLoraKv: 96,
  nNope: 64,
  nRope: 32,
  nValue: 48,
  nExpert: 16,
  nExpertUsed: 4,
  nFfExpert: 64,
  nShared: 1,
};
const softmax = {
  metadata: { expert_weights_scale: float(3) },
  ignored: { expert_weights_scale: float(1) },
};
const v3 = yarn(0.1);

export const deepseekModels = [
  deepseek2('deepseek2-lite', lite, { ...yarn(0.0707), seed: 'deepseek2-lite-2' }),
  deepseek2('deepseek2-v2', { ...large, nShared: 2 }, softmax),
  deepseek2('deepseek2-v2-legacy', large, { ...softmax, isLegacy: true, isTied: true, seed: 'deepseek2-v2-legacy-2' }),
  deepseek2('deepseek2-v3', large, {
    hasBias: true,
    metadata: {
      ...v3.metadata,
      expert_gating_func: 2,
      expert_weights_norm: true,
      expert_weights_scale: float(2.5),
      expert_group_count: 4,
      expert_group_used_count: 2,
    },
    ignored: {
      ...v3.ignored,
      expert_gating_func: 1,
      expert_weights_norm: false,
      expert_weights_scale: float(1),
      expert_group_count: null,
      expert_group_used_count: 1,
    },
  }),
];
