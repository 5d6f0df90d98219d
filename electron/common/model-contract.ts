// The library of models as the window sees it: what is here, what is on its way, what could be had, and who does what.
import { z } from 'zod';
import { errorInfoSchema } from './errors.ts';
import { kvCheckSchema } from './kv-check.ts';
import { kvPresetIdSchema, machineSpeedSchema, modelFactsSchema } from './model-facts.ts';
import { benchmarkSchema, deviceSchema, modelIdSchema, modelRoleSchema, selfTestSchema } from './role-contract.ts';
import { samplerSettingsSchema } from './settings.ts';

/** What of the settings a model has of its own; what is absent comes from the settings. */
export const modelOverridesSchema = z.object({
  sampler: z.object(
    Object.fromEntries(
      Object.entries(samplerSettingsSchema.shape).map(([name, field]) => [name, field.unwrap().optional()]),
    ) as { [K in keyof typeof samplerSettingsSchema.shape]: z.ZodOptional<z.ZodNumber> },
  ),
  nCtx: z.int().min(0).max(1_048_576).optional(),
  chatTemplate: z.string().max(200_000).optional(),
  /** What computes it: "cuda:0", "metal:0", or several GPUs, "cuda:0,cuda:1". Absent: the processor. */
  device: z.string().max(100).optional(),
  /** Of the last layers, how many the one GPU computes. Absent: as many as there is room for. */
  deviceLayers: z.int().min(1).max(4096).optional(),
  /** The model that drafts for it; null: none. Absent: that of the role "draft", if it has the same vocabulary. */
  draftId: modelIdSchema.nullable().optional(),
});
export type ModelOverrides = z.infer<typeof modelOverridesSchema>;

/** What a user may want to know about where a file came from, and get it again from. */
export const modelSourceSchema = z.object({
  url: z.string(),
  sha256: z.string().nullable(),
  repo: z.string().nullable(),
  license: z.string().nullable(),
});
export type ModelSource = z.infer<typeof modelSourceSchema>;

export const modelEntrySchema = z.object({
  id: modelIdSchema,
  name: z.string(),
  path: z.string(),
  /** Files of a split model, this one included. */
  files: z.array(z.string()),
  /** `linked`: it lies where another program put it, and is never deleted by us. */
  origin: z.enum(['default', 'bundled', 'downloaded', 'imported', 'linked']),
  state: z.enum(['ready', 'missing', 'damaged']),
  problem: errorInfoSchema.nullable(),
  facts: modelFactsSchema.nullable(),
  source: modelSourceSchema.nullable(),
  bytes: z.number(),
  /** When the whole file last had the hash that it should have; null: never, or nobody knows the hash. */
  verifiedAtMs: z.number().nullable(),
  selfTest: selfTestSchema.nullable(),
  benchmark: benchmarkSchema.nullable(),
  /** Tokens per second: expected before this model ever ran here, and as measured last. */
  speed: z.object({ expected: z.number(), measured: z.number() }).nullable().default(null),
  kvCheck: kvCheckSchema.nullable(),
  overrides: modelOverridesSchema,
  notes: z.string().max(10_000),
  addedAtMs: z.number(),
  /** A job that runs on it. */
  job: z
    .object({ kind: z.enum(['verify', 'selfTest', 'benchmark', 'kvCheck', 'move']), progress: z.number().nullable() })
    .nullable(),
});
export type ModelEntry = z.infer<typeof modelEntrySchema>;

export const downloadSchema = z.object({
  id: z.string(),
  title: z.string(),
  state: z.enum(['queued', 'running', 'paused', 'failed']),
  step: z.enum(['connecting', 'downloading', 'verifying', 'repairing', 'assembling']),
  nDone: z.number(),
  nTotal: z.number().nullable(),
  bytesPerSecond: z.number(),
  secondsLeft: z.number().nullable(),
  error: errorInfoSchema.nullable(),
});
export type DownloadView = z.infer<typeof downloadSchema>;

export const catalogEntrySchema = z.object({
  id: z.string(),
  name: z.string(),
  about: z.string(),
  license: z.string(),
  bytes: z.number(),
  roles: z.array(modelRoleSchema),
  /** The name of the model that drafts for it best. */
  draft: z.string().nullable(),
  isHere: z.boolean(),
});
export type CatalogEntry = z.infer<typeof catalogEntrySchema>;

export const modelsStateSchema = z.object({
  models: z.array(modelEntrySchema),
  downloads: z.array(downloadSchema),
  catalog: z.array(catalogEntrySchema),
  /** The model of each role in the open folder; null: none, or that of the chat. */
  roles: z.record(modelRoleSchema, modelIdSchema.nullable()),
  /** Roles that the open folder gives otherwise than the rest. */
  workspaceRoles: z.array(modelRoleSchema),
  folder: z.string(),
  folderFreeBytes: z.number().nullable(),
  /** Of this machine, now. */
  memory: z.object({
    totalBytes: z.number(),
    freeBytes: z.number(),
    /** Most memory of all models together, by the settings; 0 for no limit. */
    limitBytes: z.number(),
    gpus: z.array(deviceSchema),
  }),
  speed: machineSpeedSchema,
  /** What the settings say where a model has nothing of its own. */
  defaults: z.object({ nCtx: z.int(), kvPreset: kvPresetIdSchema }),
  hub: z.object({ url: z.string(), hasToken: z.boolean() }),
});
export type ModelsState = z.infer<typeof modelsStateSchema>;

export const hubModelSchema = z.object({
  repo: z.string(),
  nDownloads: z.number(),
  nLikes: z.number(),
  isGated: z.boolean(),
  license: z.string().nullable(),
  updatedAt: z.string().nullable(),
});
export type HubModel = z.infer<typeof hubModelSchema>;

/** One model of a repository: a file, or the parts of one. */
export const hubFileSchema = z.object({
  /** The first part's path. */
  path: z.string(),
  parts: z.array(z.object({ path: z.string(), bytes: z.number(), sha256: z.string().nullable() })),
  bytes: z.number(),
  isHere: z.boolean(),
});
export type HubFile = z.infer<typeof hubFileSchema>;

export const foundModelSchema = z.object({ path: z.string(), bytes: z.number(), program: z.string() });
export type FoundModel = z.infer<typeof foundModelSchema>;
