// gemma (scaled embedding), gemma2 (soft caps, every second layer with a window), gemma3 (norms of queries and keys,
// five of six layers with a window and a RoPE base of their own).
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import { attention, ends, gatedFfn, norm, queryKeyNorms } from '../weights.mjs';
import { dimensions, windowMistakes } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */
/** @typedef {import('../weights.mjs').TensorSpec} TensorSpec */

/**
 * @param {string} architecture
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {(blk: string) => TensorSpec[]} layer
 * @param {{ isTied?: boolean, metadata?: TinyModel['metadata'], ignored?: TinyModel['ignored'],
 *   misread?: TinyModel['metadata'][] }} [options]
 * @returns {TinyModel}
 */
function gemma(architecture, name, dims, layer, { isTied = true, metadata = {}, ignored = {}, misread = [] } = {}) {
  return {
    name,
    architecture,
    geluInput: 'ffn_gate.weight',
    metadata: {
      ...dimensions(dims),
      'attention.key_length': dims.headDim,
      'attention.value_length': dims.headDim,
      'attention.layer_norm_rms_epsilon': float(0.05),
      ...metadata,
    },
    ignored: { 'attention.layer_norm_rms_epsilon': float(1e-6), ...ignored },
    misread,
    tensors: [
      // As small as a head has to be; the model scales it by sqrt(nEmbd).
      ...ends({ ...dims, nVocab }, { isTied, embeddingRms: 1.5 / Math.sqrt(dims.nEmbd) }),
      ...Array.from({ length: dims.nLayer }, (_, il) => layer(`blk.${il}.`)).flat(),
    ],
  };
}

/** @param {string} blk @param {number} nEmbd @returns {TensorSpec[]} */
const postNorms = (blk, nEmbd) => [
  norm(`${blk}post_attention_norm.weight`, nEmbd),
  norm(`${blk}post_ffw_norm.weight`, nEmbd),
];

const freqBase = { 'rope.freq_base': float(3000) };
const freqBaseIgnored = { 'rope.freq_base': float(10000) };

const gemma1 = { nLayer: 2, nEmbd: 192, nHead: 3, nHeadKv: 1, headDim: 256, nFf: 320 };
const gemma1Mha = { nLayer: 2, nEmbd: 256, nHead: 2, nHeadKv: 2, headDim: 96, nFf: 320 };

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {number} window
 * @param {Pick<TinyModel, 'metadata' | 'ignored'>} [more]
 */
const gemma2 = (name, dims, window, more = { metadata: {}, ignored: {} }) =>
  gemma(
    'gemma2',
    name,
    dims,
    (blk) => [...attention(blk, dims), ...gatedFfn(blk, dims), ...postNorms(blk, dims.nEmbd)],
    {
      metadata: {
        'attention.sliding_window': window,
        attn_logit_softcapping: float(6),
        final_logit_softcapping: float(4),
        ...more.metadata,
      },
      ignored: {
        'attention.sliding_window': 4096,
        attn_logit_softcapping: float(50),
        final_logit_softcapping: float(30),
        ...more.ignored,
      },
      misread: windowMistakes(window, 3),
    },
  );

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions} dims
 * @param {number} window 0: the key is left out
 * @param {{ isTied?: boolean, metadata?: TinyModel['metadata'], ignored?: TinyModel['ignored'], queryKeyMean?: number }} [more]
 */
const gemma3 = (name, dims, window, { isTied = true, metadata = {}, ignored = {}, queryKeyMean = 1.5 } = {}) =>
  gemma(
    'gemma3',
    name,
    dims,
    (blk) => [
      ...attention(blk, dims, { queryGain: 1 }),
      ...queryKeyNorms(blk, dims.headDim, queryKeyMean),
      ...gatedFfn(blk, dims),
      ...postNorms(blk, dims.nEmbd),
    ],
    {
      isTied,
      metadata: {
        'rope.freq_base': float(200000),
        ...(window > 0 && { 'attention.sliding_window': window }),
        ...metadata,
      },
      ignored: {
        'rope.freq_base': float(10000),
        ...(window > 0 && { 'attention.sliding_window': null }),
        ...ignored,
      },
      misread: window > 0 ? windowMistakes(window, 5) : [],
    },
  );

export const gemmaModels = [
  gemma('gemma', 'gemma', gemma1, (blk) => [...attention(blk, gemma1), ...gatedFfn(blk, gemma1)], {
    metadata: freqBase,
    ignored: freqBaseIgnored,
  }),
  gemma('gemma', 'gemma-mha', gemma1Mha, (blk) => [...attention(blk, gemma1Mha), ...gatedFfn(blk, gemma1Mha)]),
  gemma2('gemma2', { nLayer: 4, nEmbd: 192, nHead: 4, nHeadKv: 2, headDim: 128, nFf: 256 }, 32, {
    metadata: freqBase,
    ignored: freqBaseIgnored,
  }),
  gemma2('gemma2-mqa', { nLayer: 3, nEmbd: 256, nHead: 2, nHeadKv: 1, headDim: 256, nFf: 320 }, 17),
  // By its number of layers the 27B model, which scales queries by n_embd / n_head, not by the size of a head.
  gemma2('gemma2-27b', { nLayer: 46, nEmbd: 64, nHead: 2, nHeadKv: 1, headDim: 64, nFf: 96 }, 32),
  gemma3('gemma3', { nLayer: 7, nEmbd: 192, nHead: 2, nHeadKv: 1, headDim: 128, nFf: 256 }, 24, {
    metadata: { 'rope.scaling.type': 'linear', 'rope.scaling.factor': float(8) },
    ignored: { 'rope.scaling.factor': float(1) },
  }),
  gemma3('gemma3-untied', { nLayer: 8, nEmbd: 160, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 256 }, 16, {
    isTied: false,
    metadata: { final_logit_softcapping: float(5), 'rope.freq_base_swa': float(2000) },
    ignored: { final_logit_softcapping: null, 'rope.freq_base_swa': float(10000) },
  }),
  gemma3('gemma3-no-window', { nLayer: 2, nEmbd: 256, nHead: 2, nHeadKv: 1, headDim: 256, nFf: 320 }, 0),
  // Likewise. So many layers with sharp attention would turn roundings into noise.
  gemma3('gemma3-27b', { nLayer: 62, nEmbd: 64, nHead: 2, nHeadKv: 1, headDim: 64, nFf: 64 }, 32, { queryKeyMean: 1 }),
];
