// The metadata that every architecture has.

/** @typedef {{ nLayer: number, nEmbd: number, nHead: number, nHeadKv: number, headDim: number, nFf: number }} Dimensions */

export const nCtx = 1024;

/** @param {Dimensions} dims @returns {Record<string, number>} */
export function dimensions({ nLayer, nEmbd, nHead, nHeadKv, headDim, nFf }) {
  return {
    context_length: nCtx,
    block_count: nLayer,
    embedding_length: nEmbd,
    feed_forward_length: nFf,
    'attention.head_count': nHead,
    'attention.head_count_kv': nHeadKv,
    // Written only where it is not what follows from the others, as most files do.
    ...(headDim * nHead === nEmbd ? {} : { 'attention.key_length': headDim, 'attention.value_length': headDim }),
  };
}

/**
 * Mistakes with sliding windows: one position too few or too many, and other layers.
 * @param {number} window
 * @param {number} wrongPattern the layer of so many that has no window
 */
export function windowMistakes(window, wrongPattern) {
  return [
    { 'attention.sliding_window': window - 1 },
    { 'attention.sliding_window': window + 1 },
    { 'attention.sliding_window_pattern': wrongPattern },
  ];
}
