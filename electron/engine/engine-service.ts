// The model that is loaded and what can be asked of it, as the engine process serves it.

import { totalmem } from 'node:os';
import { basename } from 'node:path';
import { implement } from '@orpc/server';
import { appError } from '../common/app-error.ts';
import {
  type ChatRequest,
  type CompleteRequest,
  type CompleteResult,
  type EngineStatus,
  engineContract,
  engineControlContract,
  type GenerateEvent,
  type ModelInfo,
} from '../common/engine-contract.ts';
import { toErrorInfo } from '../common/error-info.ts';
import { EventStream } from '../common/event-stream.ts';
import { fromNativeError } from './addon.ts';
import { buildChatPrompt, tokenizeChat } from './chat-prompt.ts';
import { type ChatTemplate, createChatTemplate } from './chat-template.ts';
import { complete } from './completion.ts';
import { type FimFormat, fimFormat } from './completion-formats.ts';
import { generate } from './generation.ts';
import type { NativeAddon, NativeEngine, NativeLoadOptions, NativeModel } from './native.d.ts';

export interface LoadRequest {
  modelPath: string;
  /** What to call it; null takes the name in the file. */
  name: string | null;
  nThreads: number;
  nCtx: number;
}

interface Loaded {
  model: NativeModel;
  engine: NativeEngine;
  chat: ChatTemplate;
  fim: FimFormat | null;
  nCtx: number;
}

/** Part of the memory that the KV cache may take where the user set no context length. */
const kvMemoryShare = 1 / 4;
/** Contexts that the KV cache holds: the chat's, and one for inline completion and earlier conversations. */
const nContexts = 2;
/** Positions kept free for a reply, as a part of the context, however many the user would like. */
const replyShare = 1 / 4;
/** `status` says at most this often how far a load is. */
const progressStep = 0.01;

export class EngineService {
  readonly #addon: NativeAddon;
  readonly #statusChanges = new EventStream<EngineStatus>();
  #status: EngineStatus = { state: 'idle' };
  #loaded: Loaded | null = null;
  #cancelLoad: (() => void) | null = null;

  constructor(addon: NativeAddon) {
    this.#addon = addon;
  }

  /** What the renderer may call. */
  router() {
    const os = implement(engineContract);
    return os.router({
      status: os.status.handler(({ signal }) => this.#statusChanges.subscribe(signal, [this.#status])),
      chat: os.chat.handler(({ input, signal }) => this.chat(input, signal)),
      complete: os.complete.handler(({ input, signal }) => this.complete(input, signal)),
      countTokens: os.countTokens.handler(({ input: { messages, ...options } }) => {
        const { model, chat, nCtx } = this.#ready();
        return { nTokens: tokenizeChat(model, chat.render, messages, options).tokens.length, nCtx };
      }),
    });
  }

  /** What only main may call. */
  controlRouter() {
    const os = implement(engineControlContract);
    return os.router({ load: os.load.handler(({ input }) => this.load(input)) });
  }

  /** Replaces the model; a load that still runs is cancelled. Failure is a status, not an exception. */
  async load({ modelPath, name, nThreads, nCtx }: LoadRequest): Promise<EngineStatus> {
    this.#cancelLoad?.();
    this.#loaded?.engine.dispose();
    this.#loaded = null;
    this.#setStatus({ state: 'loading', modelPath, progress: 0 });
    const startMs = performance.now();
    let shown = 0;
    const onProgress: NativeLoadOptions['onProgress'] = (progress) => {
      if (this.#cancelLoad !== cancel || progress < shown + progressStep) return;
      shown = progress;
      this.#setStatus({ state: 'loading', modelPath, progress });
    };
    const { promise, cancel } = startLoading(this.#addon, modelPath, { nThreads, onProgress });
    this.#cancelLoad = cancel;
    try {
      const model = await promise;
      if (this.#cancelLoad !== cancel) return this.#status; // a newer load has taken over
      this.#loaded = prepare(model, nCtx);
      return this.#setStatus({ state: 'ready', model: toModelInfo(this.#loaded, name, performance.now() - startMs) });
    } catch (error) {
      if (this.#cancelLoad !== cancel) return this.#status;
      return this.#setStatus({ state: 'failed', modelPath, error: toErrorInfo(fromNativeError(error)) });
    } finally {
      if (this.#cancelLoad === cancel) this.#cancelLoad = null;
    }
  }

  async chat(
    request: ChatRequest,
    signal: AbortSignal | undefined,
  ): Promise<AsyncGenerator<GenerateEvent, void, void>> {
    const { model, engine, chat, nCtx } = this.#ready();
    const { messages, tools, thinking } = request;
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
      generate(engine, { tokens, stop, nPredict, ...sampler, seed, priority: 'chat' }, signal),
    );
  }

  complete(request: CompleteRequest, signal?: AbortSignal): Promise<CompleteResult> {
    return complete(this.#ready(), request, signal);
  }

  #ready(): Loaded {
    if (this.#loaded) return this.#loaded;
    const reason = {
      idle: { message: 'No model is loaded.', hint: 'Choose a model.' },
      loading: { message: 'The model is still loading.', hint: 'Try again in a moment.' },
      failed: { message: 'The model could not be loaded.', hint: 'Choose another model, or load it again.' },
      ready: { message: 'The model is not ready.', hint: 'Load it again.' },
    }[this.#status.state];
    throw appError('ENGINE_NOT_READY', reason.message, { hint: reason.hint });
  }

  #setStatus(status: EngineStatus): EngineStatus {
    this.#status = status;
    this.#statusChanges.push(status);
    return status;
  }
}

/** Arguments that the addon refuses at once fail like everything that goes wrong later. */
function startLoading(addon: NativeAddon, ...args: Parameters<NativeAddon['loadModel']>) {
  try {
    return addon.loadModel(...args);
  } catch (error) {
    return { promise: Promise.reject(error), cancel: () => {} };
  }
}

async function* chatEvents(nDropped: number, events: AsyncGenerator<GenerateEvent, void, void>) {
  if (nDropped > 0) yield { type: 'shortened', nDropped } satisfies GenerateEvent;
  yield* events;
}

/** @throws what the template or the engine refuses */
function prepare(model: NativeModel, nCtxWanted: number): Loaded {
  const { nCtxTrain, kvBytesPerToken } = model.info;
  const nFitting = Math.floor((totalmem() * kvMemoryShare) / (nContexts * Math.max(1, kvBytesPerToken)));
  const nCtx = nCtxWanted > 0 ? Math.min(nCtxWanted, nCtxTrain) : Math.min(nCtxTrain, Math.max(512, nFitting));
  const chat = createChatTemplate(model.info);
  const engine = model.createEngine({ nCtx, kvBytes: nContexts * nCtx * kvBytesPerToken });
  return { model, engine, chat, fim: fimFormat(model), nCtx };
}

function toModelInfo({ model, chat, nCtx }: Loaded, givenName: string | null, loadMs: number): ModelInfo {
  const { path, architecture, fileType, fileBytes, weightBytes, nParams, nCtxTrain, nVocab, nLayer } = model.info;
  const { kvBytesPerToken, hasFim, chatTemplate, backend } = model.info;
  const name = givenName ?? (model.info.name.trim() || basename(path));
  const sizes = { fileBytes, weightBytes, nParams, nCtxTrain, nCtx, nVocab, nLayer, kvBytesPerToken };
  return {
    path,
    name,
    architecture,
    fileType,
    ...sizes,
    hasFim,
    hasChatTemplate: chatTemplate !== '',
    chatFeatures: chat.features,
    backend,
    loadMs,
  };
}
