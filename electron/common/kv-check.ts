// What the check of the KV cache's presets found for one model, and which of them it lets through.
import { z } from 'zod';
import { type KvPresetId, kvPresetIdSchema } from './model-facts.ts';

/** Of what the presets' names stand for: a check of others says nothing of these. 2: by a layer's depth. */
export const kvPresetsRevision = 2;

export const kvCheckSchema = z.object({
  revision: z.literal(kvPresetsRevision),
  atMs: z.number(),
  /** The smallest preset that passed; "exact" if none did, or if there was no check. */
  chosen: kvPresetIdSchema,
  /** Predictions compared. */
  nTokens: z.int(),
  results: z.array(
    z.object({
      preset: kvPresetIdSchema,
      /** Of the next token's distribution from that with f16, in nats. */
      meanKld: z.number(),
      /** Part of the predictions whose likeliest token is another. */
      flips: z.number(),
      perplexityRatio: z.number(),
      /** Per element, all included, in a long context. */
      bits: z.number(),
    }),
  ),
  /** The packing's that it was made with: one that lay beside the model, or one of its own. Older checks do not say. */
  calibration: z.enum(['kept', 'made', 'none']).optional(),
  /** Why there was no check, in a sentence. */
  problem: z.string().nullable(),
});
export type KvCheck = z.infer<typeof kvCheckSchema>;

/**
 * A preset passes if it changes predictions no more than this. llama.cpp's q4_0 cache, which people use without noticing
 * much, has a mean divergence of 0.03 to 0.04 on the models that Outpost brings along (docs/kv-cache.md).
 */
export const kvCheckLimits = { meanKld: 0.02, perplexityRatio: 1.02 } as const;

export function passes({ meanKld, perplexityRatio }: KvCheck['results'][number]): boolean {
  return meanKld <= kvCheckLimits.meanKld && perplexityRatio <= kvCheckLimits.perplexityRatio;
}

export function smallestPassing(results: KvCheck['results']): KvPresetId {
  const [smallest] = results.filter(passes).sort((a, b) => a.bits - b.bits);
  return smallest?.preset ?? 'exact';
}
