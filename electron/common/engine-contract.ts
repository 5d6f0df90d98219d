// What the engine process serves: to the renderer (`engineContract`) and to main (`engineControlContract`).
// Cancellation is the call's AbortSignal: it reaches the native decode loop and takes effect before the next token.
import { eventIterator } from '@orpc/contract';
import { z } from 'zod';
import { errorInfoSchema, procedure } from './errors.ts';
import { kvCheckSchema } from './kv-check.ts';
import {
  assignmentSchema,
  benchmarkSchema,
  deviceSchema,
  draftStatsSchema,
  engineEventSchema,
  measuredSpeedsSchema,
  modelIdSchema,
  modelSpecSchema,
  selfTestSchema,
} from './role-contract.ts';
import { samplerSettingsSchema } from './settings.ts';

/** What reaches the model when a conversation holds it. Found out by rendering, not by reading the template. */
export const chatFeaturesSchema = z.object({
  /** A system message has a role of its own; otherwise its text leads the first question. */
  systemRole: z.boolean(),
  /** Definitions of tools. */
  tools: z.boolean(),
  /** Calls of tools in earlier turns, and their results. */
  toolCalls: z.boolean(),
  /** Several calls in one turn. */
  parallelToolCalls: z.boolean(),
  /** Reasoning of earlier turns, at least while a call of theirs is worked on. */
  reasoning: z.boolean(),
  /** Whether `thinking` of a request makes a difference. */
  thinkingSwitch: z.boolean(),
});
export type ChatFeatures = z.infer<typeof chatFeaturesSchema>;

export const modelInfoSchema = z.object({
  path: z.string(),
  name: z.string(),
  architecture: z.string(),
  fileType: z.string(),
  fileBytes: z.number(),
  weightBytes: z.number(),
  nParams: z.number(),
  nCtxTrain: z.int(),
  /** Positions a request may use: the setting, or what the model was trained for. */
  nCtx: z.int(),
  nVocab: z.int(),
  nLayer: z.int(),
  kvBytesPerToken: z.number(),
  hasFim: z.boolean(),
  hasChatTemplate: z.boolean(),
  /** What the chat template can say; absent while it is not known. */
  chatFeatures: chatFeaturesSchema.optional(),
  backend: z.string(),
  loadMs: z.number(),
});
export type ModelInfo = z.infer<typeof modelInfoSchema>;

export const engineStatusSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('idle') }),
  z.object({
    state: z.literal('loading'),
    id: modelIdSchema,
    modelPath: z.string(),
    progress: z.number().min(0).max(1),
  }),
  /** Its load was given up on demand. The next question loads it. */
  z.object({ state: z.literal('stopped'), modelPath: z.string() }),
  z.object({ state: z.literal('ready'), model: modelInfoSchema }),
  z.object({ state: z.literal('failed'), modelPath: z.string(), error: errorInfoSchema }),
]);
export type EngineStatus = z.infer<typeof engineStatusSchema>;

/** What the window has to know of the model that completes; null while there is none. */
export const completionModelSchema = z.object({
  model: z.object({ id: modelIdSchema, hasFim: z.boolean() }).nullable(),
});
export type CompletionModel = z.infer<typeof completionModelSchema>['model'];

export const generateStatsSchema = z.object({
  nPrompt: z.int(),
  nReused: z.int(),
  nDecoded: z.int(),
  nCtx: z.int(),
  queueMs: z.number(),
  prefillMs: z.number(),
  decodeMs: z.number(),
  ttftMs: z.number(),
  /** Absent in replies that were stored before there were drafts. */
  nPasses: z.int().optional(),
  nParked: z.int().optional(),
  drafts: draftStatsSchema.optional(),
  /** What one token takes without a draft; 0 if that is not known. */
  plainTokenMs: z.number().optional(),
});
export type GenerateStats = z.infer<typeof generateStatsSchema>;

export const stopReasonSchema = z.enum([
  'end_of_text',
  'stop_string',
  'length',
  'context_full',
  'cancelled',
  'error',
  'deadline',
]);
export type StopReason = z.infer<typeof stopReasonSchema>;

export const generateEventSchema = z.discriminatedUnion('type', [
  /** The model is still being loaded; the request waits for it. */
  z.object({ type: z.literal('loading'), progress: z.number().min(0).max(1) }),
  /** The oldest messages were left out so that the conversation fits into the context. */
  z.object({ type: z.literal('shortened'), nDropped: z.int() }),
  z.object({ type: z.literal('prefill'), nDone: z.int(), nTotal: z.int() }),
  /** Whole characters, coalesced to at most one event per frame. */
  z.object({ type: z.literal('text'), text: z.string(), nDecoded: z.int(), tokensPerSecond: z.number() }),
  z.object({ type: z.literal('done'), reason: stopReasonSchema, stats: generateStatsSchema }),
]);
export type GenerateEvent = z.infer<typeof generateEventSchema>;

/** Nine letters and digits suit every template; some refuse anything else. */
const toolCallIdSchema = z.string().regex(/^[\w.:-]{1,128}$/);
const toolNameSchema = z.string().regex(/^[\w.-]{1,128}$/);
const jsonObjectSchema = z.record(z.string(), z.json());

export const toolCallSchema = z.object({ id: toolCallIdSchema, name: toolNameSchema, arguments: jsonObjectSchema });
export type ToolCall = z.infer<typeof toolCallSchema>;

/** A function that the model may call; `parameters` is a JSON schema. */
export const toolDefinitionSchema = z.object({
  name: toolNameSchema,
  description: z.string().max(100_000),
  parameters: jsonObjectSchema,
});
export type ToolDefinition = z.infer<typeof toolDefinitionSchema>;

export const chatMessageSchema = z.object({
  /** `tool` holds the result of a call. */
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().max(4_000_000),
  /** Of an assistant: what it thought before it answered. */
  reasoning: z.string().max(4_000_000).optional(),
  /** Of an assistant: what it called, beside or instead of an answer. */
  toolCalls: z.array(toolCallSchema).max(1000).optional(),
  /** Of a tool: the call whose result this is. */
  toolCallId: toolCallIdSchema.optional(),
});
export type ChatMessage = z.infer<typeof chatMessageSchema>;

/** What the chat template is told beside the messages. */
const chatOptions = {
  tools: z.array(toolDefinitionSchema).max(1000).optional(),
  /** Whether the model should think first, where its template knows such a switch; absent leaves it to the template. */
  thinking: z.boolean().optional(),
};
export const chatOptionsSchema = z.object(chatOptions);
export type ChatOptions = z.infer<typeof chatOptionsSchema>;

/** Texts from which the engine guesses ahead. They change how long a reply takes and nothing else. */
const draftTexts = {
  /** The text that the reply is expected to repeat with changes: the file or selection that is to be rewritten. */
  original: z.string().max(1_000_000).optional(),
  /** Texts that the reply may quote, such as open files; the most likely first. */
  texts: z.array(z.string().max(1_000_000)).max(64).optional(),
};

export const chatRequestSchema = z.object({
  messages: z.array(chatMessageSchema).min(1).max(10_000),
  ...chatOptions,
  ...draftTexts,
  sampler: samplerSettingsSchema,
  /** Absent: a new random one per reply. */
  seed: z.int().min(0).optional(),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

export const completeRequestSchema = z.object({
  /** Path in the workspace and Monaco's language id; untrusted text, used as context only. */
  path: z.string().max(4096),
  languageId: z.string().max(64),
  /** Text before and after the cursor; the engine keeps what its budget allows, nearest first. */
  prefix: z.string().max(1_000_000),
  suffix: z.string().max(1_000_000),
  /** Name of the open folder; empty without one. */
  repository: z.string().max(255).default(''),
  /** Parts of other files that the user saw or that this one imports; what changes least first. */
  files: z
    .array(z.object({ path: z.string().max(4096), text: z.string().max(20_000) }))
    .max(32)
    .default([]),
  /** A single line ends at the first newline; a block may hold several lines. */
  mode: z.enum(['line', 'block']),
  maxTokens: z.int().min(1).max(512),
  texts: draftTexts.texts,
  /** Milliseconds after which the suggestion ends with what there is of it. */
  deadlineMs: z.int().min(1).max(60_000).optional(),
  /** Nobody waits: the prompt is only brought into the KV cache, after everything else that runs. */
  isWarmUp: z.boolean().default(false),
});
export type CompleteRequest = z.infer<typeof completeRequestSchema>;

export const completeResultSchema = z.object({
  text: z.string(),
  reason: stopReasonSchema,
  /** Whether the suffix was used: false for a model without fill-in-the-middle tokens. */
  usedSuffix: z.boolean(),
  /** How sure the model was of the text, 0 to 1: the mean probability of its tokens; null if there are none. */
  confidence: z.number().min(0).max(1).nullable(),
  stats: generateStatsSchema,
});
export type CompleteResult = z.infer<typeof completeResultSchema>;

export const engineContract = {
  /** The chat's model: the current status at once, then every change. */
  status: procedure.output(eventIterator(engineStatusSchema)),
  /** The model that `complete` asks now, of its own role or the chat's; then every other one. */
  completionModel: procedure.output(eventIterator(completionModelSchema)),
  /** What is in memory, at once and after every change; and what happened to it that nobody asked for. */
  events: procedure.output(eventIterator(engineEventSchema)),
  /** Frees a model's memory, or stops its load; the next request loads it again. @throws ENGINE_NOT_READY while it answers */
  unload: procedure.input(z.object({ id: modelIdSchema })).output(z.object({})),
  /** A pinned model is not unloaded for another, nor for being idle. */
  pin: procedure.input(z.object({ id: modelIdSchema, isPinned: z.boolean() })).output(z.object({})),
  /** A chat reply. Loads the model if its load was stopped. Throws before the first event if it cannot start; ends with `done`. */
  chat: procedure.input(chatRequestSchema).output(eventIterator(generateEventSchema)),
  /** An inline completion; runs before chat. */
  complete: procedure.input(completeRequestSchema).output(completeResultSchema),
  /**
   * What the model of the role "embedding" makes of each text, as directions of length 1; a text that is longer than its
   * context is cut. @throws NOT_FOUND if no model has the role
   */
  embed: procedure
    .input(z.object({ texts: z.array(z.string().max(100_000)).min(1).max(64) }))
    .output(z.object({ modelId: modelIdSchema, vectors: z.array(z.array(z.number())) })),
  /** Tokens of the rendered conversation, for the context meter. */
  countTokens: procedure
    .input(z.object({ messages: z.array(chatMessageSchema).max(10_000), ...chatOptions }))
    .output(z.object({ nTokens: z.int(), nCtx: z.int() })),
};

export const engineControlContract = {
  /**
   * Gives the roles to these models. Progress and failure show in `status`; resolves when the chat's model is ready or
   * failed.
   */
  assign: procedure.input(assignmentSchema).output(engineStatusSchema),
  /** Tries out what a model can do; one that is in no role is loaded for it. @throws why it cannot be loaded */
  selfTest: procedure.input(modelSpecSchema).output(selfTestSchema),
  /** Takes two minutes at most. @throws why it cannot be loaded */
  benchmark: procedure.input(modelSpecSchema).output(benchmarkSchema),
  /** Takes a second, and about one more per type; without those that have no kernel. @throws ENGINE_NOT_READY while it computes */
  measureSpeeds: procedure
    .input(z.object({ types: z.array(z.string().max(20)).max(40), device: z.string().max(40), nThreads: z.int() }))
    .output(measuredSpeedsSchema),
  /** GPUs that are there; those that cannot be used now say why. */
  gpus: procedure.output(z.array(deviceSchema)),
  /** Resolves when nobody has asked for anything in a minute. */
  pause: procedure.output(z.object({})),
  /**
   * Finds the fewest bits for keys and values that change little; a minute at most. One that gives way ends with null as
   * soon as something else is asked for. @throws why the model cannot be loaded
   */
  checkKv: procedure.input(z.object({ spec: modelSpecSchema, givesWay: z.boolean() })).output(kvCheckSchema.nullable()),
  /** What models have read and no reply needs now, in memory and in their files. */
  forget: procedure.output(z.object({})),
};
