// A native addon without a model. The test holds every load and every request in its hands.
import { EventEmitter, once } from 'node:events';
import type {
  NativeAddon,
  NativeCacheFile,
  NativeDevice,
  NativeDraftStats,
  NativeEngine,
  NativeErrorCode,
  NativeExpertCacheStats,
  NativeGenerateRequest,
  NativeGenerateStats,
  NativeLoadOptions,
  NativeModel,
  NativeModelInfo,
  NativeSink,
  NativeStopReason,
} from '../native.d.ts';

export function nativeError(code: NativeErrorCode, message = `${code}!`): Error & { code: NativeErrorCode } {
  return Object.assign(new Error(message), { code });
}

export const bos = 1;
/** A special token's id is this plus its place in the list; any other character is its own code unit. */
const firstSpecial = 0x20000;

/** One token per character, except that `specials` are one token each where they are parsed. */
export function fakeTokenizer(specials: readonly string[] = ['<s>', '</s>'], info: Partial<NativeModelInfo> = {}) {
  const tokenize: NativeModel['tokenize'] = function (
    this: unknown,
    text,
    { addBos = true, parseSpecial = false } = {},
  ) {
    // As a method of the addon does that was taken off its object.
    if (this === undefined) throw new TypeError('Illegal invocation');
    const tokens = addBos ? [bos] : [];
    for (let at = 0; at < text.length; ) {
      const special = parseSpecial ? specials.findIndex((name) => text.startsWith(name, at)) : -1;
      tokens.push(special < 0 ? text.charCodeAt(at) : firstSpecial + special);
      at += special < 0 ? 1 : (specials[special]?.length ?? 1);
    }
    return Int32Array.from(tokens);
  };
  /** The tokens as text again, control tokens in double brackets. */
  const show = (tokens: Int32Array): string =>
    [...tokens]
      .map((token) =>
        token === bos
          ? '[[BOS]]'
          : token >= firstSpecial
            ? `[[${specials[token - firstSpecial]}]]`
            : String.fromCharCode(token),
      )
      .join('');
  return { info: { ...modelInfo, ...info }, tokenize, show };
}

const modelInfo: NativeModelInfo = {
  path: '/models/fake.gguf',
  name: 'Fake',
  architecture: 'llama',
  fileType: 'IQ2_XXS',
  fileBytes: 1000,
  weightBytes: 900,
  nParams: 10,
  nCtxTrain: 2048,
  nVocab: 32000,
  nLayer: 2,
  nEmbd: 8,
  nHead: 2,
  nHeadKv: 1,
  nExpert: 0,
  nExpertUsed: 0,
  kvBytesPerToken: 64,
  chatTemplate: '',
  bosText: '<s>',
  eosText: '</s>',
  hasFim: false,
  fim: { prefix: -1, suffix: -1, middle: -1, repository: -1, fileSeparator: -1 },
  backend: 'cpu',
  shares: [{ device: 'cpu', firstLayer: 0, nLayer: 2, weightBytes: 900 }],
};

const noDrafts: NativeDraftStats = {
  grammar: { nDrafted: 0, nAccepted: 0 },
  edit: { nDrafted: 0, nAccepted: 0 },
  suffix: { nDrafted: 0, nAccepted: 0 },
  model: { nDrafted: 0, nAccepted: 0 },
  mtp: { nDrafted: 0, nAccepted: 0 },
};

export const stats: NativeGenerateStats = {
  nPrompt: 5,
  nReused: 0,
  nDecoded: 2,
  nCtx: 2048,
  queueMs: 0,
  prefillMs: 1,
  decodeMs: 1,
  ttftMs: 1,
  nPasses: 1,
  nParked: 0,
  drafts: noDrafts,
  plainTokenMs: 1,
  logProbs: new Float32Array(),
};

const noExperts: NativeExpertCacheStats = {
  nHits: 0,
  nMisses: 0,
  nEvictions: 0,
  residentBytes: 0,
  totalBytes: 0,
  budgetBytes: 0,
  hitRate: 1,
};

export interface FakeRequest {
  request: NativeGenerateRequest;
  sink: NativeSink;
  isCancelled: boolean;
  done(reason: NativeStopReason, error?: Error & { code: NativeErrorCode }, more?: Partial<NativeGenerateStats>): void;
}

/** Requests run when the test says so; `cancel` ends one as the real engine does. */
export class FakeEngine implements NativeEngine {
  readonly requests: FakeRequest[] = [];
  /** Thrown by the next `submit`. */
  refusal: Error | null = null;
  isDisposed = false;
  passMs = new Float64Array(64);
  readonly #events = new EventEmitter();

  submit(request: NativeGenerateRequest, sink: NativeSink): number {
    if (this.refusal) throw this.refusal;
    let isDone = false;
    const submitted: FakeRequest = {
      request,
      sink,
      isCancelled: false,
      done: (reason, error, more) => {
        if (isDone) return;
        isDone = true;
        sink.onDone(reason, { ...stats, ...more }, error);
      },
    };
    this.requests.push(submitted);
    this.#events.emit('submitted');
    return this.requests.length - 1;
  }

  cancel(id: number): void {
    const request = this.requests[id];
    if (!request) return;
    request.isCancelled = true;
    request.done('cancelled');
  }

  dispose(): void {
    this.isDisposed = true;
    for (const i of this.requests.keys()) this.cancel(i);
  }

  saveCache = (): Promise<NativeCacheFile> => Promise.resolve({ nTokens: 0, nBytes: 0 });
  restoreCache = (): Promise<NativeCacheFile> => Promise.reject(nativeError('file_not_found'));
  /** Files whose contexts were forgotten. */
  readonly forgotten: string[] = [];
  forgetCache = (path: string): Promise<NativeCacheFile> => {
    this.forgotten.push(path);
    return Promise.resolve({ nTokens: 0, nBytes: 0 });
  };

  kvBytesTotal = 0;
  headKvBytes = 0;
  /** What requests have made of it. */
  used = { kvBytesUsed: 0, nPrompt: 0 };

  stats() {
    const cache = {
      ...this.used,
      kvBytesTotal: this.kvBytesTotal,
      kvBytesSpare: 0,
      headKvBytes: this.headKvBytes,
      nKvPages: 0,
      nKvTokens: 0,
      nReused: 0,
    };
    const decoded = {
      nDecoded: 0,
      nPasses: 0,
      decodeMs: 0,
      plainTokenMs: 0,
      pauseMs: 0,
      drafts: noDrafts,
      passMs: this.passMs,
    };
    return { nActive: 0, nWaiting: 0, ...decoded, ...cache, experts: noExperts };
  }

  /** The request at an index, as soon as there is one. */
  async submitted(index = 0): Promise<FakeRequest> {
    for (;;) {
      const request = this.requests[index];
      if (request) return request;
      await once(this.#events, 'submitted');
    }
  }
}

export interface FakeLoad {
  path: string;
  options: NativeLoadOptions;
  isCancelled: boolean;
  /** Its weights were freed. */
  isDisposed: boolean;
  /** @param info what differs from the usual model; `engineError` makes `createEngine` fail */
  succeed(info?: Partial<NativeModelInfo>, engineError?: Error): FakeEngine;
  fail(error: Error): void;
}

export class FakeAddon implements NativeAddon {
  readonly loads: FakeLoad[] = [];
  devices: NativeDevice[] = [
    { id: 'cpu', name: 'the processor', totalBytes: 2 ** 34, freeBytes: 2 ** 33, sharesMemory: false, sensors: null },
  ];
  measureWeightSpeed = (type: string): Promise<number> =>
    type === 'i64' ? Promise.reject(nativeError('model_unsupported')) : Promise.resolve(1e9);
  measureLayerSpeed = () => Promise.resolve({ secondsPerLayer: 1e-5, kvBytesPerSecond: 2e9 });
  listDevices = (): Promise<NativeDevice[]> => Promise.resolve(this.devices);
  /** What any two models are to each other. */
  compatibility: ReturnType<NativeModel['draftCompatibility']> = { kind: 'same_tokens', reason: '' };
  checkKv: NativeModel['checkKv'] = () => ({
    promise: Promise.resolve({ calibration: 'none', results: [] }),
    cancel: () => {},
  });
  /** Thrown by `createEngine` with a draft model. */
  draftRefusal: Error | null = null;
  /** What the engine was created with, last. */
  engineOptions: Parameters<NativeModel['createEngine']>[0];

  loadModel(path: string, options: NativeLoadOptions = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<NativeModel>();
    const load: FakeLoad = {
      path,
      options,
      isCancelled: false,
      isDisposed: false,
      succeed: (info = {}, engineError) => {
        const engine = new FakeEngine();
        const { tokenize, show, info: whole } = fakeTokenizer(['<s>', '</s>'], { path, ...info });
        resolve({
          info: whole,
          tokenize,
          detokenize: show,
          embed: async (tokens) => Float32Array.of(tokens.length, 0),
          expertUsage: () => [],
          dispose: () => {
            load.isDisposed = true;
          },
          draftCompatibility: () => this.compatibility,
          checkKv: (...args) => this.checkKv(...args),
          createEngine: (options) => {
            if (engineError) throw engineError;
            if (this.draftRefusal && options?.draftModel) throw this.draftRefusal;
            this.engineOptions = options;
            return engine;
          },
        });
        return engine;
      },
      fail: reject,
    };
    this.loads.push(load);
    const cancel = () => {
      load.isCancelled = true;
      reject(nativeError('cancelled'));
    };
    return { promise, cancel };
  }

  checkGrammar() {}

  get lastLoad(): FakeLoad {
    const load = this.loads.at(-1);
    if (!load) throw new Error('Nothing was loaded.');
    return load;
  }
}
