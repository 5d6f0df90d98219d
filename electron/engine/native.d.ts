// The native addon outpost_engine.node, as native/binding/ builds it. Errors are `Error`s with a `code`
// (error_code_name in native/core/errors.cpp); wrong arguments are `TypeError`s that name the argument.

export type NativeErrorCode =
  | 'cancelled'
  | 'file_not_found'
  | 'file_unreadable'
  | 'model_invalid'
  | 'model_unsupported'
  | 'context_full'
  | 'out_of_memory'
  | 'invalid_argument'
  | 'device_lost'
  | 'internal';

export interface NativeError extends Error {
  code: NativeErrorCode;
}

export interface NativeModelInfo {
  path: string;
  name: string;
  architecture: string;
  fileType: string;
  fileBytes: number;
  weightBytes: number;
  nParams: number;
  nCtxTrain: number;
  nVocab: number;
  nLayer: number;
  nEmbd: number;
  nHead: number;
  nHeadKv: number;
  /** In a layer; 0 if the model is no mixture of experts. */
  nExpert: number;
  /** Of these, per token. */
  nExpertUsed: number;
  kvBytesPerToken: number;
  chatTemplate: string;
  bosText: string;
  eosText: string;
  hasFim: boolean;
  /** Ids of the tokens for filling in the middle, -1 for those that the vocabulary lacks. */
  fim: NativeFimTokens;
  backend: string;
  /** In the order of the layers: the processor's, if it has some, then the devices'. */
  shares: NativeDeviceShare[];
}

/** What one device has of a model. */
export interface NativeDeviceShare {
  /** "cpu", "cuda:0", "metal:0". */
  device: string;
  /** From 0. */
  firstLayer: number;
  nLayer: number;
  weightBytes: number;
}

export interface NativeFimTokens {
  prefix: number;
  suffix: number;
  middle: number;
  /** Before the name of a repository. */
  repository: number;
  /** Before the path of a file of it. */
  fileSeparator: number;
}

export interface NativeLoadOptions {
  /**
   * "cpu", the default, or "cuda:0", "metal:0": no other device takes its place. Layers go through several in their
   * order.
   */
  device?: string | string[];
  /**
   * How many of the last layers `device` computes, with the output: the processor computes those before. 0: as many as
   * there is room for now; -1, the default: all. Of several devices also a number for each.
   */
  nDeviceLayers?: number | number[];
  /** Positions whose keys and values they are going to hold, of all contexts; 0, the default, guesses. */
  nDevicePositions?: number;
  /** How they are going to be kept; f16 ("exact") by default. */
  deviceKv?: NativeKvPreset;
  /** 0, the default, takes every physical core. */
  nThreads?: number;
  cpuKernels?: 'auto' | 'scalar' | 'avx2' | 'avx2-vnni' | 'avx512' | 'amx' | 'neon' | 'neon-i8mm';
  /** Most memory for the experts of a mixture; 0, the default, decides by what is available. */
  expertCacheBytes?: number;
  /** The same for each GPU; 0, the default, takes all where they have room, otherwise as many as have. */
  deviceExpertBytes?: number;
  /** The fraction done, 0 to 1, never decreasing. */
  onProgress?: (fraction: number) => void;
}

export interface NativeGenerateRequest {
  tokens: Int32Array;
  /** Most tokens to generate. */
  nPredict: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  repeatLastN?: number;
  seed?: number;
  /** Text that ends the reply and is not part of it. */
  stop?: string[];
  /**
   * Text the reply must begin with, at most 256 bytes of UTF-8; it is not reported, its tokens count. Continues the
   * prompt in tokens of the model's choice: what stands before the cursor of a word that is not finished.
   */
  beginWith?: string;
  priority?: 'inline' | 'chat' | 'agent' | 'background';
  /** Drafts change how long a reply takes and nothing else. Default: true. */
  draft?: boolean;
  /** Most drafted tokens in one pass, 0 to 63. */
  nDraftMax?: number;
  /** The text that the reply is expected to repeat with changes. */
  original?: string;
  /** Texts that the reply may quote, the most likely first; the engine remembers them for later requests too. */
  texts?: string[];
  /** GBNF with a rule `root`, or a JSON schema; at most one of the two. */
  grammar?: string;
  jsonSchema?: string;
  /** Milliseconds after which the reply ends with what there is of it; 0, the default: none. */
  deadlineMs?: number;
  /**
   * More than one, at most 8: of the most probable replies the one is said that also makes `followedBy` likely behind it,
   * all at once when it is chosen. Needs temperature 0, and no grammar; takes no drafts. Default: 1.
   */
  candidates?: number;
  /** At most 4,096 bytes of UTF-8, of which the first 24 tokens count; the stop string that ends the reply is part of it. */
  followedBy?: string;
  /** Whether `logProbs` of the statistics is wanted. Default: false. */
  logProbs?: boolean;
}

export type DraftSource = 'grammar' | 'edit' | 'suffix' | 'model' | 'mtp';
export type NativeDraftStats = Record<DraftSource, { nDrafted: number; nAccepted: number }>;

export interface NativeGenerateStats {
  nPrompt: number;
  nReused: number;
  nDecoded: number;
  nCtx: number;
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
  ttftMs: number;
  /** Passes that computed the reply: fewer than tokens where drafts were right. */
  nPasses: number;
  /** Times it had to give its memory to a more urgent request. */
  nParked: number;
  drafts: NativeDraftStats;
  /** What one token takes without a draft; 0 if that is not known. */
  plainTokenMs: number;
  /**
   * Of each token that says more than `beginWith`, the logarithm of its probability among those that were allowed.
   * Empty unless asked for.
   */
  logProbs: Float32Array;
}

export type NativeStopReason =
  | 'end_of_text'
  | 'stop_string'
  | 'length'
  | 'context_full'
  | 'cancelled'
  | 'error'
  | 'deadline';

export interface NativeSink {
  onPrefill?: (nDone: number, nTotal: number) => void;
  /** Whole characters; several tokens arrive together if JavaScript is slower than decoding. */
  onText?: (text: string, nDecoded: number) => void;
  /** Exactly once, last. `error` is set if the reason is 'error'. */
  onDone: (reason: NativeStopReason, stats: NativeGenerateStats, error?: NativeError) => void;
}

/** All 0 but the hit rate for a model without experts. A pass asks once for each expert that a token of it chose. */
export interface NativeExpertCacheStats {
  nHits: number;
  nMisses: number;
  nEvictions: number;
  residentBytes: number;
  /** Of all experts, were they resident. */
  totalBytes: number;
  budgetBytes: number;
  /** Of what passes asked for, what was in memory: 0 to 1. */
  hitRate: number;
}

/** How many tokens each expert of one layer has computed since the model was loaded. */
export interface NativeExpertUsage {
  layer: number;
  nTokens: Float64Array;
}

export interface NativeEngineStats {
  nActive: number;
  /** Of these, without memory for keys and values at the moment. */
  nWaiting: number;
  nDecoded: number;
  nPasses: number;
  decodeMs: number;
  plainTokenMs: number;
  /** That background work waited for a hot device. */
  pauseMs: number;
  drafts: NativeDraftStats;
  /** What passes of 1, 2, … rows take, as measured; 0: not known. For `createEngine` next time. */
  passMs: Float64Array;
  kvBytesUsed: number;
  kvBytesTotal: number;
  /** Beside those used: kept while there is room. */
  kvBytesSpare: number;
  /** Beside the total: of a model's own head for further tokens; 0: it has none. */
  headKvBytes: number;
  nKvPages: number;
  /** Positions whose keys and values are there; those that texts share count once. */
  nKvTokens: number;
  /** Tokens of all prompts so far, and of these, those that were found in the cache. */
  nPrompt: number;
  nReused: number;
  experts: NativeExpertCacheStats;
}

export interface NativeCacheFile {
  nTokens: number;
  nBytes: number;
}

/** What a preset does to a model's predictions, beside f16. */
export interface NativeKvDivergence {
  nTokens: number;
  meanKld: number;
  p99Kld: number;
  flips: number;
  perplexity: number;
  perplexityExact: number;
  /** Per element at 32K positions, all included. */
  bitsLong: number;
}

export interface NativeKvCheck {
  /** That it was made with: the one beside the model, where that fits it; else a new one, or none. */
  calibration: 'kept' | 'made' | 'none';
  /** One per preset. */
  results: NativeKvDivergence[];
}

export type NativeKvPreset = 'exact' | 'safe' | 'compact' | 'max';

export interface NativeEngine {
  /** @returns an id for `cancel`. @throws NativeError invalid_argument, context_full */
  submit(request: NativeGenerateRequest, sink: NativeSink): number;
  /** Takes effect before the next token; `onDone` still comes. Unknown ids are ignored. */
  cancel(requestId: number): void;
  stats(): NativeEngineStats;
  /**
   * Writes the KV cache to a file, which appears when it is whole. @throws (rejects) NativeError file_unreadable, e.g.
   * when the disk is full
   */
  saveCache(path: string): Promise<NativeCacheFile>;
  /**
   * Takes over what there is room for.
   * @throws (rejects) NativeError file_not_found; invalid_argument for a file that is damaged or of another model
   */
  restoreCache(path: string): Promise<NativeCacheFile>;
  /**
   * Forgets what no running request uses, and deletes the file where that was kept, if there is one.
   * @throws (rejects) NativeError file_unreadable if the file stays
   */
  forgetCache(path: string): Promise<NativeCacheFile>;
  /** Cancels what runs and frees the KV cache now instead of at the next garbage collection. */
  dispose(): void;
}

export interface NativeModel {
  readonly info: NativeModelInfo;
  tokenize(text: string, options?: { addBos?: boolean; parseSpecial?: boolean; addEos?: boolean }): Int32Array;
  detokenize(tokens: Int32Array): string;
  /**
   * What the model makes of a text, as a direction of length 1. Requests on the same model wait for it.
   * @throws (rejects) NativeError invalid_argument, context_full, out_of_memory
   */
  embed(tokens: Int32Array): Promise<Float32Array>;
  /** One entry per layer with experts. */
  expertUsage(): NativeExpertUsage[];
  /** Whether `draft` can draft for this model, and what speaks against it in a sentence for the user. */
  draftCompatibility(draft: NativeModel): { kind: 'same_tokens' | 'same_text' | 'none'; reason: string };
  createEngine(options?: {
    nCtx?: number;
    kvBytes?: number;
    nPrefill?: number;
    nSequences?: number;
    /** How keys and values are kept; f16 ("exact") by default. */
    kv?: NativeKvPreset;
    draftModel?: NativeModel;
    passMs?: Float64Array;
  }): NativeEngine;
  /**
   * Measures presets on a text, with the calibration of the packing of keys and values that lies beside the model. Where
   * none fits it, one is made of another text before, if that is not empty, and written beside the model.
   * @throws (rejects) NativeError cancelled, invalid_argument, file_unreadable, model_unsupported
   */
  checkKv(
    calibration: Int32Array,
    tokens: Int32Array,
    nCtx: number,
    presets: NativeKvPreset[],
  ): { promise: Promise<NativeKvCheck>; cancel(): void };
  /** Frees the weights now instead of at the next garbage collection, once no engine uses them. */
  dispose(): void;
}

export interface NativeDevice {
  /** For `loadModel`: "cpu", "cuda:0", "metal:0". */
  id: string;
  name: string;
  totalBytes: number;
  freeBytes: number;
  /** Of a GPU: its memory is the processor's. */
  sharesMemory: boolean;
  /** Now; null for the processor, and where the driver cannot be asked. */
  sensors: NativeDeviceSensors | null;
  /** Of a GPU that is there and cannot be used now: why, as a part of a sentence. Nothing of it is said to be free. */
  unusable?: string;
}

/** Null where a GPU has no such sensor. */
export interface NativeDeviceSensors {
  temperatureC: number | null;
  /** The temperature from which on it slows itself down. */
  slowdownC: number | null;
  powerWatts: number | null;
  powerLimitWatts: number | null;
  clockMhz: number | null;
  memoryClockMhz: number | null;
  /** Part of the last moments in which something was computed, 0 to 1. */
  busy: number | null;
  /** Of its memory, by all programs. */
  usedBytes: number;
}

export interface NativeAddon {
  /** Loads off the JavaScript thread. `cancel` rejects the promise with the code 'cancelled'. */
  loadModel(path: string, options?: NativeLoadOptions): { promise: Promise<NativeModel>; cancel(): void };
  /**
   * Bytes per second of prepared weights of a type that decoding reads on one device; takes a second, and 100 to 200 MB
   * for that time.
   * @throws (rejects) NativeError invalid_argument, model_unsupported, out_of_memory
   */
  measureWeightSpeed(type: string, options?: Pick<NativeLoadOptions, 'device' | 'nThreads'>): Promise<number>;
  /**
   * What a token costs besides its weights; takes half a second, and 150 MB for that time.
   * @throws (rejects) NativeError invalid_argument, out_of_memory
   */
  measureLayerSpeed(options?: Pick<NativeLoadOptions, 'device' | 'nThreads'>): Promise<{
    /** Norms, rotation, sums, and starting every operation. */
    secondsPerLayer: number;
    /** Keys and values in f16 that attention reads. */
    kvBytesPerSecond: number;
  }>;
  /** The processor first, then every GPU, those that cannot be used too. */
  listDevices(): Promise<NativeDevice[]>;
  /** @throws NativeError invalid_argument with line and column, or the path in the schema */
  checkGrammar(text: string, kind: 'gbnf' | 'json_schema'): void;
}
