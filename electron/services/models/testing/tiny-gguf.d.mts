// Types of tiny-gguf.mjs.
export interface TinyOptions {
  nLayer: number;
  nEmbd: number;
  nCtxTrain: number;
  type?: 'f32' | 'f16' | 'q8_0' | 'q4_0' | 'q4_K';
  /** Bytes of a text in the header that nobody reads. */
  padding?: number;
  seed?: string;
  chatTemplate?: string;
  /** All tensors of a shape have the same numbers: quick to make, for where only their size matters. */
  isUniform?: boolean;
}

/** A llama without biases, as wide in its feed-forward part as its embedding. */
export function tinyModelBytes(options: TinyOptions): Uint8Array;

/**
 * A DeepSeek V2 of three layers, the first without experts: latent heads, and four experts of sixteen for a token. What is
 * legacy has keys and values of heads in one matrix, and their lengths in place of those of the latent vector.
 */
export function deepseekModelBytes(name: 'deepseek2-v2' | 'deepseek2-v2-legacy'): Uint8Array;

/** A GLM-4.5 of two layers, with a block behind them that predicts further tokens; some of its metadata changed. */
export function glmModelBytes(metadata: Record<string, number>): Uint8Array;
