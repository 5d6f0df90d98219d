// The user's settings: one schema, every field with its default, stored as JSON by main.
import { z } from 'zod';

export const samplerSettingsSchema = z.object({
  temperature: z.number().min(0).max(2).default(0.7),
  topK: z.int().min(0).max(1000).default(40),
  topP: z.number().gt(0).max(1).default(0.95),
  minP: z.number().min(0).max(1).default(0.05),
  repeatPenalty: z.number().min(1).max(2).default(1.1),
  /** Most tokens in one reply. */
  maxTokens: z.int().min(1).max(32768).default(1024),
});

/** Electron's way to write a key: "CmdOrCtrl+Shift+P". A letter alone would end typing. */
export const acceleratorSchema = z
  .string()
  .max(60)
  .regex(/^(?:(?:CmdOrCtrl|Ctrl|Alt|Shift)\+)+[^\s+]+$|^(?:Shift\+)?F\d{1,2}$/);

export const settingsSchema = z.object({
  theme: z.enum(['system', 'light', 'dark', 'contrast']).default('system'),
  /** Of the whole window, in percent. */
  zoomPercent: z.int().min(50).max(300).default(100),
  editorFontSize: z.int().min(8).max(32).default(13),
  inlineCompletion: z.boolean().default(true),
  /** Propose the change that likely comes next, elsewhere in the file. */
  nextEdit: z.boolean().default(true),
  /** Notes go to the list of what runs without appearing; errors still appear. */
  quietNotes: z.boolean().default(false),
  /** Where the editor knows how. */
  formatOnSave: z.boolean().default(false),
  /** Keys of commands that are not the usual ones, by the command's id; null takes the key away. */
  keys: z.record(z.string().max(64), acceleratorSchema.nullable()).default({}),
  /** Whether the first steps were closed once; then they come only when asked for. */
  hasSeenFirstSteps: z.boolean().default(false),
  /** The switch that ends every connection, also those that the user asks for. */
  isNetworkOff: z.boolean().default(false),
  /** Where the chat's system message comes from; empty sends none. */
  systemPrompt: z
    .string()
    .max(20_000)
    .default('You are a helpful assistant for software developers. Answer briefly and precisely.'),
  sampler: samplerSettingsSchema.prefault({}),
  /** A GGUF file; null uses the embedded default model. */
  modelPath: z.string().nullable().default(null),
  /** Where models are downloaded to; null: beside the settings. */
  modelFolder: z.string().nullable().default(null),
  /** A model hub's address, or a folder that serves as one. */
  hubUrl: z.string().min(1).max(2000).default('https://huggingface.co'),
  /** Of all downloads together, in KiB per second; 0 for no limit. */
  downloadLimitKiB: z.int().min(0).max(10_000_000).default(0),
  /** Most memory of all models together, in MiB; 0 leaves it to what is free. */
  modelMemoryMiB: z.int().min(0).max(10_000_000).default(0),
  /** A model that nobody asked for so many minutes is unloaded until somebody does; 0 keeps it. */
  modelIdleMinutes: z.int().min(0).max(10_080).default(0),
  /** Compute threads; 0 uses every physical core. */
  nThreads: z.int().min(0).max(256).default(0),
  /** Positions of context; 0 uses what the model was trained for. */
  nCtx: z.int().min(0).max(1_048_576).default(0),
  /**
   * How the context's keys and values are kept; docs/kv-cache.md has what each costs. "auto" takes what each model's
   * check found, and "exact" before there was one.
   */
  kvPreset: z.enum(['auto', 'exact', 'safe', 'compact', 'max']).default('auto'),
});

export type Settings = z.infer<typeof settingsSchema>;

const { shape } = settingsSchema;
/** A change of some settings. Without defaults: what a patch does not name stays as it is. */
export const settingsPatchSchema = z
  .object({
    theme: shape.theme.unwrap(),
    zoomPercent: shape.zoomPercent.unwrap(),
    editorFontSize: shape.editorFontSize.unwrap(),
    inlineCompletion: shape.inlineCompletion.unwrap(),
    nextEdit: shape.nextEdit.unwrap(),
    quietNotes: shape.quietNotes.unwrap(),
    formatOnSave: shape.formatOnSave.unwrap(),
    keys: shape.keys.unwrap(),
    hasSeenFirstSteps: shape.hasSeenFirstSteps.unwrap(),
    isNetworkOff: shape.isNetworkOff.unwrap(),
    systemPrompt: shape.systemPrompt.unwrap(),
    sampler: shape.sampler.unwrap(),
    modelPath: shape.modelPath.unwrap(),
    modelFolder: shape.modelFolder.unwrap(),
    hubUrl: shape.hubUrl.unwrap(),
    downloadLimitKiB: shape.downloadLimitKiB.unwrap(),
    modelMemoryMiB: shape.modelMemoryMiB.unwrap(),
    modelIdleMinutes: shape.modelIdleMinutes.unwrap(),
    nThreads: shape.nThreads.unwrap(),
    nCtx: shape.nCtx.unwrap(),
    kvPreset: shape.kvPreset.unwrap(),
  } satisfies Record<keyof Settings, z.ZodType>)
  .partial();
export type SettingsPatch = z.infer<typeof settingsPatchSchema>;
