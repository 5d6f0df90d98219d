// gpt-oss: attention sinks, biases everywhere, every second layer with a window, YaRN, and experts in MXFP4 whose
// activation clamps its inputs.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import { attention, attentionBiases, bias, ends, inF32, matrices, matrix, norm } from '../weights.mjs';
import { dimensions, windowMistakes } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

const nExpert = 8;
const window = 24;

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {import('../tiny-model.mjs').TensorTypeName} expertType
 * @returns {TinyModel}
 */
function gptOss(name, dims, expertType) {
  const { nEmbd, nHead, nFf } = dims;
  const layer = (/** @type {string} */ blk) => [
    ...attention(blk, dims),
    ...attentionBiases(blk, dims),
    bias(`${blk}attn_output.bias`, nEmbd),
    // Comparable with the sum of exponentials of scores whose standard deviation is about 4.
    { ...bias(`${blk}attn_sinks.weight`, nHead, 1.5), mean: 7, neutral: -100 },
    norm(`${blk}post_attention_norm.weight`, nEmbd),
    inF32(matrix(`${blk}ffn_gate_inp.weight`, nExpert, nEmbd, 2)),
    bias(`${blk}ffn_gate_inp.bias`, nExpert, 1),
    // Large enough to reach the clamp at 7.
    ...[
      matrices(`${blk}ffn_gate_exps.weight`, nExpert, nFf, nEmbd, 4),
      matrices(`${blk}ffn_up_exps.weight`, nExpert, nFf, nEmbd, 4),
      matrices(`${blk}ffn_down_exps.weight`, nExpert, nEmbd, nFf, 0.15),
    ].map((spec) => ({ ...spec, type: expertType })),
    bias(`${blk}ffn_gate_exps.bias`, [nExpert, nFf]),
    bias(`${blk}ffn_up_exps.bias`, [nExpert, nFf]),
    bias(`${blk}ffn_down_exps.bias`, [nExpert, nEmbd]),
  ];
  return {
    name,
    architecture: 'gpt-oss',
    metadata: {
      ...dimensions(dims),
      'attention.key_length': dims.headDim,
      'attention.value_length': dims.headDim,
      'attention.layer_norm_rms_epsilon': float(0.03),
      'attention.sliding_window': window,
      'rope.freq_base': float(20000),
      'rope.scaling.type': 'yarn',
      'rope.scaling.factor': float(8),
      'rope.scaling.original_context_length': 128,
      expert_count: nExpert,
      expert_used_count: 3,
      expert_feed_forward_length: nFf,
    },
    ignored: {
      'attention.layer_norm_rms_epsilon': float(1e-5),
      'attention.sliding_window': 1024,
      'rope.freq_base': float(10000),
      'rope.scaling.type': 'linear',
      'rope.scaling.factor': float(1),
      'rope.scaling.original_context_length': 1024,
      expert_used_count: 2,
    },
    misread: windowMistakes(window, 3),
    tensors: [
      ...ends({ nEmbd, nVocab }),
      ...Array.from({ length: dims.nLayer }, (_, il) => layer(`blk.${il}.`)).flat(),
    ],
  };
}

export const gptOssModels = [
  gptOss('gpt-oss-f32', { nLayer: 3, nEmbd: 192, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 96 }, 'f32'),
  gptOss('gpt-oss', { nLayer: 2, nEmbd: 256, nHead: 4, nHeadKv: 1, headDim: 64, nFf: 128 }, 'mxfp4'),
];
