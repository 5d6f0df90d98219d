// llama: Llama 1 to 3, Mistral, TinyLlama and their relatives; with experts Mixtral.
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
  ropeFactors,
} from '../weights.mjs';
import { dimensions } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {{ isTied?: boolean, metadata?: TinyModel['metadata'], ignored?: TinyModel['ignored'],
 *   extra?: TensorSpec[], types?: TinyModel['types'], seed?: string, layer?: (blk: string) => TensorSpec[] }} [options]
 *   layer: more or other tensors than those of a feed-forward network without biases
 * @returns {TinyModel}
 */
export function llama(
  name,
  dims,
  { isTied = false, metadata = {}, ignored = {}, extra = [], types, seed, layer } = {},
) {
  const layers = Array.from({ length: dims.nLayer }, (_, il) => {
    const blk = `blk.${il}.`;
    return [...attention(blk, dims), ...(layer?.(blk) ?? gatedFfn(blk, dims))];
  });
  return {
    name,
    architecture: 'llama',
    metadata: {
      ...dimensions(dims),
      'rope.dimension_count': dims.headDim,
      'attention.layer_norm_rms_epsilon': float(0.03),
      'rope.freq_base': float(5000),
      ...metadata,
    },
    ignored: { 'attention.layer_norm_rms_epsilon': float(1e-5), 'rope.freq_base': float(10000), ...ignored },
    tensors: [...ends({ ...dims, nVocab }, { isTied }), ...layers.flat(), ...extra],
    ...(types && { types }),
    ...(seed && { seed }),
  };
}

const usual = { nLayer: 3, nEmbd: 256, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 384 };

/**
 * A model whose matrices have one type; its dimensions are multiples of every block.
 * @param {import('../tiny-model.mjs').TensorTypeName} type
 */
export function quantizedLlama(type) {
  return llama(`llama-${type}`, { ...usual, nLayer: 2, nFf: 512 }, { types: [type] });
}

/** @param {string} blk @returns {TensorSpec[]} */
function biasedFfn(blk) {
  return [
    ...attentionBiases(blk, usual),
    bias(`${blk}attn_output.bias`, usual.nEmbd),
    ...gatedFfn(blk, usual),
    bias(`${blk}ffn_gate.bias`, usual.nFf),
    bias(`${blk}ffn_up.bias`, usual.nFf),
    bias(`${blk}ffn_down.bias`, usual.nEmbd),
  ];
}

const mixtral = { ...usual, nLayer: 2, nFf: 96 };
const nExpert = 8;

/** @param {string} blk @returns {TensorSpec[]} */
function experts(blk) {
  const { nEmbd, nFf } = mixtral;
  return [
    norm(`${blk}ffn_norm.weight`, nEmbd),
    inF32(matrix(`${blk}ffn_gate_inp.weight`, nExpert, nEmbd, 2)),
    matrices(`${blk}ffn_gate_exps.weight`, nExpert, nFf, nEmbd),
    matrices(`${blk}ffn_up_exps.weight`, nExpert, nFf, nEmbd),
    matrices(`${blk}ffn_down_exps.weight`, nExpert, nEmbd, nFf, 2),
  ];
}

export const llamaModels = [
  llama('llama', usual),
  llama('llama-mqa-tied', { nLayer: 2, nEmbd: 320, nHead: 4, nHeadKv: 1, headDim: 80, nFf: 448 }, { isTied: true }),
  llama('llama-mha-wide-heads', { nLayer: 2, nEmbd: 192, nHead: 3, nHeadKv: 3, headDim: 128, nFf: 320 }),
  llama('llama-biases', usual, { layer: biasedFfn }),
  llama('llama-rope-freqs', usual, { extra: [ropeFactors('rope_freqs.weight', usual.headDim, 4)] }),
  llama('llama-rope-linear', usual, {
    metadata: { 'rope.scaling.type': 'linear', 'rope.scaling.factor': float(4) },
    ignored: { 'rope.scaling.type': 'none', 'rope.scaling.factor': float(1) },
  }),
  llama('llama-rope-yarn', usual, {
    metadata: {
      'rope.scaling.type': 'yarn',
      'rope.scaling.factor': float(8),
      'rope.scaling.original_context_length': 128,
    },
    ignored: {
      'rope.scaling.type': 'linear',
      'rope.scaling.factor': float(1),
      'rope.scaling.original_context_length': 1024,
    },
  }),
  llama('llama-experts', mixtral, {
    seed: 'llama-experts-2',
    metadata: { expert_count: nExpert, expert_used_count: 2 },
    ignored: { expert_used_count: 1 },
    layer: experts,
  }),
];
