// What the head of a model file says, as far as anybody asks, and what follows from it for memory and speed.
// Pure: the window computes its "what if" with the same functions that main decides with.
import { z } from 'zod';

/** Bytes of weights that one token reads, by tensor type: what decides the speed on a machine. */
const weightsSchema = z.record(z.string(), z.number());

/**
 * Bytes of a layer's weights: on a GPU, of these what the experts of a mixture take, prepared for the processor, and what a
 * token reads of the latter.
 */
const layerBytesSchema = z.object({ gpu: z.number(), experts: z.number(), packed: z.number(), read: z.number() });
export type LayerBytes = z.infer<typeof layerBytesSchema>;

export const modelFactsSchema = z.object({
  architecture: z.string(),
  name: z.string(),
  /** The type most weights have. */
  fileType: z.string(),
  fileBytes: z.number(),
  nParams: z.number(),
  nCtxTrain: z.int(),
  nVocab: z.int(),
  /** Of the vocabulary: two models with the same one have the same tokens. Empty if it was never read. */
  vocabulary: z.string().default(''),
  nLayer: z.int(),
  nEmbd: z.int(),
  nFf: z.int(),
  /** Prepared for the processor; the table of embeddings is not among them. */
  packedBytes: z.number(),
  /** Stays in the file: read a row at a time. */
  tableBytes: z.number(),
  /** The same tables on a GPU, which is where the first layer is. */
  tableGpuBytes: z.number(),
  /** Heads of queries. */
  nHead: z.number(),
  /** Elements of a value as it is kept: of latent attention, of the latent vector. */
  headDimV: z.number(),
  /** What latent attention computes of a token for each head: queries, the same absorbed, sums of values, values. Else 0. */
  latentElements: z.number(),
  /** Of a layer of a mixture: its experts, how many of them a token uses, and how wide one is; null without experts. */
  experts: z.object({ n: z.number(), nUsed: z.number(), nFf: z.number() }).nullable(),
  /** Elements of keys and values per position, over all layers. */
  kvElementsPerToken: z.number(),
  readPerToken: weightsSchema,
  /** From the first one. */
  layers: z.array(layerBytesSchema),
  /** The last norm and what turns the last layer's result into tokens. */
  head: layerBytesSchema,
  /**
   * The block that guesses further tokens, where the file has one that the engine uses: beside the layers, and not read
   * for a token. A model whose layers several devices share does without.
   */
  mtpHead: z.object({ gpu: z.number(), packed: z.number(), kvElementsPerToken: z.number() }).nullable().default(null),
  /** The table of embeddings is the head as well. */
  isTied: z.boolean(),
  hasFim: z.boolean(),
  hasChatTemplate: z.boolean(),
  /** Template speaks of tools. */
  mentionsTools: z.boolean(),
  license: z.string().nullable(),
  /** Of a model in several files: this one's number from 1, and how many there are. */
  split: z.object({ index: z.int(), count: z.int() }).nullable(),
});
export type ModelFacts = z.infer<typeof modelFactsSchema>;

/** How keys and values are stored. The engine's own page has the details. */
export const kvPresets = [
  { id: 'exact', name: 'Exact', bits: 16 },
  { id: 'safe', name: 'Safe', bits: 6.25 },
  { id: 'compact', name: 'Compact', bits: 3.2 },
  { id: 'max', name: 'Max', bits: 2.4 },
] as const;
export const kvPresetIdSchema = z.enum(kvPresets.map(({ id }) => id));
export type KvPresetId = z.infer<typeof kvPresetIdSchema>;

/** Bits of an element of keys or values. */
export function kvBitsOf(preset: KvPresetId): number {
  return kvPresets.find(({ id }) => id === preset)?.bits ?? 16;
}

/** Contexts that the KV cache holds: the chat's, and one for inline completion and earlier conversations. */
export const nContexts = 2;
/** Positions in a page of the cache; it holds whole pages. */
export const kvPageSize = 64;
/** Tokens in one slice of a prompt. */
const nPrefill = 64;
/** Of the vocabulary: pieces, their hash table and the index of prefixes, per token. Measured with RssAnon, Linux. */
const vocabularyBytesPerToken = 260;
/** Of the index of earlier texts that drafts are taken from: native/runtime/drafter.h, native/draft/suffix_index.h. */
const draftIndexBytes = 28 * 2 ** 18;

/** Part of the memory that the KV cache may take where the user set no context length. */
const kvMemoryShare = 1 / 4;

/** The context that a model gets; `wanted` 0 takes what it was trained for, if there is memory. */
export function contextOf(nCtxTrain: number, kvBytesPerToken: number, wanted: number, memoryBytes: number): number {
  if (wanted > 0) return Math.min(wanted, nCtxTrain);
  const nFitting = Math.floor((memoryBytes * kvMemoryShare) / (nContexts * Math.max(1, kvBytesPerToken)));
  return Math.min(nCtxTrain, Math.max(512, nFitting));
}

/** Of the windows of the head that guesses further tokens (native/runtime/mtp_draft.cpp), in 16 bits. */
const mtpWindows = 4;
const mtpPositions = 4096;

export function mtpKvBytes({ mtpHead }: Pick<ModelFacts, 'mtpHead'>, nCtx: number): number {
  const nPositions = kvPageSize * Math.ceil(Math.min(nCtx, mtpPositions) / kvPageSize);
  return mtpWindows * nPositions * (mtpHead?.kvElementsPerToken ?? 0) * 2;
}

export interface FitQuestion {
  nCtx: number;
  /** Bits of an element of the KV cache. */
  kvBits: number;
  /** Memory of a draft model beside it. */
  draftBytes: number;
  /** It is the draft model: the index of earlier texts is its target's. */
  isDraft?: boolean;
}

export interface MemorySplit {
  weights: number;
  kv: number;
  workspace: number;
  draft: number;
  total: number;
}

/** Bytes of KV cache for a context: whole pages, for each of the contexts that are held. */
export function kvBytes(facts: Pick<ModelFacts, 'kvElementsPerToken'>, nCtx: number, kvBits: number): number {
  const nPositions = Math.floor((nContexts * nCtx) / kvPageSize) * kvPageSize;
  return (Math.max(nPositions, kvPageSize) * facts.kvElementsPerToken * kvBits) / 8;
}

/** Memory that the engine takes for a model, by what it is for. */
export function predictMemory(
  facts: ModelFacts,
  { nCtx, kvBits, draftBytes, isDraft = false }: FitQuestion,
): MemorySplit {
  // A pass over a slice of a prompt: its activations, and the logits of one row, in f32.
  const activations = 4 * nPrefill * (8 * facts.nEmbd + 2 * facts.nFf) + 4 * 2 * facts.nVocab;
  const workspace = activations + facts.nVocab * vocabularyBytesPerToken + (isDraft ? 0 : draftIndexBytes);
  const weights = facts.packedBytes + facts.tableBytes + (facts.mtpHead?.packed ?? 0);
  const kv = kvBytes(facts, nCtx, kvBits) + mtpKvBytes(facts, nCtx);
  return { weights, kv, workspace, draft: draftBytes, total: weights + kv + workspace + draftBytes };
}

/** What a token costs in a layer besides its weights. */
export const layerSpeedSchema = z.object({
  /** Norms, rotation, sums, and starting every operation. */
  secondsPerLayer: z.number().gt(0),
  /** Keys and values that attention reads. */
  kvBytesPerSecond: z.number().gt(0),
});
export type LayerSpeed = z.infer<typeof layerSpeedSchema>;

/** What this machine reads per second while it decodes, by tensor type, and how much it learned from real replies. */
export const deviceSpeedSchema = z.object({
  /** Bytes per second of weights, by type; a type that was not measured takes `other`. */
  bytesPerSecond: z.record(z.string(), z.number()),
  other: z.number(),
  /** Null until it was measured. */
  layer: layerSpeedSchema.nullable().default(null),
});
export type DeviceSpeed = z.infer<typeof deviceSpeedSchema>;

export const machineSpeedSchema = deviceSpeedSchema.extend({
  /** Seconds per token that are in no layer: between two passes, and at both ends of each. */
  overheadSeconds: z.number(),
  /** Of the GPUs that were measured, by `gpuKey`. */
  gpus: z.record(z.string(), deviceSpeedSchema).default({}),
});
export type MachineSpeed = z.infer<typeof machineSpeedSchema>;

/** Seconds that a token takes to read the weights. */
export function weightSeconds({ readPerToken }: ModelFacts, { bytesPerSecond, other }: DeviceSpeed): number {
  return Object.entries(readPerToken).reduce((sum, [type, bytes]) => sum + bytes / (bytesPerSecond[type] ?? other), 0);
}

/**
 * Seconds that a token takes for everything else.
 * @param nPast positions in the context: their keys and values are read for every token. Those of fewer bits than 16 count
 *   as if they had 16: what is saved by reading less is spent on taking them apart.
 */
export function secondsBesides(facts: ModelFacts, speed: MachineSpeed, nPast: number): number {
  return speed.overheadSeconds + layerSeconds(facts, speed, nPast);
}

/** The part of it that layers take, were a device to compute all of them. */
export function layerSeconds(facts: ModelFacts, { layer, other }: DeviceSpeed, nPast: number): number {
  const { secondsPerLayer, kvBytesPerSecond } = layer ?? { secondsPerLayer: 0, kvBytesPerSecond: other };
  return facts.nLayer * secondsPerLayer + (nPast * facts.kvElementsPerToken * 2) / kvBytesPerSecond;
}

/** @param nPast positions in the context */
export function predictTokensPerSecond(facts: ModelFacts, speed: MachineSpeed, nPast: number): number {
  return 1 / (weightSeconds(facts, speed) + secondsBesides(facts, speed, nPast));
}

/** Kept free for everything else that runs: the window itself, and what the system needs to stay quick. */
const headroomBytes = 512 * 2 ** 20;

export type Fit = 'fits' | 'tight' | 'tooLarge';

/** @param freeBytes what the system could give now, without what an engine of ours would give back */
export function fitOf(neededBytes: number, freeBytes: number): Fit {
  if (neededBytes + headroomBytes <= freeBytes) return 'fits';
  return neededBytes <= freeBytes ? 'tight' : 'tooLarge';
}

/** The longest context that fits, in steps of 256; null if not even the shortest does. */
export function longestContext(nCtxTrain: number, fits: (nCtx: number) => boolean): number | null {
  const step = 256;
  let [low, high] = [0, Math.floor(nCtxTrain / step)];
  if (high === 0) return fits(nCtxTrain) ? nCtxTrain : null;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle * step)) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? null : low * step;
}
