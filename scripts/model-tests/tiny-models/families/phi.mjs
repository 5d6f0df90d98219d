// phi3: queries, keys and values in one matrix, gate and up in another; long and short factors for RoPE.
import { float } from '../tiny-model.mjs';
import { nVocab } from '../vocabulary.mjs';
import { ends, matrix, norm, ropeFactors } from '../weights.mjs';
import { dimensions, nCtx } from './dimensions.mjs';

/** @typedef {import('../tiny-model.mjs').TinyModel} TinyModel */

/**
 * @param {string} name
 * @param {import('./dimensions.mjs').Dimensions & { nRot: number }} dims
 * @param {{ isTied?: boolean, nCtxOriginal?: number }} [options] nCtxOriginal: with factors for RoPE
 * @returns {TinyModel}
 */
function phi3(name, dims, { isTied = false, nCtxOriginal } = {}) {
  const { nEmbd, nHeadKv, headDim, nFf, nRot } = dims;
  const layers = Array.from({ length: dims.nLayer }, (_, il) => [
    norm(`blk.${il}.attn_norm.weight`, nEmbd),
    matrix(`blk.${il}.attn_qkv.weight`, nEmbd + 2 * nHeadKv * headDim, nEmbd, 1.7),
    matrix(`blk.${il}.attn_output.weight`, nEmbd, nEmbd),
    norm(`blk.${il}.ffn_norm.weight`, nEmbd),
    matrix(`blk.${il}.ffn_up.weight`, 2 * nFf, nEmbd),
    matrix(`blk.${il}.ffn_down.weight`, nEmbd, nFf, 2),
  ]);
  const hasFactors = nCtxOriginal !== undefined;
  // Which factors apply is decided by the size of the context, here always that of the training.
  const isLong = hasFactors && nCtx > nCtxOriginal;
  return {
    name,
    architecture: 'phi3',
    metadata: {
      ...dimensions(dims),
      'rope.dimension_count': nRot,
      'attention.layer_norm_rms_epsilon': float(0.03),
      'rope.freq_base': float(4000),
      ...(hasFactors && {
        'rope.scaling.original_context_length': nCtxOriginal,
        'rope.scaling.attn_factor': float(1.3),
      }),
    },
    ignored: {
      'attention.layer_norm_rms_epsilon': float(1e-5),
      'rope.freq_base': float(10000),
      ...(nRot !== headDim && { 'rope.dimension_count': headDim }),
      ...(hasFactors && { 'rope.scaling.attn_factor': float(1) }),
    },
    ...(hasFactors && {
      // The other factors.
      misread: [{ 'rope.scaling.original_context_length': isLong ? nCtx : nCtx / 4 }],
      unused: [isLong ? 'rope_factors_short.weight' : 'rope_factors_long.weight'],
    }),
    tensors: [
      ...ends({ nEmbd, nVocab }, { isTied }),
      ...layers.flat(),
      ...(hasFactors
        ? [ropeFactors('rope_factors_short.weight', nRot, 1.5), ropeFactors('rope_factors_long.weight', nRot, 6)]
        : []),
    ],
  };
}

const dims = { nLayer: 2, nEmbd: 288, nHead: 3, nHeadKv: 3, headDim: 96, nRot: 96, nFf: 352 };

export const phiModels = [
  phi3('phi3', dims),
  phi3(
    'phi3-partial-rope-tied',
    { ...dims, nEmbd: 256, nHead: 2, nHeadKv: 1, headDim: 128, nRot: 96 },
    { isTied: true },
  ),
  phi3('phi3-longrope-short', dims, { nCtxOriginal: nCtx }),
  phi3('phi3-longrope-long', dims, { nCtxOriginal: nCtx / 4 }),
];
