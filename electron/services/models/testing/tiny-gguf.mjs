// Small models with random weights, as files: for the tests of everything that handles model files. They load and run.
// Written by the generator that also makes the models of `npm run test:model`.
import { deepseekModels } from '../../../../scripts/model-tests/tiny-models/families/deepseek.mjs';
import { glmModels } from '../../../../scripts/model-tests/tiny-models/families/glm.mjs';
import { ggufBytes, tensorData } from '../../../../scripts/model-tests/tiny-models/tiny-model.mjs';

/** A llama without biases, as wide in its feed-forward part as its embedding. */
export function tinyModelBytes(options) {
  const model = tinyModel(options);
  if (!options.isUniform) return ggufBytes(model);
  const made = new Map();
  const tensors = model.tensors.map((tensor) => {
    const key = `${tensor.type} ${tensor.shape}`;
    if (!made.has(key)) made.set(key, tensorData({ ...model, tensors: [tensor] })[0].bytes);
    return { ...tensor, bytes: made.get(key) };
  });
  return ggufBytes(model, tensors);
}

/** A GLM-4.5 of two layers, with a block behind them that predicts further tokens; some of its metadata changed. */
export function glmModelBytes(metadata) {
  return ggufBytes({ ...glmModels[0], metadata: { ...glmModels[0].metadata, ...metadata } });
}

/**
 * A DeepSeek V2 of three layers, the first without experts: latent heads, and four experts of sixteen for a token. What is
 * legacy has keys and values of heads in one matrix, and their lengths in place of those of the latent vector.
 */
export function deepseekModelBytes(name) {
  return ggufBytes(deepseekModels.find((model) => model.name === name));
}

function tinyModel({ nLayer, nEmbd, nCtxTrain, type = 'f32', padding = 0, seed = 'tiny', chatTemplate }) {
  const headDim = Math.min(64, nEmbd);
  const nHead = nEmbd / headDim;
  const matrix = (name, shape) => ({ name, shape, type, rms: 1 / Math.sqrt(nEmbd), mean: 0 });
  const norm = (name) => ({ name, shape: [nEmbd], type: 'f32', rms: 0.1, mean: 1 });
  return {
    name: `${seed}-${nLayer}-${nEmbd}-${type}`,
    architecture: 'llama',
    metadata: {
      context_length: nCtxTrain,
      block_count: nLayer,
      embedding_length: nEmbd,
      feed_forward_length: nEmbd,
      'attention.head_count': nHead,
      'attention.head_count_kv': nHead,
      'attention.layer_norm_rms_epsilon': { float: 1e-5 },
      'rope.dimension_count': headDim,
      ...(padding > 0 ? { padding: 'x'.repeat(Math.min(padding, 1 << 20)) } : {}),
      ...(padding > 1 << 20 ? { padding2: 'x'.repeat(Math.min(padding - (1 << 20), 1 << 20)) } : {}),
      ...(chatTemplate === undefined ? {} : { template: chatTemplate }),
    },
    tensors: [
      matrix('token_embd.weight', [307, nEmbd]),
      ...Array.from({ length: nLayer }, (_, il) => [
        norm(`blk.${il}.attn_norm.weight`),
        matrix(`blk.${il}.attn_q.weight`, [nEmbd, nEmbd]),
        matrix(`blk.${il}.attn_k.weight`, [nEmbd, nEmbd]),
        matrix(`blk.${il}.attn_v.weight`, [nEmbd, nEmbd]),
        matrix(`blk.${il}.attn_output.weight`, [nEmbd, nEmbd]),
        norm(`blk.${il}.ffn_norm.weight`),
        matrix(`blk.${il}.ffn_gate.weight`, [nEmbd, nEmbd]),
        matrix(`blk.${il}.ffn_up.weight`, [nEmbd, nEmbd]),
        matrix(`blk.${il}.ffn_down.weight`, [nEmbd, nEmbd]),
      ]).flat(),
      norm('output_norm.weight'),
      matrix('output.weight', [307, nEmbd]),
    ],
    ignored: {},
  };
}
