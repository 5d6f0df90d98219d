// A scripted library of models, with everything kept in memory.
import type { AppApi } from '../../electron/common/api.ts';
import type { HubFile, HubModel, ModelEntry, ModelsState } from '../../electron/common/model-contract.ts';
import type { ModelFacts } from '../../electron/common/model-facts.ts';
import type { Device } from '../../electron/common/role-contract.ts';
import { EventQueue } from './event-queue.ts';

const gib = 2 ** 30;

export const fakeFacts: ModelFacts = {
  architecture: 'llama',
  name: 'TinyLlama 1.1B Chat',
  fileType: 'iq2_xxs',
  fileBytes: 322_591_712,
  nParams: 1_100_048_384,
  nCtxTrain: 2048,
  nVocab: 32_000,
  vocabulary: 'llama',
  nLayer: 22,
  nEmbd: 2048,
  nFf: 5632,
  packedBytes: 310_000_000,
  tableBytes: 21_000_000,
  tableGpuBytes: 21_000_000,
  nHead: 32,
  headDimV: 64,
  latentElements: 0,
  experts: null,
  kvElementsPerToken: 11_264,
  readPerToken: { iq2_xxs: 290_000_000 },
  layers: Array.from({ length: 22 }, () => ({ gpu: 12_000_000, experts: 0, packed: 12_400_000, read: 11_500_000 })),
  head: { gpu: 37_000_000, experts: 0, packed: 37_200_000, read: 37_000_000 },
  isTied: false,
  hasFim: false,
  hasChatTemplate: true,
  mentionsTools: false,
  license: 'apache-2.0',
  mtpHead: null,
  split: null,
};

export const fakeGpu: Device = {
  id: 'cuda:0',
  name: 'A GPU',
  totalBytes: 8 * gib,
  freeBytes: 6 * gib,
  sharesMemory: false,
  sensors: null,
};

export function fakeModel(more: Partial<ModelEntry> = {}): ModelEntry {
  return {
    id: 'catalog:tinyllama-1.1b-chat-iq2_xxs',
    name: 'TinyLlama 1.1B Chat (IQ2_XXS)',
    path: '/home/you/.cache/outpost/models/tinyllama-1.1b-chat-v1.0.IQ2_XXS.gguf',
    files: [],
    origin: 'default',
    state: 'ready',
    problem: null,
    facts: fakeFacts,
    source: null,
    bytes: 322_591_712,
    verifiedAtMs: Date.UTC(2026, 10, 24),
    selfTest: {
      tokenizer: {
        outcome: 'passed',
        detail: 'A text of code, other scripts and an emoji comes back unchanged from 61 tokens.',
      },
      template: { outcome: 'passed', detail: 'It passes on system and user messages.' },
      fim: {
        outcome: 'absent',
        detail: 'It has no tokens for filling in; completions see only what is before the cursor.',
      },
      tools: { outcome: 'absent', detail: 'Its template has no words for calls of tools.' },
      generation: { outcome: 'passed', detail: 'It continues "def add(a, b): return" with "a + b".' },
    },
    benchmark: { atMs: 0, nPrompt: 256, prefillTokensPerSecond: 284.6, nDecoded: 128, decodeTokensPerSecond: 68.9 },
    speed: null,
    kvCheck: null,
    overrides: { sampler: {} },
    notes: '',
    addedAtMs: 0,
    job: null,
    ...more,
  };
}

export class FakeModels {
  readonly events = new EventQueue<ModelsState>();
  readonly calls: { name: string; input: unknown }[] = [];
  state: ModelsState = {
    models: [fakeModel()],
    downloads: [],
    catalog: [
      {
        id: 'tinyllama-1.1b-chat-iq2_xxs',
        name: 'TinyLlama 1.1B Chat (IQ2_XXS)',
        about: 'Small and quick: answers questions on any machine. The default for chat.',
        license: 'Apache-2.0',
        bytes: 322_591_712,
        roles: ['chat'],
        draft: null,
        isHere: true,
      },
    ],
    roles: { chat: 'catalog:tinyllama-1.1b-chat-iq2_xxs', inline: null, draft: null, embedding: null },
    workspaceRoles: [],
    folder: '/home/you/.config/Outpost/models',
    folderFreeBytes: 120 * gib,
    memory: { totalBytes: 16 * gib, freeBytes: 9.4 * gib, limitBytes: 0, gpus: [] },
    speed: {
      bytesPerSecond: { iq2_xxs: 20e9 },
      other: 27e9,
      layer: { secondsPerLayer: 3e-5, kvBytesPerSecond: 10e9 },
      overheadSeconds: 0.0005,
      gpus: {},
    },
    defaults: { nCtx: 0, kvPreset: 'exact' },
    hub: { url: 'https://hub.example', hasToken: false },
  };
  hub: HubModel[] = [];
  files: HubFile[] = [];
  facts: ModelFacts = fakeFacts;
  /** Thrown by everything that asks the hub. */
  hubError: Error | null = null;
  onReload = () => {};
  /** Searches never come back. */
  isHubSlow = false;

  push(change: Partial<ModelsState>): void {
    this.state = { ...this.state, ...change };
    this.events.push(this.state);
  }

  readonly api: AppApi['models'] = {
    choose: async () => null,
    useDefault: async () => ({}),
    reload: async () => {
      this.onReload();
      return {};
    },
    leaveGpus: async () => ({}),
    watch: async (_input, options) => this.events.subscribe(options?.signal, [this.state]),
    search: async () => this.#ask(this.hub),
    files: async () => this.#ask(this.files),
    remoteFacts: async () => this.#ask(this.facts),
    download: async (input) => this.#called('download', input),
    downloadFromCatalog: async (input) => this.#called('downloadFromCatalog', input),
    pauseDownload: async (input) => this.#called('pauseDownload', input),
    resumeDownload: async (input) => this.#called('resumeDownload', input),
    removeDownload: async (input) => this.#called('removeDownload', input),
    chooseImport: async () => null,
    import: async (input) => {
      this.#called('import', input);
      return input.paths.map((path) => fakeModel({ id: `file:${path}`, path, origin: 'linked' }));
    },
    scanFolder: async () => null,
    scanOthers: async () => [],
    remove: async (input) => {
      this.#called('remove', input);
      return { freedBytes: 322_591_712 };
    },
    setRole: async (input) => this.#called('setRole', input),
    update: async (input) => {
      const models = this.state.models.map((model) =>
        model.id === input.id ? { ...model, overrides: input.overrides ?? model.overrides } : model,
      );
      this.push({ models });
      return this.#called('update', input);
    },
    verify: async (input) => this.#called('verify', input),
    repair: async (input) => this.#called('repair', input),
    test: async (input) => this.#called('test', input),
    benchmark: async (input) => this.#called('benchmark', input),
    checkKv: async (input) => this.#called('checkKv', input),
    cancelJob: async (input) => this.#called('cancelJob', input),
    measured: async (input) => this.#called('measured', input),
    lookAtGpus: async () => ({}),
    measureSpeeds: async (input) => this.#called('measureSpeeds', input),
    moveFolder: async () => null,
    setToken: async (input) => this.#called('setToken', input),
  };

  #called(name: string, input: unknown): Record<string, never> {
    this.calls.push({ name, input });
    return {};
  }

  async #ask<T>(answer: T): Promise<T> {
    if (this.isHubSlow) await new Promise(() => {});
    if (this.hubError) throw this.hubError;
    return answer;
  }
}
