import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { draftMemory, draftOf } from '../../common/draft-fit.ts';
import type { ErrorInfo } from '../../common/errors.ts';
import { EventStream } from '../../common/event-stream.ts';
import type { KvCheck } from '../../common/kv-check.ts';
import type {
  FoundModel,
  HubFile,
  HubModel,
  ModelEntry,
  ModelOverrides,
  ModelsState,
} from '../../common/model-contract.ts';
import {
  contextOf,
  type KvPresetId,
  kvBitsOf,
  type ModelFacts,
  predictMemory,
  predictTokensPerSecond,
} from '../../common/model-facts.ts';
import {
  type Assignment,
  type Benchmark,
  type Device,
  type ModelRole,
  type ModelSpec,
  modelRoles,
  type SelfTest,
  type WeightSpeeds,
} from '../../common/role-contract.ts';
import type { Settings } from '../../common/settings.ts';
import { catalogId, catalogModelOf, catalogModels, defaultModel, isFromHub } from './catalog.ts';
import { freeBytesOf } from './download-file.ts';
import { Downloads, type QueuedDownload } from './downloads.ts';
import type { HttpGet } from './http.ts';
import type { HubToken } from './hub-token.ts';
import { Library } from './library.ts';
import { SpeedFile } from './machine-speed.ts';
import { calibrationPath, ModelCare } from './model-care.ts';
import { findModels, findOthersModels } from './model-folders.ts';
import { ModelSources } from './model-sources.ts';
import type { DownloadTools } from './parts.ts';
import { RateLimit } from './rate-limit.ts';
import { assembleArchives } from './registry.ts';
import { RoleChoices, type Roles } from './roles.ts';

export interface ModelsServiceOptions {
  /** Where the app keeps what it knows. */
  dataFolder: string;
  settings: () => Settings;
  /** The folder that is open. */
  root: () => string | null;
  token: HubToken;
  /** HTTP through the gate. `purpose` is for the list of connections. */
  http: (purpose: string) => HttpGet;
  onNotice: (error: ErrorInfo) => void;
  /** Roles or their models are others: the engine has to know. */
  onAssignment: () => void;
  selfTest: (spec: ModelSpec, signal: AbortSignal) => Promise<SelfTest>;
  benchmark: (spec: ModelSpec, signal: AbortSignal) => Promise<Benchmark>;
  /** @throws ENGINE_NOT_READY while it starts, or computes */
  measureSpeeds: (types: string[], nThreads: number) => Promise<WeightSpeeds>;
  gpus: () => Promise<Device[]>;
  checkKv: (spec: ModelSpec, signal: AbortSignal) => Promise<KvCheck>;
  /** Of what models have read, the engine's memory. */
  forget: () => Promise<void>;
}

/** Nobody reads faster. */
const pushMs = 150;
const partBytes = 8 << 20;
const idleMs = 30_000;

export class ModelsService {
  readonly #options: ModelsServiceOptions;
  readonly #library: Library;
  readonly #downloads: Downloads;
  readonly #roles: RoleChoices;
  readonly #speed: SpeedFile;
  readonly #sources: ModelSources;
  readonly care: ModelCare;
  readonly #changes = new EventStream<ModelsState>();
  #measuring: Promise<void> = Promise.resolve();
  #gpus: Device[] = [];
  #pushTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: ModelsServiceOptions) {
    this.#options = options;
    const inData = (name: string) => join(options.dataFolder, name);
    mkdirSync(inData('contexts'), { recursive: true });
    const onChange = () => this.#changed();
    this.#library = new Library(inData('models.json'), onChange);
    this.#roles = new RoleChoices(inData('model-roles.json'));
    this.#speed = new SpeedFile(inData('machine-speed.json'));
    const limit = new RateLimit(() => options.settings().downloadLimitKiB * 1024);
    this.#sources = new ModelSources({
      settings: options.settings,
      token: () => options.token.current,
      http: options.http,
      folder: () => this.folder,
    });
    this.#downloads = new Downloads({
      path: inData('downloads.json'),
      tools: ({ title }): DownloadTools => ({
        get: this.#sources.get(`Downloading ${title}.`),
        limit,
        nConnections: 4,
        partBytes,
        idleMs,
        retryMs: (attempt) => Math.min(30_000, 500 * 2 ** attempt) * (0.75 + Math.random() / 2),
        freeBytes: freeBytesOf,
      }),
      token: (url) => this.#sources.tokenFor(url),
      assemble: assembleArchives,
      onDone: (queued, paths, isVerified) => this.#arrived(queued, paths, isVerified),
      onChange,
    });
    const { selfTest, benchmark, checkKv, onNotice } = options;
    this.care = new ModelCare({
      library: this.#library,
      downloads: this.#downloads,
      onMeasured: (id, tokensPerSecond) => this.measured(id, tokensPerSecond),
      specOf: (model) => this.#spec(model),
      selfTest,
      benchmark,
      checkKv,
      onKvCheck: () => options.onAssignment(),
      onNotice,
    });
  }

  async start(): Promise<void> {
    await this.#library.refresh();
    this.#downloads.start();
    this.#options.onAssignment();
  }

  close(): Promise<void> {
    return this.#downloads.close();
  }

  get folder(): string {
    return this.#options.settings().modelFolder ?? join(this.#options.dataFolder, 'models');
  }

  async watch(signal: AbortSignal | undefined): Promise<AsyncGenerator<ModelsState, void, void>> {
    void this.#lookAtGpus();
    return this.#changes.subscribe(signal, [await this.state()]);
  }

  async state(): Promise<ModelsState> {
    const models = this.#library.list();
    const free = await freeBytesOf(this.folder).catch(() => freeBytesOf(this.#options.dataFolder).catch(() => null));
    return {
      models,
      downloads: this.#downloads.list(),
      catalog: catalogModels.map((known) => ({
        id: known.id,
        name: known.name,
        about: known.about,
        license: known.license,
        bytes: known.bytes,
        roles: known.roles,
        draft: catalogModels.find(({ id }) => id === known.draft)?.name ?? null,
        isHere: models.some(
          ({ id, state, source }) => state === 'ready' && (id === catalogId(known) || isFromHub(known, source?.url)),
        ),
      })),
      roles: this.roles(),
      workspaceRoles: this.#roles.ofFolder(this.#options.root()),
      folder: this.folder,
      folderFreeBytes: free,
      memory: {
        totalBytes: totalmem(),
        freeBytes: process.availableMemory(),
        limitBytes: this.#options.settings().modelMemoryMiB * 2 ** 20,
        gpus: this.#gpus,
      },
      speed: this.#speed.current,
      defaults: { nCtx: this.#options.settings().nCtx, kvPreset: this.#usualKvPreset() },
      hub: { url: this.#options.settings().hubUrl, hasToken: this.#options.token.current !== null },
    };
  }

  /** What a check would choose for a model that is not here is not known: f16, which always passes. */
  #usualKvPreset(): KvPresetId {
    const { kvPreset } = this.#options.settings();
    return kvPreset === 'auto' ? 'exact' : kvPreset;
  }

  // Roles

  roles(): Roles {
    const { modelPath } = this.#options.settings();
    const own = (role: ModelRole) => {
      const model = catalogModelOf(role);
      return model ? catalogId(model) : null;
    };
    const chat = modelPath === null ? catalogId(defaultModel) : `file:${modelPath}`;
    return this.#roles.resolve(this.#options.root(), {
      chat,
      inline: own('inline'),
      draft: own('draft'),
      embedding: own('embedding'),
    });
  }

  /** What the engine is to have loaded. A role whose model is not known to the library is tried all the same. */
  assignment(): Assignment {
    const { modelMemoryMiB, modelIdleMinutes } = this.#options.settings();
    const roles = this.roles();
    const specOf = (role: ModelRole): ModelSpec | null => {
      const id = roles[role];
      if (id === null) return null;
      const model = this.#library.get(id);
      if (model) return model.state === 'missing' && role !== 'chat' ? null : this.#spec(model);
      return id.startsWith('file:') ? this.#spec({ id, path: id.slice('file:'.length) }) : null;
    };
    return {
      roles: Object.fromEntries(modelRoles.map((role) => [role, specOf(role)])) as Assignment['roles'],
      limitBytes: modelMemoryMiB * 2 ** 20,
      idleMs: modelIdleMinutes * 60_000,
      costFile: join(this.#options.dataFolder, 'pass-costs.json'),
    };
  }

  /** @param isEverywhere else in the open folder only; undefined as id takes the folder's own choice back */
  async setRole(role: ModelRole, id: string | null | undefined, isEverywhere: boolean): Promise<void> {
    if (typeof id === 'string') this.#library.mustGet(id);
    this.#roles.set(role, id, isEverywhere ? null : this.#options.root());
    this.#options.onAssignment();
    this.#changed();
  }

  /** The chat's model from now on, in the folder that is open too; null for the default one. */
  async chooseChat(id: string | null): Promise<void> {
    this.#roles.set('chat', undefined, this.#options.root());
    this.#roles.set('chat', id ?? catalogId(defaultModel), null);
    this.#options.onAssignment();
    this.#changed();
  }

  /** Something of the state that is kept elsewhere is another. */
  stateChanged(): void {
    this.#changed();
  }

  #spec(model: Pick<ModelEntry, 'id' | 'path'> & Partial<ModelEntry>): ModelSpec {
    const { nThreads, nCtx, kvPreset: chosen } = this.#options.settings();
    const { facts = null, overrides, id, path, origin, name } = model;
    const device = overrides?.device ?? 'cpu';
    const isOnGpu = device !== 'cpu';
    // What was checked on the processor means nothing to a GPU, which keeps f16 only.
    const checked = (isOnGpu ? null : model.kvCheck?.chosen) ?? 'exact';
    const kvPreset = chosen === 'auto' ? checked : chosen;
    const wanted = overrides?.nCtx ?? nCtx;
    const kvBits = kvBitsOf(kvPreset);
    const isNamed = origin === 'default' || origin === 'bundled';
    const known = this.#library.get(id);
    const draft = known ? draftOf(known, this.#library.list(), this.roles()) : null;
    const memoryOf = (of: ModelFacts): number => {
      const fitting = contextFor(of, wanted, kvBits);
      const draftBytes = draft?.facts ? draftMemory(draft.facts, fitting) : 0;
      return predictMemory(of, { nCtx: fitting, kvBits, draftBytes }).total;
    };
    return {
      id,
      modelPath: path,
      name: isNamed && name ? name : null,
      nThreads,
      device,
      nCtx: wanted,
      kvPreset,
      // A GPU's memory is its own: whether it is enough, the GPU says.
      memoryBytes: facts && !isOnGpu ? memoryOf(facts) : 0,
      chatTemplate: overrides?.chatTemplate ?? null,
      draft: draft && { id: draft.id, modelPath: draft.path, name: draft.name },
      contextFile: this.#contextFile(id),
    };
  }

  /** Where the engine keeps what a model has read. */
  #contextFile(id: string): string {
    const name = createHash('sha256').update(id).digest('hex').slice(0, 24);
    return join(this.#options.dataFolder, 'contexts', `${name}.kv`);
  }

  /** Everything that models have read: a conversation that is deleted leaves nothing behind. */
  async forgetContexts(): Promise<void> {
    await this.#options.forget();
    const folder = join(this.#options.dataFolder, 'contexts');
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { force: true });
  }

  // What could be had

  search = (text: string, signal: AbortSignal | undefined): Promise<HubModel[]> => this.#sources.search(text, signal);

  async files(repo: string, signal: AbortSignal | undefined): Promise<HubFile[]> {
    const models = this.#library.list();
    const files = await this.#sources.files(repo, signal);
    return files.map(({ url, ...file }) => ({
      ...file,
      isHere: models.some(({ source, state }) => state === 'ready' && source?.url === url),
    }));
  }

  remoteFacts = (repo: string, path: string, signal?: AbortSignal): Promise<ModelFacts> =>
    this.#sources.remoteFacts(repo, path, signal);

  // Downloads

  async download(repo: string, path: string): Promise<void> {
    this.#downloads.add(await this.#sources.fromHub(repo, path));
  }

  async downloadFromCatalog(id: string): Promise<void> {
    this.#downloads.add(await this.#sources.fromCatalog(id));
  }

  pause = (id: string): void => this.#downloads.pause(id);
  resume = (id: string): void => this.#downloads.resume(id);
  removeDownload = (id: string): Promise<void> => this.#downloads.remove(id);

  networkSwitchedOff(): void {
    this.#downloads.stopAll({
      code: 'NETWORK_OFF',
      message: 'The network was switched off.',
      hint: 'Switch it on in the list of connections, then go on: what has arrived is kept.',
    });
  }

  async #arrived(queued: QueuedDownload, paths: string[], isVerified: boolean): Promise<void> {
    const [first] = paths;
    if (first === undefined) return;
    const verifiedAtMs = isVerified ? Date.now() : null;
    const { id } = await this.#library.add(first, 'downloaded', { source: queued.source, verifiedAtMs });
    void this.care.tryOut(id);
  }

  // The library

  async import(paths: readonly string[], origin: 'imported' | 'linked'): Promise<ModelEntry[]> {
    const added: ModelEntry[] = [];
    for (const path of paths) added.push(await this.#library.add(path, origin));
    for (const { id } of added) void this.care.tryOut(id);
    return added;
  }

  async findIn(folder: string): Promise<FoundModel[]> {
    return this.#unknown(await findModels(folder, basename(folder)));
  }

  async findOthers(): Promise<FoundModel[]> {
    return this.#unknown(await findOthersModels());
  }

  #unknown(found: FoundModel[]): FoundModel[] {
    const known = new Set(this.#library.list().map(({ path }) => path));
    return found.filter(({ path }) => !known.has(path));
  }

  async remove(id: string): Promise<number> {
    const { path } = this.#library.mustGet(id);
    this.care.cancel(id); // a check that still ran would report on what is gone
    const freed = await this.#library.remove(id);
    rmSync(calibrationPath(path), { force: true });
    rmSync(this.#contextFile(id), { force: true });
    this.#roles.replace(id, undefined);
    this.#options.onAssignment();
    this.#changed();
    return freed;
  }

  update(id: string, change: { notes?: string | undefined; overrides?: ModelOverrides | undefined }): void {
    const { notes, overrides } = change;
    const before = this.#library.mustGet(id);
    this.#library.change(id, { ...(notes === undefined ? {} : { notes }), ...(overrides ? { overrides } : {}) });
    const loadedWith = ['nCtx', 'chatTemplate', 'device', 'draftId'] as const;
    if (overrides && loadedWith.some((key) => overrides[key] !== before.overrides[key])) this.#options.onAssignment();
  }

  /** A reply was measured: predictions learn from it. */
  measured(id: string, tokensPerSecond: number): void {
    const model = this.#library.get(id);
    if (!model?.facts || !(tokensPerSecond > 0) || model.overrides.device) return;
    const expected = model.speed?.expected ?? predictTokensPerSecond(model.facts, this.#speed.current);
    this.#library.change(id, { speed: { expected, measured: tokensPerSecond } });
    this.#speed.learn(model.facts, tokensPerSecond);
  }

  /** One after the other: two at once would slow each other down. @throws ENGINE_NOT_READY, OUT_OF_MEMORY */
  measureSpeeds(types: readonly string[]): Promise<void> {
    const measure = async () => {
      const unknown = types.filter((type) => this.#speed.current.bytesPerSecond[type] === undefined);
      if (unknown.length === 0) return;
      this.#speed.measured(await this.#options.measureSpeeds(unknown, this.#options.settings().nThreads));
      this.#changed();
    };
    this.#measuring = this.#measuring.catch(() => {}).then(measure);
    return this.#measuring;
  }

  /** Those that there are now, and what they have free. None while the engine does not run. */
  async #lookAtGpus(): Promise<void> {
    this.#gpus = await this.#options.gpus().catch(() => []);
    if (this.#gpus.length > 0) this.#changed();
  }

  /** @throws IO_ERROR, PERMISSION_DENIED */
  async moveFolder(folder: string): Promise<void> {
    await this.care.moveAll(this.folder, folder, (id, newId) => this.#roles.replace(id, newId));
    this.#options.onAssignment();
    this.#changed();
  }

  setToken(token: string | null): void {
    this.#options.token.set(token);
    this.#changed();
  }

  #changed(): void {
    this.#pushTimer ??= setTimeout(() => {
      this.#pushTimer = null;
      if (this.#changes.nReaders > 0) void this.state().then((state) => this.#changes.push(state));
    }, pushMs);
  }
}

const _forever = new AbortController().signal;

const contextFor = (facts: ModelFacts, wanted: number, kvBits: number) =>
  contextOf(facts.nCtxTrain, (facts.kvElementsPerToken * kvBits) / 8, wanted, totalmem());
