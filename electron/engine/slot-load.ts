// One load of one model into its slot. It can be given up at any time; what was prepared by then is freed.
import { appError } from '../common/app-error.ts';
import { toErrorInfo } from '../common/error-info.ts';
import { nContexts } from '../common/model-facts.ts';
import { gpusOf, type ModelSpec } from '../common/role-contract.ts';
import { fromNativeError, isNativeError } from './addon.ts';
import { type Loaded, prepareModel, toModelInfo } from './loaded-model.ts';
import { costKey, nTokensOf, type Slot } from './model-slot.ts';
import type { NativeAddon, NativeModel } from './native.d.ts';
import type { PassCosts } from './pass-costs.ts';

export interface SlotLoadTools {
  addon: NativeAddon;
  costs: PassCosts;
  nowMs: () => number;
  /** It is further than before. */
  onProgress: () => void;
}

/** `onProgress` comes at most this often. */
const progressStep = 0.01;

export class SlotLoad {
  readonly #slot: Slot;
  readonly #tools: SlotLoadTools;
  readonly #cancelled = Promise.withResolvers<void>();
  #cancelNative = () => {};
  isCancelled = false;

  constructor(slot: Slot, tools: SlotLoadTools) {
    this.#slot = slot;
    this.#tools = tools;
  }

  /** Resolves when it is given up; else never. */
  get cancelled(): Promise<void> {
    return this.#cancelled.promise;
  }

  cancel(): void {
    this.isCancelled = true;
    this.#cancelled.resolve();
    this.#cancelNative();
  }

  throwIfCancelled(): void {
    if (this.isCancelled) throw new DOMException('The load was cancelled.', 'AbortError');
  }

  /** @throws why it cannot be loaded, or an AbortError */
  async run(): Promise<Loaded> {
    const { addon, nowMs, onProgress } = this.#tools;
    const slot = this.#slot;
    const startMs = performance.now();
    const rssBefore = process.memoryUsage.rss();
    const { nThreads, modelPath, name } = slot.spec;
    const { promise, cancel } = startLoading(addon, modelPath, {
      nThreads,
      ...deviceOptions(slot.spec),
      onProgress: (progress: number) => {
        if (this.isCancelled || progress < slot.progress + progressStep) return;
        slot.progress = progress;
        onProgress();
      },
    });
    this.#cancelNative = cancel;
    const model = await promise;
    if (this.isCancelled) model.dispose();
    this.throwIfCancelled();
    const draft = await this.#loadDraft(model);
    const loaded = this.#prepare(model, draft);
    await restoreContext(loaded, slot.spec);
    if (this.isCancelled) {
      loaded.engine.dispose();
      model.dispose();
      loaded.draft?.dispose();
    }
    this.throwIfCancelled();
    slot.nSaved = nTokensOf(loaded);
    slot.loaded = loaded;
    slot.info = toModelInfo(loaded, name, performance.now() - startMs);
    slot.state = 'ready';
    slot.lastUsedMs = nowMs();
    slot.grownBytes = Math.max(0, process.memoryUsage.rss() - rssBefore);
    return loaded;
  }

  /** A draft model gives way where there is no room for both. */
  #prepare(model: NativeModel, draft: NativeModel | null): Loaded {
    const { nCtx, kvPreset, chatTemplate } = this.#slot.spec;
    try {
      this.throwIfCancelled();
      const passMs = this.#tools.costs.of(costKey(this.#slot.spec, model));
      return prepareModel(model, { nCtx, kvPreset, chatTemplate, draft, passMs });
    } catch (error) {
      draft?.dispose();
      if (draft !== null && isNativeError(error) && error.code === 'out_of_memory') {
        this.#slot.draftProblem = `There is no room for it beside the model. ${error.message}`;
        return this.#prepare(model, null);
      }
      model.dispose();
      throw error;
    }
  }

  /** A model that cannot draft is a pity, not a failure: its target answers without it, and the window says why. */
  async #loadDraft(target: NativeModel): Promise<NativeModel | null> {
    const slot = this.#slot;
    slot.draftProblem = null;
    const { draft: spec, nThreads } = slot.spec;
    if (spec === null) return null;
    // A GPU that has no room for all of the target has none for its draft model.
    const device = target.info.shares.length > 1 ? 'cpu' : slot.spec.device;
    try {
      const { promise, cancel } = startLoading(this.#tools.addon, spec.modelPath, { nThreads, device });
      this.#cancelNative = cancel;
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
}

/** What is asked for beside devices that compute a part of the layers. */
function deviceOptions({ device, deviceLayers, nCtx, kvPreset }: ModelSpec) {
  const gpus = gpusOf(device);
  if (gpus.length === 0) return { device };
  return {
    device: gpus.length === 1 ? device : gpus,
    nDeviceLayers: deviceLayers,
    nDevicePositions: nContexts * nCtx,
    deviceKv: kvPreset,
  };
}

/**
 * Why a model could not be loaded, as the contract knows it. A GPU that cannot be used is an argument that the addon
 * refuses, with the reason; for the user it is a situation.
 */
export async function loadError(addon: NativeAddon, { device }: ModelSpec, error: unknown): Promise<unknown> {
  const gpus = gpusOf(device);
  if (!isNativeError(error) || gpus.length === 0) return fromNativeError(error);
  if (error.code === 'out_of_memory') {
    const hint =
      'Close other programs that use the GPU, give it fewer layers, or have the processor compute the model.';
    return appError('OUT_OF_MEMORY', error.message, { hint }, error);
  }
  if (error.code !== 'invalid_argument') return fromNativeError(error);
  const there = await addon.listDevices().catch(() => []);
  if (gpus.every((gpu) => there.some(({ id, unusable }) => id === gpu && unusable === undefined)))
    return fromNativeError(error);
  const hint = 'Make it available and try again, or have the processor or another GPU compute the model.';
  return appError('DEVICE_UNAVAILABLE', error.message, { hint }, error);
}

/** Arguments that the addon refuses at once fail like everything that goes wrong later. */
function startLoading(addon: NativeAddon, ...args: Parameters<NativeAddon['loadModel']>) {
  try {
    return addon.loadModel(...args);
  } catch (error) {
    return { promise: Promise.reject(error), cancel: () => {} };
  }
}

/** What was saved before is a gift: whatever is wrong with it, the model reads again. */
async function restoreContext({ engine }: Loaded, { contextFile }: ModelSpec): Promise<void> {
  if (contextFile === null) return;
  await engine.restoreCache(contextFile).catch(() => {});
}
