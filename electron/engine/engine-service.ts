// The model that is loaded and what can be asked of it, as the engine process serves it.

import { freemem } from 'node:os';
import { implement } from '@orpc/server';
import { appError } from '../common/app-error.ts';
import {
  type ChatRequest,
  type CompleteRequest,
  type CompleteResult,
  type CompletionModel,
  type EngineStatus,
  engineContract,
  engineControlContract,
  type GenerateEvent,
} from '../common/engine-contract.ts';
import { EventStream } from '../common/event-stream.ts';
import type { KvCheck } from '../common/kv-check.ts';
import {
  type Assignment,
  type Benchmark,
  type EngineEvent,
  type MeasuredSpeeds,
  type ModelRole,
  type ModelSpec,
  modelRoles,
  type SelfTest,
} from '../common/role-contract.ts';
import { fromNativeError } from './addon.ts';
import { buildChatPrompt, tokenizeChat } from './chat-prompt.ts';
import { complete } from './completion.ts';
import { defined, generate } from './generation.ts';
import { checkKv } from './kv-check.ts';
import type { Loaded } from './loaded-model.ts';
import { ModelPool } from './model-pool.ts';
import type { NativeAddon, NativeError } from './native.d.ts';
import { PassCosts } from './pass-costs.ts';
import { benchmark, selfTest } from './self-test.ts';

/** Positions kept free for a reply, as a part of the context, however many the user would like. */
const replyShare = 1 / 4;
/** How often what is in memory is looked at, for those who watch, and for models that nobody uses. */
const lookMs = 1000;

/** After so long without a question or a key there is time for what nobody waits for. */
const pauseMs = 60_000;

/** Nobody waits for an engine that was not asked for so long: time to write down what it has read. */
const saveAfterMs = 5000;

interface EngineServiceOptions {
  /** What the system could give now. */
  freeBytes?: () => number;
  /** Hears why a model could not be loaded, which is a status for everybody else. */
  onLoadFailed?: (error: unknown) => void;
}

export class EngineService {
  readonly #statusChanges = new EventStream<EngineStatus>();
  readonly #completionModels = new EventStream<{ model: CompletionModel }>();
  readonly #events = new EventStream<EngineEvent>();
  readonly #addon: NativeAddon;
  readonly #pool: ModelPool;
  readonly #costs = new PassCosts();
  #status: EngineStatus = { state: 'idle' };
  #completionModel: CompletionModel = null;
  #roles: Partial<Record<ModelRole, ModelSpec | null>> = {};
  #idleMs = 0;
  #shown = '';
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(addon: NativeAddon, { freeBytes = availableBytes, onLoadFailed = () => {} }: EngineServiceOptions = {}) {
    this.#addon = addon;
    this.#pool = new ModelPool({
      addon,
      costs: this.#costs,
      freeBytes,
      nowMs: () => Date.now(),
      onChange: () => this.#poolChanged(),
      onLoadFailed,
      onNotice: (message) => this.#events.push({ type: 'notice', message }),
    });
  }

  /** What the renderer may call. */
  router() {
    const os = implement(engineContract);
    return os.router({
      status: os.status.handler(({ signal }) => this.#statusChanges.subscribe(signal, [this.#status])),
      completionModel: os.completionModel.handler(({ signal }) =>
        this.#completionModels.subscribe(signal, [{ model: this.#completionModel }]),
      ),
      events: os.events.handler(({ signal }) => {
        this.#look();
        return this.#events.subscribe(signal, [this.#models()]);
      }),
      unload: os.unload.handler(({ input }) => {
        this.#pool.unload(input.id);
        return {};
      }),
      pin: os.pin.handler(({ input }) => {
        this.#pool.pin(input.id, input.isPinned);
        return {};
      }),
      chat: os.chat.handler(({ input, signal }) => this.chat(input, signal)),
      complete: os.complete.handler(({ input, signal }) => this.complete(input, signal)),
      embed: os.embed.handler(({ input, signal }) => this.embed(input.texts, signal)),
      countTokens: os.countTokens.handler(({ input: { messages, ...options } }) =>
        this.#with('chat', async ({ model, chat, nCtx }) => ({
          nTokens: tokenizeChat(model, chat.render, messages, options).tokens.length,
          nCtx,
        })),
      ),
    });
  }

  /** What only main may call. */
  controlRouter() {
    const os = implement(engineControlContract);
    return os.router({
      assign: os.assign.handler(({ input }) => this.assign(input)),
      selfTest: os.selfTest.handler(({ input, signal }) => this.selfTest(input, signal)),
      benchmark: os.benchmark.handler(({ input, signal }) => this.benchmark(input, signal)),
      measureSpeeds: os.measureSpeeds.handler(({ input, signal }) => this.measureSpeeds(input, signal)),
      gpus: os.gpus.handler(() => this.#pool.memory.gpus()),
      pause: os.pause.handler(async ({ signal }) => {
        await this.#pool.quiet(pauseMs, signal ?? new AbortController().signal);
        return {};
      }),
      checkKv: os.checkKv.handler(({ input: { spec, givesWay }, signal }) => this.checkKv(spec, givesWay, signal)),
      forget: os.forget.handler(async () => {
        await this.#pool.forget();
        return {};
      }),
    });
  }

  /**
   * Gives the roles to other models. What runs on a model that has none any more runs to its end there.
   * @returns the chat's status when its model is ready or failed; failure is a status, not an exception
   */
  async assign({ roles, limitBytes, idleMs, costFile, again = false }: Assignment): Promise<EngineStatus> {
    this.#roles = roles;
    this.#idleMs = idleMs;
    this.#pool.memory.limitBytes = limitBytes;
    if (costFile !== undefined) this.#costs.open(costFile);
    const specs = modelRoles.flatMap((role) => (role === 'embedding' || role === 'draft' ? [] : (roles[role] ?? [])));
    const wanted = new Map(specs.map((spec) => [spec.id, spec]));
    this.#pool.keep(new Set([...wanted.keys(), ...(roles.embedding ? [roles.embedding.id] : [])]));
    const loads = [...wanted.values()].map((spec) => this.#pool.load(spec, again).catch(() => {}));
    this.#poolChanged();
    this.#look();
    await loads[0];
    return this.#status;
  }

  /** A model that was failing gets another chance. */
  async selfTest(spec: ModelSpec, signal?: AbortSignal): Promise<SelfTest> {
    return this.#onModel(spec, (loaded) => selfTest(loaded, signal));
  }

  async benchmark(spec: ModelSpec, signal?: AbortSignal): Promise<Benchmark> {
    return this.#onModel(spec, (loaded) => benchmark(loaded, Date.now(), signal));
  }

  /** @returns null if it gave way to something that was asked for meanwhile */
  checkKv(spec: ModelSpec, givesWay: boolean, signal?: AbortSignal): Promise<KvCheck | null> {
    return this.#onModel(spec, async (loaded) => {
      const way = new AbortController();
      const stopListening = givesWay ? this.#pool.onUse(() => way.abort()) : () => {};
      try {
        return await checkKv(loaded, Date.now(), signal ? AbortSignal.any([signal, way.signal]) : way.signal);
      } catch (error) {
        if (way.signal.aborted && !signal?.aborted) return null;
        throw error;
      } finally {
        stopListening();
      }
    });
  }

  /** One type after the other, and only while nothing else computes: both would get wrong figures, and be slow. */
  async measureSpeeds(
    { types, ...options }: { types: readonly string[]; device: string; nThreads: number },
    signal?: AbortSignal,
  ): Promise<MeasuredSpeeds> {
    const throwIfBusy = () => {
      signal?.throwIfAborted();
      if (!this.#pool.isBusy) return;
      throw appError('ENGINE_NOT_READY', 'The engine is computing.', { hint: 'Measure again when it is done.' });
    };
    const weights: MeasuredSpeeds['weights'] = {};
    for (const type of types) {
      throwIfBusy();
      try {
        weights[type] = await this.#addon.measureWeightSpeed(type, options);
      } catch (error) {
        const { code } = error as Partial<NativeError>;
        if (code !== 'model_unsupported' && code !== 'invalid_argument') throw fromNativeError(error);
      }
    }
    throwIfBusy();
    try {
      return { weights, layer: await this.#addon.measureLayerSpeed(options) };
    } catch (error) {
      throw fromNativeError(error);
    }
  }

  /** While its model is being loaded a question waits, until that ends in any way or somebody takes it back. */
  async chat(
    request: ChatRequest,
    signal: AbortSignal | undefined,
  ): Promise<AsyncGenerator<GenerateEvent, void, void>> {
    const { chat: spec } = this.#roles;
    // Who asks wants the model after all; a suggestion comes with every key, and nobody asked for it.
    if (this.#status.state === 'stopped' && spec) this.#pool.load(spec).catch(() => {});
    return this.#status.state === 'loading' ? this.#chatOnceLoaded(request, signal) : this.#chatNow(request, signal);
  }

  async *#chatOnceLoaded(
    request: ChatRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerateEvent, void, void> {
    for await (const _ of this.#statusChanges.subscribe(signal, [this.#status])) {
      // As it is now: what was said meanwhile may be about a model that another one took the place of.
      const status = this.#status;
      if (status.state !== 'loading') break;
      yield { type: 'loading', progress: status.progress };
    }
    signal?.throwIfAborted();
    yield* await this.#chatNow(request, signal);
  }

  async #chatNow(
    request: ChatRequest,
    signal: AbortSignal | undefined,
  ): Promise<AsyncGenerator<GenerateEvent, void, void>> {
    const { loaded, release } = await this.#use('chat');
    try {
      return released(this.#startChat(loaded, request, signal), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  #startChat(
    { model, engine, chat, nCtx }: Loaded,
    request: ChatRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const { messages, tools, thinking, original, texts } = request;
    const { maxTokens, ...sampler } = request.sampler;
    const nReply = Math.min(maxTokens, Math.floor(nCtx * replyShare));
    const { tokens, stop, nDropped } = buildChatPrompt(model, chat.render, messages, {
      nCtx,
      nReply,
      tools,
      thinking,
    });
    const seed = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const nPredict = Math.min(maxTokens, nCtx - tokens.length);
    return chatEvents(
      nDropped,
      generate(
        engine,
        { tokens, stop, nPredict, ...sampler, seed, priority: 'chat', ...defined({ original, texts }) },
        signal,
      ),
    );
  }

  complete(request: CompleteRequest, signal?: AbortSignal): Promise<CompleteResult> {
    return this.#with('inline', (loaded) => complete(loaded, request, signal));
  }

  /** Its model is loaded by the first text, and leaves with the role. */
  async embed(texts: readonly string[], signal?: AbortSignal) {
    const spec = this.#roles.embedding;
    if (!spec) {
      throw appError('NOT_FOUND', 'No model has the role "Search by meaning".', {
        hint: 'Give it to one in the view of models; one that was made for embeddings finds most.',
      });
    }
    const other = modelRoles.find((role) => role !== 'embedding' && this.#roles[role]?.id === spec.id);
    await this.#pool.load((other && this.#roles[other]) ?? spec);
    const { loaded, release } = await this.#pool.use(spec.id);
    try {
      const vectors: number[][] = [];
      for (const text of texts) {
        signal?.throwIfAborted();
        vectors.push([...(await embedText(loaded, text))]);
      }
      return { modelId: spec.id, vectors };
    } finally {
      release();
    }
  }

  /** The model of a role; without one of its own, or while that one cannot be had, the chat's. */
  #modelOf(role: 'chat' | 'inline'): ModelSpec | null {
    const own = role === 'inline' ? this.#roles.inline : null;
    const state = own ? this.#pool.get(own.id)?.state : undefined;
    if (own && (state === 'ready' || state === 'unloaded')) return own;
    return (this.#status.state === 'ready' && this.#roles.chat) || null;
  }

  #use(role: 'chat' | 'inline'): ReturnType<ModelPool['use']> {
    const model = this.#modelOf(role);
    if (!model) throw notReady(this.#status.state);
    return this.#pool.use(model.id);
  }

  async #with<T>(role: 'chat' | 'inline', body: (loaded: Loaded) => Promise<T>): Promise<T> {
    const { loaded, release } = await this.#use(role);
    try {
      return await body(loaded);
    } finally {
      release();
    }
  }

  /** On a model that need not be in any role; it goes again if it is not. */
  async #onModel<T>(spec: ModelSpec, body: (loaded: Loaded) => Promise<T>): Promise<T> {
    const assigned = Object.values(this.#roles).find((other) => other?.id === spec.id);
    await this.#pool.load(assigned ?? spec);
    const { loaded, release } = await this.#pool.use(spec.id);
    try {
      return await body(loaded);
    } finally {
      release();
      if (!assigned) this.#pool.keep(new Set(Object.values(this.#roles).flatMap((other) => other?.id ?? [])));
    }
  }

  #poolChanged(): void {
    const status = this.#chatStatus();
    if (JSON.stringify(status) !== JSON.stringify(this.#status)) {
      this.#status = status;
      this.#statusChanges.push(status);
    }
    this.#tellCompletionModel();
    this.#show();
  }

  #tellCompletionModel(): void {
    const id = this.#modelOf('inline')?.id ?? '';
    const info = this.#pool.get(id)?.info;
    const model = info ? { id, hasFim: info.hasFim } : null;
    const before = this.#completionModel;
    if (model?.id === before?.id && model?.hasFim === before?.hasFim) return;
    this.#completionModel = model;
    this.#completionModels.push({ model });
  }

  #chatStatus(): EngineStatus {
    const spec = this.#roles.chat;
    const slot = spec && this.#pool.get(spec.id);
    if (!spec || !slot) return { state: 'idle' };
    const { id, modelPath } = spec;
    if (slot.state === 'failed' && slot.error) return { state: 'failed', modelPath, error: slot.error };
    if (slot.state === 'stopped') return { state: 'stopped', modelPath };
    if (slot.state === 'loading') return { state: 'loading', id, modelPath, progress: slot.progress };
    // Unloaded, it comes back with the next request.
    return slot.info ? { state: 'ready', model: slot.info } : { state: 'loading', id, modelPath, progress: 0 };
  }

  #models(): EngineEvent {
    const models = this.#pool.list().map((model) => ({
      ...model,
      roles: modelRoles.filter((role) => this.#roles[role]?.id === model.id),
    }));
    return { type: 'models', models, freeBytes: availableBytes() };
  }

  #show(): void {
    const event = this.#models();
    const text = JSON.stringify(event.type === 'models' ? event.models : event);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#events.push(event);
  }

  /** Once a second while somebody watches, or a model may become idle. */
  #look(): void {
    this.#timer ??= setInterval(() => {
      void this.#pool.saveIdle(saveAfterMs);
      if (this.#idleMs > 0) this.#pool.unloadIdle(this.#idleMs);
      if (this.#events.nReaders > 0) this.#show();
    }, lookMs).unref();
  }
}

function availableBytes(): number {
  return process.availableMemory?.() ?? freemem();
}

/** @throws OUT_OF_MEMORY */
async function embedText({ model, nCtx }: Loaded, text: string): Promise<Float32Array> {
  const tokens = model.tokenize(text, { addEos: true });
  // Cut before its last token, which ends the text where a model wants that.
  const end = tokens.subarray(tokens.length - 1);
  const fitting = tokens.length <= nCtx ? tokens : Int32Array.from([...tokens.subarray(0, nCtx - 1), ...end]);
  try {
    return await model.embed(fitting.length > 0 ? fitting : model.tokenize(' '));
  } catch (error) {
    throw fromNativeError(error);
  }
}

function notReady(state: EngineStatus['state']) {
  const reason = {
    idle: { message: 'No model is loaded.', hint: 'Choose a model.' },
    loading: { message: 'The model is still loading.', hint: 'Try again in a moment.' },
    stopped: { message: 'Loading the model was stopped.', hint: 'Ask again, and it is loaded.' },
    failed: { message: 'The model could not be loaded.', hint: 'Choose another model, or load it again.' },
    ready: { message: 'The model is not ready.', hint: 'Load it again.' },
  }[state];
  return appError('ENGINE_NOT_READY', reason.message, { hint: reason.hint });
}

/**
 * The events, and `release` when they end, however they end. Not a generator: one that was never read would never
 * come to its end.
 */
function released<T>(events: AsyncGenerator<T, void, void>, release: () => void): AsyncGenerator<T, void, void> {
  const ending = async (result: Promise<IteratorResult<T, void>>) => {
    try {
      const next = await result;
      if (next.done) release();
      return next;
    } catch (error) {
      release();
      throw error;
    }
  };
  return {
    next: () => ending(events.next()),
    return: () => ending(events.return()),
    throw: (error: unknown) => ending(events.throw(error)),
    [Symbol.asyncIterator]() {
      return this;
    },
    [Symbol.asyncDispose]: async () => void (await ending(events.return())),
  };
}

async function* chatEvents(nDropped: number, events: AsyncGenerator<GenerateEvent, void, void>) {
  if (nDropped > 0) yield { type: 'shortened', nDropped } satisfies GenerateEvent;
  yield* events;
}
