// The models that are in memory. Several at once, within what is free on each device: a model is loaded when a role or a
// request wants it, and the one that was used longest ago makes room. What runs is never ended for another model.
import { appError } from '../common/app-error.ts';
import { toErrorInfo } from '../common/error-info.ts';
import type { LoadedModel, ModelSpec } from '../common/role-contract.ts';
import { sleep } from '../common/sleep.ts';
import { isNativeError } from './addon.ts';
import { FreeMemory } from './free-memory.ts';
import { LoadRoom } from './load-room.ts';
import type { Loaded } from './loaded-model.ts';
import { costKey, describeSlot, isSame, loadStopped, nameOf, newSlot, nTokensOf, type Slot } from './model-slot.ts';
import type { NativeAddon } from './native.d.ts';
import type { PassCosts } from './pass-costs.ts';
import { loadError, SlotLoad } from './slot-load.ts';

export interface ModelPoolOptions {
  addon: NativeAddon;
  costs: PassCosts;
  /** What the system could give now of the main memory. */
  freeBytes: () => number;
  nowMs: () => number;
  /** A model's state is another. */
  onChange: () => void;
  onLoadFailed: (error: unknown) => void;
  /** A model was unloaded that nobody wanted unloaded. */
  onNotice: (message: string) => void;
}

/** What passes take is written down at most this often while a model is in use. */
const keepCostsMs = 30_000;

export class ModelPool {
  readonly #options: ModelPoolOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #pinned = new Set<string>();
  /** One load at a time: two at once would count the same memory as free. */
  #queue: Promise<unknown> | null = null;
  #onReleased = Promise.withResolvers<void>();
  readonly #useListeners = new Set<() => void>();
  readonly memory: FreeMemory;
  readonly #room: LoadRoom;

  constructor(options: ModelPoolOptions) {
    this.#options = options;
    const slots = () => this.#slots.values();
    this.memory = new FreeMemory({ ...options, slots });
    this.#room = new LoadRoom({
      memory: this.memory,
      slots,
      isPinned: ({ spec }) => this.#pinned.has(spec.id),
      nowMs: options.nowMs,
      unload: (idle, other) => this.#unloadFor(idle, other),
      released: () => this.#onReleased.promise,
    });
  }

  /** The model's info is there from its first load on, also while it is unloaded. */
  get(id: string): Readonly<Pick<Slot, 'spec' | 'state' | 'progress' | 'info' | 'error'>> | undefined {
    return this.#slots.get(id);
  }

  /** Something is computed, or loaded. */
  get isBusy(): boolean {
    return [...this.#slots.values()].some(({ nActive, loading }) => nActive > 0 || loading !== null);
  }

  /** Resolves when nothing has been computed or loaded for `ms`. */
  async quiet(ms: number, signal: AbortSignal): Promise<void> {
    const { nowMs } = this.#options;
    const sinceMs = () =>
      this.isBusy ? nowMs() : Math.max(0, ...[...this.#slots.values()].map(({ lastUsedMs }) => lastUsedMs));
    for (let leftMs = ms; leftMs > 0; leftMs = sinceMs() + ms - nowMs()) await sleep(leftMs, signal);
  }

  /** Calls when a model is used. @returns stops it */
  onUse(listener: () => void): () => void {
    this.#useListeners.add(listener);
    return () => this.#useListeners.delete(listener);
  }

  list(): Omit<LoadedModel, 'roles'>[] {
    return [...this.#slots.values()]
      .filter(({ isRetired, loaded }) => !isRetired || loaded !== null)
      .map((slot) => describeSlot(slot, this.#pinned.has(slot.spec.id)));
  }

  /**
   * Loads a model if it is not there; one with other settings takes the place of the one before at once.
   * @param again even if its load was stopped
   */
  async load(spec: ModelSpec, again = true): Promise<Loaded> {
    let slot = this.#slots.get(spec.id);
    if (slot && !isSame(slot.spec, spec)) {
      this.#drop(slot);
      slot = undefined;
    }
    if (!slot) {
      slot = newSlot(spec, this.#options.nowMs());
      this.#slots.set(spec.id, slot);
    }
    slot.isRetired = false;
    slot.spec = spec; // what it is expected to take may be known only now
    if (slot.loaded && Object.keys(slot.expected).length === 0) slot.expected = spec.memory[0] ?? {};
    if (slot.loaded) return slot.loaded;
    if (slot.state === 'stopped' && !again) throw loadStopped(slot);
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
    for (const listener of this.#useListeners) listener();
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      slot.nActive -= 1;
      slot.lastUsedMs = this.#options.nowMs();
      this.#keepCosts(slot, keepCostsMs);
      if (slot.nActive === 0 && slot.isRetired) this.#drop(slot);
      this.#somethingWasReleased();
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

  /** Frees a model's memory until somebody asks for it, or gives its load up. @throws ENGINE_NOT_READY while it answers */
  unload(id: string): void {
    const slot = this.#slots.get(id);
    if (slot?.loading) {
      slot.cancel();
      slot.loading = null;
      slot.state = 'stopped';
      this.#options.onChange();
    }
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

  #start(slot: Slot): Promise<Loaded> {
    slot.state = 'loading';
    slot.progress = 0;
    slot.error = null;
    const { addon, costs, nowMs, onChange, onLoadFailed } = this.#options;
    const load = new SlotLoad(slot, { addon, costs, nowMs, onProgress: onChange });
    slot.cancel = () => {
      load.cancel();
      this.#somethingWasReleased(); // it may be waiting for room
    };
    const run = async (): Promise<Loaded> => {
      load.throwIfCancelled();
      // What the processor alone computes starts at once where there is room.
      slot.expected = this.#room.known(slot) ?? (await this.#room.make(slot, () => load.throwIfCancelled()));
      for (;;) {
        try {
          return await load.run();
        } catch (error) {
          const isShort = !load.isCancelled && isNativeError(error) && error.code === 'out_of_memory';
          if (!isShort || !this.#room.makeMoreOnGpus(slot)) throw error;
        }
      }
    };
    const loading = this.#queue ? this.#queue.then(run) : run();
    // A load that was cancelled gives way at once; the next must not wait for its end.
    const turn: Promise<void> = Promise.race([loading, load.cancelled])
      .catch(() => {})
      .then(() => {
        if (this.#queue === turn) this.#queue = null;
      });
    this.#queue = turn;
    const settled = loading
      .catch(async (error: unknown) => {
        const mapped = await loadError(addon, slot.spec, error);
        if (load.isCancelled) throw loadStopped(slot);
        slot.state = 'failed';
        slot.error = toErrorInfo(mapped);
        onLoadFailed(mapped);
        throw mapped;
      })
      .finally(() => {
        if (load.isCancelled) return; // another may be under way
        slot.loading = null;
        onChange();
      });
    settled.catch(() => {}); // a failure is a state; whoever asked hears of it
    onChange();
    return settled;
  }

  #somethingWasReleased(): void {
    this.#onReleased.resolve();
    this.#onReleased = Promise.withResolvers();
  }

  #unloadFor(idle: Slot, other: Slot): void {
    this.#free(idle);
    this.#options.onNotice(`${nameOf(idle)} was unloaded to make room for ${nameOf(other)}.`);
    this.#options.onChange();
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
