// Which model does what, and what of them is in memory: shared by main, which decides, the engine, which loads, and the
// window, which shows it.
import { z } from 'zod';
import { errorInfoSchema } from './errors.ts';
import { layerSpeedSchema } from './model-facts.ts';

export const modelRoles = ['chat', 'inline', 'draft', 'embedding'] as const;
export const modelRoleSchema = z.enum(modelRoles);
export type ModelRole = z.infer<typeof modelRoleSchema>;

/** A model of the library: "catalog:…" or "file:…". */
export const modelIdSchema = z.string().min(1).max(5000);

const draftCountsSchema = z.object({ nDrafted: z.int(), nAccepted: z.int() });
/** Tokens that were guessed ahead, by where the guess came from, and how many of them the model would have said too. */
export const draftStatsSchema = z.object({
  grammar: draftCountsSchema,
  edit: draftCountsSchema,
  suffix: draftCountsSchema,
  model: draftCountsSchema,
  mtp: draftCountsSchema,
});
export type DraftStats = z.infer<typeof draftStatsSchema>;

/** Bytes by device: those of a GPU that shares the main memory are among those of the main memory, too. */
export const deviceBytesSchema = z.record(z.string(), z.number().min(0));
export type DeviceBytes = z.infer<typeof deviceBytesSchema>;
/** The processor as a device, and the main memory as what it has. */
export const mainMemory = 'cpu';
/**
 * No device, though it stands among them: what of the main memory has to be available so that experts can be pinned there.
 * More than they take: a part has to be left (`mostPinnedShare`).
 */
export const pinnable = 'cpu pinnable';

/** The GPUs that a model's layers go through in turn: "cuda:0", or several with commas between. None: "cpu". */
export const gpusOf = (device: string): string[] => (device === mainMemory ? [] : device.split(','));

/** In place of a number of layers. */
export const fittingDeviceLayers = 0;

/** Everything the engine needs to know to load a model. */
export const modelSpecSchema = z.object({
  id: modelIdSchema,
  modelPath: z.string(),
  /** What to call it; null takes the name in the file. */
  name: z.string().nullable(),
  nThreads: z.int(),
  /** "cpu", or GPUs as `gpusOf` reads them. No other takes their place. */
  device: z.string(),
  /** Of the last layers, how many a GPU computes; `fittingDeviceLayers`: as many as it, or several, have room for. */
  deviceLayers: z.int().min(0),
  nCtx: z.int(),
  /** How keys and values are kept. */
  kvPreset: z.enum(['exact', 'safe', 'compact', 'max']),
  /** What it is expected to take, for each way in which it can be loaded, the best first; none if that is not known. */
  memory: z.array(deviceBytesSchema),
  /** In place of the file's own chat template. */
  chatTemplate: z.string().nullable(),
  /** A smaller model that guesses ahead for it; counted in `memory`. */
  draft: z
    .object({ id: modelIdSchema, modelPath: z.string(), name: z.string(), memoryBytes: z.number().min(0) })
    .nullable(),
  /** Where what it has read is kept while it is not loaded; null keeps nothing. */
  contextFile: z.string().nullable(),
});
export type ModelSpec = z.infer<typeof modelSpecSchema>;

export const assignmentSchema = z.object({
  /** A model that is loaded and in no role is unloaded, unless it is pinned. Null: none, or that of the chat. */
  roles: z.record(modelRoleSchema, modelSpecSchema.nullable()),
  /** Most memory of all models together; 0 leaves it to what is free. */
  limitBytes: z.number().min(0),
  /** A model that nobody asked for so long is unloaded until somebody does; 0 keeps it. */
  idleMs: z.number().min(0),
  /** Where the engine keeps what passes take on this machine, from one start to the next. */
  costFile: z.string().optional(),
  /** Somebody wants the models now, those that the user stopped while they were being loaded, too. */
  again: z.boolean().optional(),
});
export type Assignment = z.infer<typeof assignmentSchema>;

/** What is in the KV cache of a model that is loaded, and how often it helped. */
export const cacheFactsSchema = z.object({
  preset: modelSpecSchema.shape.kvPreset,
  nPages: z.int(),
  /** Positions; those that texts share count once. */
  nTokens: z.int(),
  /** What keys and values of these would take in f16, and in f16 with a KV head for each query head. */
  f16Bytes: z.number(),
  mhaBytes: z.number(),
  /** Tokens of all prompts, and of these, those that were found in the cache. */
  nPrompt: z.int(),
  nReused: z.int(),
});
export type CacheFacts = z.infer<typeof cacheFactsSchema>;

/** What one device has of a model. */
export const deviceShareSchema = z.object({
  /** "cpu": the main memory. */
  device: z.string(),
  nLayer: z.int(),
  weights: z.number(),
  kv: z.number(),
  /** All together, with what it is expected to compute with; of the main memory, what GPUs have that share it, too. */
  bytes: z.number(),
});
export type DeviceShare = z.infer<typeof deviceShareSchema>;

export const loadedModelSchema = z.object({
  id: modelIdSchema,
  name: z.string(),
  roles: z.array(modelRoleSchema),
  /** `stopped`: its load was, on demand. */
  state: z.enum(['loading', 'ready', 'unloaded', 'stopped', 'failed']),
  progress: z.number(),
  error: errorInfoSchema.nullable(),
  isPinned: z.boolean(),
  /** Requests that run. */
  nActive: z.int(),
  idleSinceMs: z.number(),
  /** Before it was loaded, and what is there now. */
  predictedBytes: z.number(),
  memory: z
    .object({ weights: z.number(), kvUsed: z.number(), kv: z.number(), draft: z.number(), grown: z.number() })
    .nullable(),
  /** Who has how much of its weights, keys and values, in the order of the layers; empty while it is not loaded. */
  shares: z.array(deviceShareSchema),
  /** The model that drafts for it, or why the one that should does not. */
  draft: z.object({ name: z.string(), problem: z.string().nullable() }).nullable(),
  /** Since it was loaded; null while it is not. */
  decoding: z
    .object({
      nDecoded: z.int(),
      nPasses: z.int(),
      decodeMs: z.number(),
      /** What one token takes without a draft; 0 if that is not known. */
      plainTokenMs: z.number(),
      drafts: draftStatsSchema,
    })
    .nullable(),
  cache: cacheFactsSchema.nullable(),
});
export type LoadedModel = z.infer<typeof loadedModelSchema>;

export const engineEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('models'), models: z.array(loadedModelSchema), freeBytes: z.number() }),
  /** Something happened that nobody asked for. */
  z.object({ type: z.literal('notice'), message: z.string() }),
]);
export type EngineEvent = z.infer<typeof engineEventSchema>;

/** One property of a model, tried out. */
export const checkResultSchema = z.object({
  outcome: z.enum(['passed', 'failed', 'absent']),
  /** A sentence: what was tried, or what is missing. */
  detail: z.string(),
});
export type CheckResult = z.infer<typeof checkResultSchema>;

export const selfTestSchema = z.object({
  tokenizer: checkResultSchema,
  template: checkResultSchema,
  fim: checkResultSchema,
  tools: checkResultSchema,
  /** A few tokens, to see that it computes. */
  generation: checkResultSchema,
});
export type SelfTest = z.infer<typeof selfTestSchema>;

/** What a GPU says of itself; null where it has no such sensor. */
export const deviceSensorsSchema = z.object({
  temperatureC: z.number().nullable(),
  /** From which on it slows itself down. */
  slowdownC: z.number().nullable(),
  powerWatts: z.number().nullable(),
  powerLimitWatts: z.number().nullable(),
  clockMhz: z.number().nullable(),
  memoryClockMhz: z.number().nullable(),
  /** Part of the last moments in which something was computed, 0 to 1. */
  busy: z.number().nullable(),
  usedBytes: z.number(),
});
export type DeviceSensors = z.infer<typeof deviceSensorsSchema>;

export const mostReasonChars = 500;

/** Something that computes, and the memory that it has of its own. */
export const deviceSchema = z.object({
  id: z.string(),
  name: z.string(),
  totalBytes: z.number(),
  freeBytes: z.number(),
  /** Of a GPU: its memory is the main memory. */
  sharesMemory: z.boolean(),
  /** Null where nobody can be asked. */
  sensors: deviceSensorsSchema.nullable(),
  /** Why it cannot be used now; absent where it can. Words of a driver, cut where nobody reads on. */
  reason: z.string().max(mostReasonChars).optional(),
});
export type Device = z.infer<typeof deviceSchema>;

/** What a GPU that cannot be used is there for: to be named, with its reason. */
export const isUsable = ({ reason }: Pick<Device, 'reason'>): boolean => reason === undefined;

/** What was measured of a machine: bytes of weights that decoding reads per second, by tensor type, and the rest. */
export const measuredSpeedsSchema = z.object({
  weights: z.record(z.string(), z.number().gt(0)),
  layer: layerSpeedSchema,
});
export type MeasuredSpeeds = z.infer<typeof measuredSpeedsSchema>;

export const benchmarkSchema = z.object({
  atMs: z.number(),
  /** Tokens of the prompt, and how fast they were read. */
  nPrompt: z.int(),
  prefillTokensPerSecond: z.number(),
  nDecoded: z.int(),
  decodeTokensPerSecond: z.number(),
});
export type Benchmark = z.infer<typeof benchmarkSchema>;
