// Everything that the window and the engine ask about models: what is here and what can be had, what is on its way, who
// has which role, and how fast they are. Each of it is a module of its own; here they meet.
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
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
import type { KvPresetId, ModelFacts } from '../../common/model-facts.ts';
import {
  type Assignment,
  type Benchmark,
  type Device,
  gpusOf,
  type MeasuredSpeeds,
  type ModelSpec,
  mainMemory,
  type SelfTest,
} from '../../common/role-contract.ts';
import type { Settings } from '../../common/settings.ts';
import { Assignments } from './assignments.ts';
import { catalogEntry, catalogId, catalogModels, defaultModel } from './catalog.ts';
import { freeBytesOf } from './download-file.ts';
import { Downloads, type QueuedDownload } from './downloads.ts';
import type { HttpGet } from './http.ts';
import type { HubToken } from './hub-token.ts';
import { Library } from './library.ts';
import { Machine } from './machine.ts';
import { SpeedFile } from './machine-speed.ts';
import { calibrationPath, ModelCare } from './model-care.ts';
import { findModels, findOthersModels } from './model-folders.ts';
import { ModelSources } from './model-sources.ts';
import type { DownloadTools } from './parts.ts';
import { PauseChecks } from './pause-checks.ts';
import { RateLimit } from './rate-limit.ts';
import { assembleArchives } from './registry.ts';

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
  /** @param again the user wants the models, those whose loads were stopped, too */
  onAssignment: (again: boolean) => void;
  selfTest: (spec: ModelSpec, signal: AbortSignal) => Promise<SelfTest>;
  benchmark: (spec: ModelSpec, signal: AbortSignal) => Promise<Benchmark>;
  /** @throws ENGINE_NOT_READY while it starts, or computes */
  measureSpeeds: (types: string[], device: string, nThreads: number) => Promise<MeasuredSpeeds>;
  gpus: () => Promise<Device[]>;
  checkKv: (spec: ModelSpec, givesWay: boolean, signal: AbortSignal) => Promise<KvCheck | null>;
  /** Resolves when the engine has not been asked for anything in a while. */
  pause: (signal: AbortSignal) => Promise<void>;
  isOnBattery: () => boolean;
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
  readonly downloads: Downloads;
  readonly #assignments: Assignments;
  readonly machine: Machine;
  readonly #sources: ModelSources;
  readonly care: ModelCare;
  readonly #pauseChecks: PauseChecks;
  readonly #changes = new EventStream<ModelsState>();
  #pushTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: ModelsServiceOptions) {
    this.#options = options;
    const { dataFolder, settings, root } = options;
    const inData = (name: string) => join(dataFolder, name);
    const onChange = () => this.changed();
    this.#library = new Library(inData('models.json'), onChange);
    this.machine = new Machine({
      speed: new SpeedFile(inData('machine-speed.json')),
      library: this.#library,
      measure: (types, device) => options.measureSpeeds(types, device, settings().nThreads),
      gpus: options.gpus,
      onChange,
    });
    const gpu = (id: string) => this.machine.gpu(id);
    this.#assignments = new Assignments({ dataFolder, settings, root, library: this.#library, gpu });
    const limit = new RateLimit(() => options.settings().downloadLimitKiB * 1024);
    this.#sources = new ModelSources({
      settings: options.settings,
      token: () => options.token.current,
      http: options.http,
      folder: () => this.folder,
    });
    this.downloads = new Downloads({
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
      isInLibrary: (path) => this.#library.hasFile(path),
      onDone: (queued, paths, isVerified) => this.#arrived(queued, paths, isVerified),
      onChange,
    });
    const { selfTest, benchmark, checkKv, onNotice } = options;
    this.care = new ModelCare({
      library: this.#library,
      downloads: this.downloads,
      onMeasured: (...reply) => this.machine.measured(...reply),
      specOf: (model) => this.#assignments.specOf(model),
      selfTest,
      benchmark,
      checkKv,
      onKvCheck: () => options.onAssignment(/*again=*/ false),
      onNotice,
    });
    this.#pauseChecks = new PauseChecks({
      candidates: () => this.#uncheckedOwn(),
      pause: options.pause,
      check: (id) => this.care.checkKv(id, true),
    });
  }

  async start(): Promise<void> {
    await this.#library.refresh();
    if (this.downloads.hasPackages) await this.#sources.findRegistry();
    this.downloads.start();
    this.#options.onAssignment(/*again=*/ false);
    this.#pauseChecks.start();
  }

  /** There is one that can be asked. */
  engineStarted(): void {
    void this.machine.lookAtGpus();
    this.#pauseChecks.start();
  }

  close(): Promise<void> {
    this.#pauseChecks.stop();
    return this.downloads.close();
  }

  /** Models that came with Outpost, have a role, and whose context is kept as their check says. */
  #uncheckedOwn(): ModelEntry[] {
    if (this.#options.settings().kvPreset !== 'auto' || this.#options.isOnBattery()) return [];
    const { chat, inline } = this.#assignments.roles();
    return this.#library.list().filter(({ id, origin }) => {
      return (origin === 'default' || origin === 'bundled') && (id === chat || id === inline);
    });
  }

  get folder(): string {
    return this.#options.settings().modelFolder ?? join(this.#options.dataFolder, 'models');
  }

  async watch(signal: AbortSignal | undefined): Promise<AsyncGenerator<ModelsState, void, void>> {
    void this.machine.lookAtGpus();
    return this.#changes.subscribe(signal, [await this.state()]);
  }

  async state(): Promise<ModelsState> {
    const models = this.#library.list();
    const free = await freeBytesOf(this.folder).catch(() => freeBytesOf(this.#options.dataFolder).catch(() => null));
    return {
      models,
      downloads: this.downloads.list(),
      catalog: catalogModels.map((known) => catalogEntry(known, models)),
      roles: this.#assignments.roles(),
      workspaceRoles: this.#assignments.rolesOfFolder(),
      folder: this.folder,
      folderFreeBytes: free,
      memory: this.machine.memory(this.#options.settings().modelMemoryMiB * 2 ** 20),
      speed: this.machine.speed,
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

  /** Once the GPUs are known that models are set to: what such a model is to be depends on its GPU. */
  async assignmentNow(): Promise<Assignment> {
    const devices = new Set(this.#library.list().flatMap(({ overrides }) => gpusOf(overrides.device ?? mainMemory)));
    if ([...devices].some((id) => !this.machine.gpu(id))) await this.machine.lookAtGpus();
    return this.assignment();
  }

  assignment(): Assignment {
    return this.#assignments.current();
  }

  /** @throws NOT_FOUND, IO_ERROR */
  async setRole(...choice: Parameters<Assignments['setRole']>): Promise<void> {
    this.#assignments.setRole(...choice);
    this.#assigned(/*again=*/ true);
  }

  async chooseChat(id: string | null): Promise<void> {
    this.#assignments.chooseChat(id);
    this.#assigned(/*again=*/ true);
  }

  /** Everything that models have read: a conversation that is deleted leaves nothing behind. */
  async forgetContexts(): Promise<void> {
    await this.#options.forget();
    this.#assignments.forgetContexts();
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
    this.downloads.add(await this.#sources.fromHub(repo, path));
  }

  async downloadFromCatalog(id: string): Promise<void> {
    this.downloads.add(await this.#sources.fromCatalog(id));
  }

  networkSwitchedOff(): void {
    this.downloads.stopAll({
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
    // The default model, of which this machine had none, does its work from now on.
    const own = catalogId(defaultModel);
    if (queued.source.sha256 === defaultModel.sha256 && this.#assignments.roles().chat === own) {
      if (this.#library.get(own)?.state !== 'ready') await this.chooseChat(id);
    }
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
    return this.#library.unknownOf(await findModels(folder, basename(folder)));
  }

  async findOthers(): Promise<FoundModel[]> {
    return this.#library.unknownOf(await findOthersModels());
  }

  async remove(id: string): Promise<number> {
    const { path } = this.#library.mustGet(id);
    this.care.cancel(id); // a check that still ran would report on what is gone
    const freed = await this.#library.remove(id);
    rmSync(calibrationPath(path), { force: true });
    this.#assignments.forgetContext(id);
    this.#assignments.replace(id, undefined);
    this.#assigned();
    return freed;
  }

  update(id: string, change: { notes?: string | undefined; overrides?: ModelOverrides | undefined }): void {
    const { notes, overrides } = change;
    const before = this.#library.mustGet(id);
    this.#library.change(id, { ...(notes === undefined ? {} : { notes }), ...(overrides ? { overrides } : {}) });
    const loadedWith = ['nCtx', 'chatTemplate', 'device', 'deviceLayers', 'draftId'] as const;
    if (overrides && loadedWith.some((key) => overrides[key] !== before.overrides[key]))
      this.#options.onAssignment(/*again=*/ false);
  }

  /** Takes the GPU from every model that has one. */
  leaveGpus(): void {
    for (const { id, overrides } of this.#library.list()) {
      const { device, deviceLayers: _, ...others } = overrides;
      if (device !== undefined) this.update(id, { overrides: others });
    }
  }

  /** @throws IO_ERROR, PERMISSION_DENIED */
  async moveFolder(folder: string): Promise<void> {
    await this.care.moveAll(this.folder, folder, (id, newId) => this.#assignments.replace(id, newId));
    this.#assigned();
  }

  setToken(token: string | null): void {
    this.#options.token.set(token);
    this.changed();
  }

  /** Another folder is open, which may have choices of its own, or none is. */
  rootChanged(): void {
    this.#assigned();
  }

  #assigned(again = false): void {
    this.#options.onAssignment(again);
    this.changed();
  }

  /** Something of the state is another. */
  changed(): void {
    this.#pushTimer ??= setTimeout(() => {
      this.#pushTimer = null;
      if (this.#changes.nReaders > 0) void this.state().then((state) => this.#changes.push(state));
    }, pushMs);
  }
}
