// An engine that answers from a script: the text, its speed, where it fails.
import type { EngineApi } from '../../electron/common/api.ts';
import type { CompletionModel, EngineStatus, GenerateEvent, ModelInfo } from '../../electron/common/engine-contract.ts';
import type { EngineEvent, LoadedModel } from '../../electron/common/role-contract.ts';
import { appError } from './app-error.ts';
import { EventQueue, toStream } from './event-queue.ts';

export const kFakeModel: ModelInfo = {
  path: '/models/tinyllama-1.1b-chat.gguf',
  name: 'TinyLlama 1.1B Chat',
  architecture: 'llama',
  fileType: 'IQ2_XXS',
  fileBytes: 322_591_712,
  weightBytes: 320_000_000,
  nParams: 1_100_048_384,
  nCtxTrain: 2048,
  nCtx: 2048,
  nVocab: 32_000,
  nLayer: 22,
  kvBytesPerToken: 22_528,
  hasFim: false,
  hasChatTemplate: true,
  backend: 'CPU (AVX-512)',
  loadMs: 840,
};

export const kFakeLoaded: LoadedModel = {
  id: 'catalog:tinyllama-1.1b-chat-iq2_xxs',
  name: 'TinyLlama 1.1B Chat (IQ2_XXS)',
  roles: ['chat'],
  state: 'ready',
  progress: 1,
  error: null,
  isPinned: false,
  nActive: 0,
  idleSinceMs: 0,
  predictedBytes: 445_000_000,
  memory: { weights: 331_000_000, kvUsed: 21_000_000, kv: 92_274_688, draft: 0, grown: 440_000_000 },
  shares: [{ device: 'cpu', nLayer: 22, weights: 331_000_000, kv: 92_274_688, bytes: 445_000_000 }],
  draft: null,
  decoding: {
    nDecoded: 1840,
    nPasses: 912,
    decodeMs: 40_300,
    plainTokenMs: 42.1,
    drafts: {
      grammar: { nDrafted: 0, nAccepted: 0 },
      edit: { nDrafted: 702, nAccepted: 611 },
      suffix: { nDrafted: 640, nAccepted: 317 },
      model: { nDrafted: 0, nAccepted: 0 },
      mtp: { nDrafted: 0, nAccepted: 0 },
    },
  },
  cache: {
    preset: 'compact',
    nPages: 80,
    nTokens: 5060,
    f16Bytes: 113_987_584,
    mhaBytes: 911_900_672,
    nPrompt: 9200,
    nReused: 7100,
  },
};

const kStats = {
  nPrompt: 420,
  nReused: 0,
  nDecoded: 180,
  nCtx: 2048,
  queueMs: 1,
  prefillMs: 2100,
  decodeMs: 7600,
  ttftMs: 2140,
};

export class FakeEngine {
  readonly statusEvents = new EventQueue<EngineStatus>();
  readonly completionModels = new EventQueue<{ model: CompletionModel }>();
  readonly events = new EventQueue<EngineEvent>();
  models: LoadedModel[] = [kFakeLoaded];
  readonly chatRequests: Parameters<EngineApi['chat']>[0][] = [];
  readonly completeRequests: Parameters<EngineApi['complete']>[0][] = [];
  #status: EngineStatus;
  reply = 'Hello.';
  /** Pause between two events of a reply. */
  stepMs = 0;
  nDropped = 0;
  /** Thrown after half of the reply. */
  failure: Error | null = null;
  completion = '';
  completionError: Error | null = null;
  confidence: number | null = 0.9;

  constructor(status: EngineStatus = { state: 'ready', model: kFakeModel }) {
    this.#status = status;
  }

  setStatus(status: EngineStatus): void {
    this.#status = status;
    this.statusEvents.push(status);
    this.completionModels.push({ model: this.#completionModel });
  }

  get #completionModel(): CompletionModel {
    return this.#status.state === 'ready' ? { id: kFakeLoaded.id, hasFim: this.#status.model.hasFim } : null;
  }

  /** As by the engine: what was stopped begins again, and comes to nothing more than that by itself. */
  load(): void {
    if (this.#status.state !== 'stopped') return;
    this.#setLoaded('loading');
    this.setStatus({ ...this.#status, state: 'loading', id: kFakeLoaded.id, progress: 0 });
  }

  /** As from a load that is under way; the model of the chat is the only one. */
  loading(progress: number): void {
    this.#setLoaded('loading', progress);
    this.setStatus({ state: 'loading', id: kFakeLoaded.id, modelPath: kFakeModel.path, progress });
  }

  loaded(): void {
    this.models = [kFakeLoaded];
    this.events.push({ type: 'models', models: this.models, freeBytes: 9e9 });
    this.setStatus({ state: 'ready', model: kFakeModel });
  }

  #setLoaded(state: LoadedModel['state'], progress = 0): void {
    this.models = [{ ...kFakeLoaded, state, progress, memory: null, shares: [], decoding: null, cache: null }];
    this.events.push({ type: 'models', models: this.models, freeBytes: 9e9 });
  }

  readonly api: EngineApi = {
    status: async (_input, options) => this.statusEvents.subscribe(options?.signal, [this.#status]),
    completionModel: async (_input, options) =>
      this.completionModels.subscribe(options?.signal, [{ model: this.#completionModel }]),
    events: async (_input, options) =>
      this.events.subscribe(options?.signal, [{ type: 'models', models: this.models, freeBytes: 9e9 }]),
    unload: async () => {
      if (this.#status.state === 'loading') {
        this.#setLoaded('stopped');
        this.setStatus({ state: 'stopped', modelPath: this.#status.modelPath });
      }
      return {};
    },
    pin: async () => ({}),
    chat: async (request, options) => {
      this.chatRequests.push(request);
      return toStream(this.#chat(options?.signal));
    },
    complete: async (request, options) => {
      this.completeRequests.push(request);
      await pause(this.stepMs, options?.signal);
      if (this.completionError) throw this.completionError;
      return {
        text: this.completion,
        reason: 'end_of_text',
        usedSuffix: false,
        confidence: this.confidence,
        stats: kStats,
      };
    },
    embed: async ({ texts }) => ({
      modelId: 'file:/models/embed.gguf',
      // A text points to where its first letter does: texts that begin alike are alike.
      vectors: texts.map((text) => {
        const angle = (text.toLowerCase().charCodeAt(0) || 0) / 20;
        return [Math.cos(angle), Math.sin(angle)];
      }),
    }),
    countTokens: async ({ messages }) => ({
      nTokens: Math.ceil(messages.reduce((sum, message) => sum + message.content.length, 0) / 3.5),
      nCtx: kFakeModel.nCtx,
    }),
  };

  async *#chat(signal?: AbortSignal): AsyncGenerator<GenerateEvent, void, void> {
    this.load();
    for await (const status of this.statusEvents.subscribe(signal, [this.#status])) {
      if (status.state !== 'loading') break;
      yield { type: 'loading', progress: status.progress };
    }
    signal?.throwIfAborted();
    if (this.#status.state !== 'ready') throw appError('ENGINE_NOT_READY', 'Loading the model was stopped.');
    if (this.nDropped > 0) yield { type: 'shortened', nDropped: this.nDropped };
    for (const nDone of [140, 280, 420]) {
      await pause(this.stepMs * 5, signal);
      yield { type: 'prefill', nDone, nTotal: 420 };
    }
    const pieces = this.reply.match(/\s*\S+|\s+$/g) ?? [];
    for (const [i, text] of pieces.entries()) {
      await pause(this.stepMs, signal);
      if (this.failure && i >= pieces.length / 2) throw this.failure;
      yield { type: 'text', text, nDecoded: i + 1, tokensPerSecond: 23.7 };
    }
    yield { type: 'done', reason: 'end_of_text', stats: kStats };
  }
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  signal?.throwIfAborted();
}
