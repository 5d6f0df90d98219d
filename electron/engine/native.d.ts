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
  kvBytesPerToken: number;
  chatTemplate: string;
  bosText: string;
  eosText: string;
  hasFim: boolean;
  backend: string;
}

export interface NativeLoadOptions {
  /** 0, the default, takes every physical core. */
  nThreads?: number;
  cpuKernels?: 'auto' | 'scalar' | 'avx2' | 'avx512';
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
}

export interface NativeGenerateStats {
  nPrompt: number;
  nReused: number;
  nDecoded: number;
  nCtx: number;
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
  ttftMs: number;
}

export type NativeStopReason = 'end_of_text' | 'stop_string' | 'length' | 'context_full' | 'cancelled' | 'error';

export interface NativeSink {
  onPrefill?: (nDone: number, nTotal: number) => void;
  /** Whole characters; several tokens arrive together if JavaScript is slower than decoding. */
  onText?: (text: string, nDecoded: number) => void;
  /** Exactly once, last. `error` is set if the reason is 'error'. */
  onDone: (reason: NativeStopReason, stats: NativeGenerateStats, error?: NativeError) => void;
}

export interface NativeEngineStats {
  nActive: number;
  kvBytesUsed: number;
  kvBytesTotal: number;
}

export interface NativeEngine {
  /** @returns an id for `cancel`. @throws NativeError invalid_argument, context_full */
  submit(request: NativeGenerateRequest, sink: NativeSink): number;
  /** Takes effect before the next token; `onDone` still comes. Unknown ids are ignored. */
  cancel(requestId: number): void;
  stats(): NativeEngineStats;
  /** Cancels what runs and frees the KV cache now instead of at the next garbage collection. */
  dispose(): void;
}

export interface NativeModel {
  readonly info: NativeModelInfo;
  tokenize(text: string, options?: { addBos?: boolean; parseSpecial?: boolean }): Int32Array;
  detokenize(tokens: Int32Array): string;
  createEngine(options?: { nCtx?: number; kvBytes?: number; nPrefill?: number }): NativeEngine;
}

export interface NativeAddon {
  /** Loads off the JavaScript thread. `cancel` rejects the promise with the code 'cancelled'. */
  loadModel(path: string, options?: NativeLoadOptions): { promise: Promise<NativeModel>; cancel(): void };
}
