// llama.cpp as a reference: next-token probabilities and tokenization, through node-llama-cpp.
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

/** @param {string} modelPath */
export async function openPeer(modelPath) {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  return {
    /** @param {string} text @returns {number[]} ids without BOS, special tokens not parsed */
    tokenize: (text) => [...model.tokenize(text, false)].map(Number),
    bos: Number(model.tokens.bos),

    /**
     * The most probable next tokens after each prompt, KV cache in f16.
     * @param {number[][]} prompts
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
      const results = [];
      for (const ids of prompts) {
        await sequence.clearHistory();
        const input = ids.map((id, i) => (i === ids.length - 1 ? [id, { generateNext: { probabilities: true } }] : id));
        const output = await sequence.controlledEvaluate(input);
        results.push([...output.at(-1).next.probabilities].slice(0, n));
      }
      await context.dispose();
      return results;
    },
    dispose: () => llama.dispose(),
  };
}
