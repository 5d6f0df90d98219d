// The models that are in memory. Several at once, within what is free: a model is loaded when a role or a request wants
// it, and the one that was used longest ago makes room. What runs is never ended for another model.
import { basename } from 'node:path';
import { appError } from '../common/app-error.ts';
import type { ModelInfo } from '../common/engine-contract.ts';
import { toErrorInfo } from '../common/error-info.ts';
import type { ErrorInfo } from '../common/errors.ts';
import type { LoadedModel, ModelSpec } from '../common/role-contract.ts';
import { fromNativeError } from './addon.ts';
import { type Loaded, prepareModel, toModelInfo } from './loaded-model.ts';
import type { NativeAddon, NativeModel } from './native.d.ts';
import type { PassCosts } from './pass-costs.ts';

export interface ModelPoolOptions {
  addon: NativeAddon;
  costs: PassCosts;
  /** What the system could give now. */
  freeBytes: () => number;
  nowMs: () => number;
  /** A model's state is another. */
  onChange: () => void;
  /** A model was unloaded that nobody wanted unloaded. */
  onNotice: (message: string) => void;
}

interface Slot {
  spec: ModelSpec;
  state: LoadedModel['state'];
  progress: number;
  loaded: Loaded | null;
  info: ModelInfo | null;
  error: ErrorInfo | null;
  /** Of the load that runs. */
  loading: Promise<Loaded> | null;
  cancel: () => void;
  nActive: number;
  lastUsedMs: number;
  /** To be unloaded as soon as nothing runs. */
  isRetired: boolean;
  /** How much the process grew while it was loaded. */
  grownBytes: number;
  /** Why its draft model does not draft. */
  draftProblem: string | null;
  /** Tokens it had read and written when its context was saved last. */
  nSaved: number;
}

/** `onChange` comes at most this often for how far a load is. */
const progressStep = 0.01;
/** Left free: the system gets slow before memory runs out. */
const reserveBytes = 128 * 2 ** 20;
/** What passes take is written down at most this often while a model is in use. */
const keepCostsMs = 30_000;

export class ModelPool {
  readonly #options: ModelPoolOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #pinned = new Set<string>();
  /** One load at a time: two at once would count the same memory as free. */
  #queue: Promise<unknown> | null = null;
  #onReleased = Promise.withResolvers<void>();
  limitBytes = 0;

  constructor(options: ModelPoolOptions) {
    this.#options = options;
  }

  /** The model's info is there from its first load on, also while it is unloaded. */
  get(id: string): Readonly<Pick<Slot, 'spec' | 'state' | 'progress' | 'info' | 'error'>> | undefined {
    return this.#slots.get(id);
  }

  /** Something is computed, or loaded. */
  get isBusy(): boolean {
    return [...this.#slots.values()].some(({ nActive, loading }) => nActive > 0 || loading !== null);
  }

  list(): Omit<LoadedModel, 'roles'>[] {
    return [...this.#slots.values()]
      .filter(({ isRetired, loaded }) => !isRetired || loaded !== null)
      .map((slot) => ({
        id: slot.spec.id,
        name: slot.info?.name ?? slot.spec.name ?? basename(slot.spec.modelPath),
        state: slot.state,
        progress: slot.progress,
        error: slot.error,
        isPinned: this.#pinned.has(slot.spec.id),
        nActive: slot.nActive,
        idleSinceMs: slot.lastUsedMs,
        predictedBytes: slot.spec.memoryBytes,
        memory: memoryOf(slot),
        draft: slot.spec.draft && { name: slot.spec.draft.name, problem: slot.draftProblem },
        decoding: decodingOf(slot),
        cache: cacheOf(slot),
      }));
  }

  /** Loads a model if it is not there; one with other settings takes the place of the one before at once. */
  async load(spec: ModelSpec): Promise<Loaded> {
    let slot = this.#slots.get(spec.id);
    if (slot && !isSame(slot.spec, spec)) {
      this.#drop(slot);
      slot = undefined;
    }
    if (!slot) {
      slot = this.#newSlot(spec);
      this.#slots.set(spec.id, slot);
    }
    slot.isRetired = false;
    slot.spec = spec; // what it is expected to take may be known better now
    if (slot.loaded) return slot.loaded;
    return this.#loading(slot);
  }

  /**
   * A model for one request, loaded if it was unloaded meanwhile. It stays until `release`.
   * @throws why it cannot be loaded
   */
  async use(id: string): Promise<{ loaded: Loaded; release: () => void }> {
    const slot = this.#slots.get(id);
    if (!slot) throw new Error(`The model ${id} is in no role.`);
    slot.nActive += 1;
    slot.lastUsedMs = this.#options.nowMs();
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      slot.nActive -= 1;
      slot.lastUsedMs = this.#options.nowMs();
      this.#keepCosts(slot, keepCostsMs);
      if (slot.nActive === 0 && slot.isRetired) this.#drop(slot);
      this.#onReleased.resolve();
      this.#onReleased = Promise.withResolvers();
      this.#options.onChange();
    };
    try {
      const loaded = slot.loaded ?? (await this.#loading(slot));
      this.#options.onChange();
      return { loaded, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  pin(id: string, isPinned: boolean): void {
    if (isPinned) this.#pinned.add(id);
    else this.#pinned.delete(id);
    this.#options.onChange();
  }

  /** Everything else leaves, as soon as nothing runs on it. */
  keep(ids: ReadonlySet<string>): void {
    for (const slot of [...this.#slots.values()]) {
      const { id } = slot.spec;
      if (ids.has(id)) continue;
      if (this.#pinned.has(id) && slot.loaded) continue;
      if (slot.nActive > 0) slot.isRetired = true;
      else this.#drop(slot);
    }
    this.#options.onChange();
  }

  /** Frees a model's memory until somebody asks for it. @throws ENGINE_NOT_READY while it answers */
  unload(id: string): void {
    const slot = this.#slots.get(id);
    if (!slot?.loaded) return;
    if (slot.nActive > 0) {
      throw appError('ENGINE_NOT_READY', `${slot.info?.name ?? 'The model'} is answering.`, {
        hint: 'Stop the reply first.',
      });
    }
    this.#free(slot);
    this.#options.onChange();
  }

  /** @returns whether there was one */
  unloadIdle(idleMs: number): boolean {
    const before = this.#options.nowMs() - idleMs;
    const idle = this.#unloadable().filter(({ lastUsedMs }) => lastUsedMs <= before);
    for (const slot of idle) this.#free(slot);
    if (idle.length > 0) this.#options.onChange();
    return idle.length > 0;
  }

  /** Keeps what idle models have read for the next start. A failure costs time then, and nothing now. */
  async saveIdle(idleMs: number): Promise<void> {
    const before = this.#options.nowMs() - idleMs;
    for (const slot of this.#slots.values()) {
      const { loaded, spec, nActive, lastUsedMs } = slot;
      if (!loaded || spec.contextFile === null || nActive > 0 || lastUsedMs > before) continue;
      const nTokens = nTokensOf(loaded);
      if (nTokens === slot.nSaved) continue;
      slot.nSaved = nTokens;
      try {
        await loaded.engine.saveCache(spec.contextFile);
      } catch (error) {
        this.#options.onNotice(`What ${nameOf(slot)} has read could not be kept: ${(error as Error).message}`);
      }
    }
  }

  /** What models have read and no reply needs now, in memory and in their files. @throws what could not be deleted */
  async forget(): Promise<void> {
    for (const slot of this.#slots.values()) {
      const { loaded, spec } = slot;
      if (!loaded) continue;
      await loaded.engine.forgetCache(spec.contextFile ?? '');
      slot.nSaved = nTokensOf(loaded);
    }
  }

  #loading(slot: Slot): Promise<Loaded> {
    slot.loading ??= this.#start(slot);
    return slot.loading;
  }

  #newSlot(spec: ModelSpec): Slot {
    return {
      spec,
      state: 'loading',
      progress: 0,
      loaded: null,
      info: null,
      error: null,
      loading: null,
      cancel: () => {},
      nActive: 0,
      lastUsedMs: this.#options.nowMs(),
      isRetired: false,
      grownBytes: 0,
      draftProblem: null,
      nSaved: 0,
    };
  }

  #start(slot: Slot): Promise<Loaded> {
    slot.state = 'loading';
    slot.progress = 0;
    slot.error = null;
    let isCancelled = false;
    let cancelNative = () => {};
    const cancelled = Promise.withResolvers<void>();
    slot.cancel = () => {
      isCancelled = true;
      cancelled.resolve();
      cancelNative();
      this.#onReleased.resolve(); // it may be waiting for room
      this.#onReleased = Promise.withResolvers();
    };
    const throwIfCancelled = () => {
      if (isCancelled) throw new DOMException('The load was cancelled.', 'AbortError');
    };
    const run = async (): Promise<Loaded> => {
      throwIfCancelled();
      if (!this.#hasRoom(slot)) await this.#makeRoom(slot, throwIfCancelled);
      const startMs = performance.now();
      const rssBefore = process.memoryUsage.rss();
      const { nThreads, device, modelPath, name, nCtx, kvPreset, chatTemplate } = slot.spec;
      const onProgress = (progress: number) => {
        if (isCancelled || progress < slot.progress + progressStep) return;
        slot.progress = progress;
        this.#options.onChange();
      };
      const { promise, cancel } = startLoading(this.#options.addon, modelPath, { nThreads, device, onProgress });
      cancelNative = cancel;
      const model = await promise;
      if (isCancelled) model.dispose();
      throwIfCancelled();
      const draft = await this.#loadDraft(slot, model, (cancelDraft) => {
        cancelNative = cancelDraft;
      });
      const prepared = () => {
        try {
          throwIfCancelled();
          const passMs = this.#options.costs.of(costKey(slot.spec, model));
          return prepareModel(model, { nCtx, kvPreset, chatTemplate, draft, passMs });
        } catch (error) {
          model.dispose();
          draft?.dispose();
          throw error;
        }
      };
      const loaded = prepared();
      await restoreContext(loaded, slot.spec);
      if (isCancelled) {
        loaded.engine.dispose();
        model.dispose();
        draft?.dispose();
      }
      throwIfCancelled();
      slot.nSaved = nTokensOf(loaded);
      slot.loaded = loaded;
      slot.info = toModelInfo(loaded, name, performance.now() - startMs);
      slot.state = 'ready';
      slot.lastUsedMs = this.#options.nowMs();
      slot.grownBytes = Math.max(0, process.memoryUsage.rss() - rssBefore);
      return loaded;
    };
    const loading = this.#queue ? this.#queue.then(run) : run();
    // A load that was cancelled gives way at once; the next must not wait for its end.
    const turn: Promise<void> = Promise.race([loading, cancelled.promise])
      .catch(() => {})
      .then(() => {
        if (this.#queue === turn) this.#queue = null;
      });
    this.#queue = turn;
    const settled = loading
      .catch((error: unknown) => {
        if (isCancelled) throw error;
        const mapped = fromNativeError(error);
        slot.state = 'failed';
        slot.error = toErrorInfo(mapped);
        throw mapped;
      })
      .finally(() => {
        slot.loading = null;
        if (!isCancelled) this.#options.onChange();
      });
    settled.catch(() => {}); // a failure is a state; whoever asked hears of it
    this.#options.onChange();
    return settled;
  }

  /** A model that cannot draft is a pity, not a failure: its target answers without it, and the window says why. */
  async #loadDraft(slot: Slot, target: NativeModel, onStart: (cancel: () => void) => void) {
    slot.draftProblem = null;
    const { draft: spec, nThreads, device } = slot.spec;
    if (spec === null) return null;
    try {
      const { promise, cancel } = startLoading(this.#options.addon, spec.modelPath, { nThreads, device });
      onStart(cancel);
      const draft = await promise;
      const { kind, reason } = target.draftCompatibility(draft);
      if (kind !== 'none') return draft;
      draft.dispose();
      slot.draftProblem = reason;
    } catch (error) {
      slot.draftProblem = toErrorInfo(fromNativeError(error)).message;
    }
    return null;
  }

  /** @throws OUT_OF_MEMORY if there would not be enough with everything else unloaded */
  async #makeRoom(slot: Slot, throwIfCancelled: () => void): Promise<void> {
    while (!this.#hasRoom(slot)) {
      throwIfCancelled();
      const others = this.#unloadable().filter((other) => other !== slot);
      const [oldest] = others.sort((a, b) => a.lastUsedMs - b.lastUsedMs);
      if (oldest) {
        this.#free(oldest);
        const names = [oldest, slot].map(({ info, spec }) => info?.name ?? spec.name ?? basename(spec.modelPath));
        this.#options.onNotice(`${names[0]} was unloaded to make room for ${names[1]}.`);
        this.#options.onChange();
      } else if ([...this.#slots.values()].some((other) => other !== slot && other.nActive > 0)) {
        await this.#onReleased.promise;
      } else {
        throw outOfMemory(slot, this.#roomBytes(), this.limitBytes);
      }
    }
  }

  #hasRoom({ spec }: Slot): boolean {
    return spec.memoryBytes === 0 || spec.memoryBytes + reserveBytes <= this.#roomBytes();
  }

  #roomBytes(): number {
    const free = this.#options.freeBytes();
    if (this.limitBytes === 0) return free;
    const used = [...this.#slots.values()].reduce((sum, { loaded, spec }) => sum + (loaded ? spec.memoryBytes : 0), 0);
    return Math.min(free, this.limitBytes + reserveBytes - used);
  }

  #unloadable(): Slot[] {
    return [...this.#slots.values()].filter(
      ({ loaded, nActive, spec }) => loaded !== null && nActive === 0 && !this.#pinned.has(spec.id),
    );
  }

  #free(slot: Slot): void {
    this.#keepCosts(slot, 0);
    slot.loaded?.engine.dispose();
    slot.loaded?.model.dispose();
    slot.loaded?.draft?.dispose();
    slot.loaded = null;
    slot.state = 'unloaded';
    slot.grownBytes = 0;
  }

  /** @param everyMs not more often */
  #keepCosts({ spec, loaded }: Slot, everyMs: number): void {
    if (!loaded) return;
    this.#options.costs.keep(costKey(spec, loaded.model), () => loaded.engine.stats().passMs, everyMs);
  }

  /** Ends what runs on it. */
  #drop(slot: Slot): void {
    slot.cancel();
    if (slot.loaded) this.#free(slot);
    if (this.#slots.get(slot.spec.id) === slot) this.#slots.delete(slot.spec.id);
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

function isSame(a: ModelSpec, b: ModelSpec): boolean {
  const keys = ['modelPath', 'name', 'nThreads', 'device', 'nCtx', 'kvPreset', 'chatTemplate'] as const;
  return keys.every((key) => a[key] === b[key]) && a.draft?.modelPath === b.draft?.modelPath;
}

function memoryOf({ loaded, info, grownBytes }: Slot): LoadedModel['memory'] {
  if (!loaded || !info) return null;
  const { kvBytesUsed, kvBytesTotal } = loaded.engine.stats();
  return { weights: info.weightBytes, kvUsed: kvBytesUsed, kv: kvBytesTotal, grown: grownBytes };
}

/** What a pass takes depends on the file, on what computes, and on how many threads do. */
function costKey({ nThreads }: ModelSpec, { info }: NativeModel): string {
  return [info.path, info.fileBytes, info.backend, nThreads].join('\n');
}

function decodingOf({ loaded }: Slot): LoadedModel['decoding'] {
  if (!loaded) return null;
  const { nDecoded, nPasses, decodeMs, plainTokenMs, drafts } = loaded.engine.stats();
  return { nDecoded, nPasses, decodeMs, plainTokenMs, drafts };
}

function nameOf({ info, spec }: Slot): string {
  return info?.name ?? spec.name ?? basename(spec.modelPath);
}

function nTokensOf({ engine }: Loaded): number {
  const { nPrompt, nDecoded } = engine.stats();
  return nPrompt + nDecoded;
}

/** What was saved before is a gift: whatever is wrong with it, the model reads again. */
async function restoreContext({ engine }: Loaded, { contextFile }: ModelSpec): Promise<void> {
  if (contextFile === null) return;
  await engine.restoreCache(contextFile).catch(() => {});
}

function cacheOf({ loaded, spec }: Slot): LoadedModel['cache'] {
  if (!loaded) return null;
  const { kvBytesPerToken, nHead, nHeadKv } = loaded.model.info;
  const { nKvPages: nPages, nKvTokens: nTokens, nPrompt, nReused } = loaded.engine.stats();
  const f16Bytes = nTokens * kvBytesPerToken;
  const mhaBytes = (f16Bytes * nHead) / Math.max(1, nHeadKv);
  return { preset: spec.kvPreset, nPages, nTokens, f16Bytes, mhaBytes, nPrompt, nReused };
}

function outOfMemory({ spec }: Slot, free: number, limitBytes: number) {
  const inGiB = (bytes: number) => `${(Math.max(0, bytes) / 2 ** 30).toFixed(2)} GiB`;
  const room = free - reserveBytes;
  const name = spec.name ?? basename(spec.modelPath);
  const where = limitBytes > 0 ? 'the memory limit of the settings leaves' : 'the system can give';
  return appError('OUT_OF_MEMORY', `${name} needs ${inGiB(spec.memoryBytes)} of memory; ${where} ${inGiB(room)}.`, {
    hint: `Choose a shorter context or a smaller model, ${limitBytes > 0 ? 'or raise the limit.' : 'or close other programs.'}`,
  });
}
