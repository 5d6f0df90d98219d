// What all models have of a memory, by what it is for.
import { type Device, type LoadedModel, mainMemory } from '../../../electron/common/role-contract.ts';

export const memoryKinds = ['weights', 'kv', 'other', 'draft'] as const;
export type MemoryParts = Record<(typeof memoryKinds)[number], number>;

/** @param devices those that have it: of the main memory the processor, and GPUs that share it */
export function memoryParts(loaded: readonly LoadedModel[], devices: readonly string[]): MemoryParts {
  const isMain = devices.includes('cpu');
  const sum: MemoryParts = { weights: 0, kv: 0, other: 0, draft: 0 };
  for (const { memory, shares, predictedBytes } of loaded) {
    if (!memory) continue;
    const own = shares.filter(({ device }) => devices.includes(device));
    const isWhole = shares.length === 1;
    // A draft model is where all of its target is, or else with the processor.
    const hasDraft = isWhole ? own.length > 0 : isMain;
    const draft = hasDraft ? memory.draft : 0;
    const weights = own.reduce((total, share) => total + share.weights, 0);
    const kv = own.reduce((total, share) => total + share.kv, 0);
    sum.weights += weights;
    sum.kv += kv;
    sum.draft += draft;
    const all = isMain ? predictedBytes : own.reduce((total, share) => total + share.bytes, 0);
    sum.other += Math.max(0, all - weights - kv - draft);
  }
  return sum;
}

/**
 * Of all memories together: weights, keys and values as they are, and what was expected of the main memory besides.
 * @param sharing ids of GPUs whose memory is the main memory
 */
export function bytesInMemory(
  { memory, shares, predictedBytes }: LoadedModel,
  sharing: readonly Device['id'][],
): number {
  if (!memory) return 0;
  const inRam = shares.filter(({ device }) => device === mainMemory || sharing.includes(device));
  const known = inRam.reduce((sum, { weights, kv }) => sum + weights + kv, 0);
  return memory.weights + memory.kv + Math.max(0, predictedBytes - known);
}
