// llama.cpp as a reference: next-token probabilities and tokenization, through node-llama-cpp.
import { readFileSync } from 'node:fs';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

/**
 * Ways to run one and the same model that differ only in the order of rounding. What they disagree by is the
 * noise that any correct implementation has.
 */
export const peerConfigurations = [
  { name: 'batch 512', batchSize: 512, flashAttention: false },
  { name: 'batch 512, flash attention', batchSize: 512, flashAttention: true },
  { name: 'batch 1', batchSize: 1, flashAttention: false },
  { name: 'batch 1, flash attention', batchSize: 1, flashAttention: true },
];

/** @typedef {import('node-llama-cpp').Token} Token */

/** @param {string} modelPath */
export async function openPeer(modelPath) {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
  const startMs = performance.now();
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  if (model.tokens.bos === null) throw new Error('the model has no BOS token');
  return {
    model,
    /** When loading began: after the library itself was there. */
    startMs,
    bos: model.tokens.bos,
    /** @param {string} text ids without BOS, special tokens not parsed */
    tokenize: (text) => [...model.tokenize(text, false)],

    /**
     * The most probable next tokens after each prompt, KV cache in f16.
     * @param {Token[][]} prompts
     * @param {{ batchSize: number, flashAttention: boolean }} configuration
     * @param {number} n
     * @returns {Promise<[number, number][][]>} per prompt [id, probability], most probable first
     */
    async nextTokens(prompts, { batchSize, flashAttention }, n) {
      const context = await model.createContext({
        contextSize: 2048,
        batchSize,
        flashAttention,
        sequences: 1,
        threads: 2,
      });
      const sequence = context.getSequence();
      /** @type {[number, number][][]} */
      const results = [];
      for (const ids of prompts) {
        await sequence.clearHistory();
        const input = ids.map((id, i) =>
          i === ids.length - 1
            ? /** @type {[Token, { generateNext: { probabilities: boolean } }]} */ ([
                id,
                { generateNext: { probabilities: true } },
              ])
            : id,
        );
        const output = await sequence.controlledEvaluate(input);
        results.push([...(output.at(-1)?.next.probabilities ?? [])].slice(0, n));
      }
      await context.dispose();
      return results;
    },

    /**
     * The logarithms of the probabilities of all next tokens, after the last `nLast` tokens of each prompt.
     * @param {{ tokens: number[], nLast: number }[]} prompts
     * @param {import('../lib/peer.mjs').DistributionConfiguration} configuration
     * @param {number} nCtx
     * @returns {Promise<number[][][]>} [prompt][one of its last tokens, in order][id]
     */
    async distributions(prompts, { batchSize, flashAttention, kvCache }, nCtx) {
      const context = await model.createContext({
        contextSize: nCtx,
        batchSize,
        flashAttention,
        sequences: 1,
        threads: 1, // more would wait for each other at every small product
        experimentalKvCacheKeyType: kvCache,
        experimentalKvCacheValueType: kvCache,
      });
      const sequence = context.getSequence();
      const results = [];
      for (const { tokens, nLast } of prompts) {
        await sequence.clearHistory();
        const input = /** @type {Token[]} */ (tokens).map((id, i) =>
          i >= tokens.length - nLast
            ? /** @type {[Token, { generateNext: { logits: boolean } }]} */ ([id, { generateNext: { logits: true } }])
            : id,
        );
        const output = await sequence.controlledEvaluate(input);
        results.push(output.slice(-nLast).map((at) => logProbabilities(at?.next.logits ?? new Map())));
      }
      await context.dispose();
      return results;
    },

    /** What computed the results, for the record. */
    build: {
      'node-llama-cpp': installedVersion(),
      'llama.cpp': llama.llamaCppRelease.release,
      buildType: llama.buildType,
      systemInfo: llama.systemInfo.trim(),
    },
  };
}

/** @param {Map<Token, number>} logits @returns {number[]} by id */
function logProbabilities(logits) {
  const values = Array.from({ length: logits.size }, (_, id) => logits.get(/** @type {Token} */ (id)) ?? Number.NaN);
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const normalizer = most + Math.log(values.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return values.map((logit) => logit - normalizer);
}

function installedVersion() {
  const manifest = new URL('node_modules/node-llama-cpp/package.json', import.meta.url);
  return String(JSON.parse(readFileSync(manifest, 'utf8')).version);
}
