// What the engine process and its model are doing, as the window sees it.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { AppApi, EngineApi } from '../../../electron/common/api.ts';
import type { ProcessState } from '../../../electron/common/app-contract.ts';
import type { CompletionModel, EngineStatus } from '../../../electron/common/engine-contract.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import { follow } from '../../lib/follow.ts';

export interface ModelState {
  /** Of the chat's model. Null until the engine process said something, and after it died. */
  status: EngineStatus | null;
  /** Null while there is none. */
  completionModel: CompletionModel;
  process: ProcessState;
}

export interface ModelDeps {
  engine: EngineApi;
  app: AppApi;
  onError: (error: ErrorInfo) => void;
}

export class ModelStore {
  readonly store: StoreApi<ModelState>;
  readonly #deps: ModelDeps;

  constructor(deps: ModelDeps) {
    this.#deps = deps;
    this.store = createStore<ModelState>(() => ({
      status: null,
      completionModel: null,
      process: { state: 'starting' },
    }));
  }

  get isReady(): boolean {
    return this.store.getState().status?.state === 'ready';
  }

  get canComplete(): boolean {
    return this.store.getState().completionModel !== null;
  }

  /** Whether the model that completes was trained to see what follows the cursor. */
  get fillsGaps(): boolean {
    return this.store.getState().completionModel?.hasFim ?? false;
  }

  get modelName(): string | null {
    const { status } = this.store.getState();
    return status?.state === 'ready' ? status.model.name : null;
  }

  /** Follows what the engine says of both over restarts until `signal` aborts. */
  follow(signal: AbortSignal): void {
    const { engine } = this.#deps;
    void follow(
      (options) => engine.status(undefined, options),
      (status) => this.store.setState({ status }),
      signal,
      { onDown: () => this.store.setState({ status: null }) },
    );
    void follow(
      (options) => engine.completionModel(undefined, options),
      ({ model }) => this.store.setState({ completionModel: model }),
      signal,
      { onDown: () => this.store.setState({ completionModel: null }) },
    );
  }

  processChanged(process: ProcessState): void {
    // A dead process has no status; the next one sends its own.
    this.store.setState(
      process.state === 'restarting' || process.state === 'failed'
        ? { process, status: null, completionModel: null }
        : { process },
    );
  }

  chooseFile(): Promise<void> {
    return this.#run(() => this.#deps.app.models.choose());
  }

  loadDefault(): Promise<void> {
    return this.#run(() => this.#deps.app.models.useDefault());
  }

  reload(): Promise<void> {
    return this.#run(() => this.#deps.app.models.reload());
  }

  /** Gives up the load that the chat waits for. */
  async stopLoading(): Promise<void> {
    const { status } = this.store.getState();
    if (status?.state !== 'loading') return;
    await this.#run(() => this.#deps.engine.unload({ id: status.id }));
  }

  restartEngine(): Promise<void> {
    return this.#run(() => this.#deps.app.processes.restart({ process: 'engine' }));
  }

  /** For a GPU that cannot be used, or that stops again and again, which has ended the engine. */
  leaveGpus(): Promise<void> {
    return this.#run(async () => {
      await this.#deps.app.models.leaveGpus();
      if (this.store.getState().process.state === 'failed')
        await this.#deps.app.processes.restart({ process: 'engine' });
    });
  }

  async #run(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.#deps.onError(toErrorInfo(error));
    }
  }
}

/** Why no question can be sent now, in a few words; null if one can: it waits for a load, and begins one that was stopped. */
export function blockedReason(state: ModelState): string | null {
  return waitNote(state) === null ? notReadyReason(state) : null;
}

/** What a question would wait for; null if for nothing, or if it cannot be sent. */
export function waitNote(state: ModelState): string | null {
  const { status } = state;
  // In two lines beside a button: there is not much room.
  if (status?.state === 'loading') return `Loading, ${percentOf(status)}. A question waits for it.`;
  return status?.state === 'stopped' ? 'Loading was stopped. A question begins it again.' : null;
}

const percentOf = ({ progress }: { progress: number }) => `${Math.round(progress * 100)} %`;

/** What can be done about the load of the chat's model. */
export function loadAction({ status }: ModelState): 'stop' | 'load' | null {
  if (status?.state === 'loading') return 'stop';
  return status?.state === 'stopped' ? 'load' : null;
}

/** Why nothing is completed now, in a few words; null if a model does. */
export function noCompletionReason(state: ModelState): string | null {
  return state.completionModel === null ? (notReadyReason(state) ?? 'Its model is loading.') : null;
}

/** Why nothing is answered now, in a few words; null if the model is ready. */
export function notReadyReason({ status, process }: Pick<ModelState, 'status' | 'process'>): string | null {
  if (process.state === 'restarting') return 'The engine is starting again.';
  if (process.state === 'failed') return 'The engine is not running.';
  if (status === null) return 'The engine is starting.';
  if (status.state === 'loading') return `The model is loading, ${percentOf(status)}.`;
  if (status.state === 'stopped') return 'Loading the model was stopped.';
  if (status.state === 'failed') return 'The model could not be loaded.';
  return status.state === 'idle' ? 'No model is loaded.' : null;
}
