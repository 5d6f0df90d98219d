// The engine process and the models it is to have loaded. A restarted engine loads the same ones again.

import { appError } from '../common/app-error.ts';
import { deviceLossSchema } from '../common/device-loss.ts';
import { engineControlContract } from '../common/engine-contract.ts';
import { isAbort } from '../common/error-info.ts';
import type { ErrorInfo } from '../common/errors.ts';
import type { KvCheck } from '../common/kv-check.ts';
import type { Assignment, Benchmark, Device, MeasuredSpeeds, ModelSpec, SelfTest } from '../common/role-contract.ts';
import { controlClient } from './control-client.ts';
import { SupervisedProcess, type SupervisedProcessOptions } from './supervised-process.ts';

interface EngineProcessOptions
  extends Pick<SupervisedProcessOptions, 'entry' | 'onState' | 'onStarted' | 'onNetworkAttempt'> {
  /** Which models it is to have loaded. */
  assignment: () => Promise<Assignment>;
  /** Something happened that the user should know of. */
  onNotice: (notice: ErrorInfo) => void;
}

/** A GPU that is lost twice within this time is lost for a reason that another process does not take away. */
const lossWindowMs = 10 * 60_000;

type Control = ReturnType<typeof controlClient<typeof engineControlContract>>;

export class EngineProcess {
  readonly process: SupervisedProcess;
  readonly #options: EngineProcessOptions;
  /** Of the process that was started last. */
  #lastControl: Control | null = null;
  #lostAtMs = Number.NEGATIVE_INFINITY;
  /** Of a loss that another process was started for, and that the user was not told of yet. */
  #loss: string | null = null;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
    this.process = new SupervisedProcess({
      entry: options.entry,
      onState: options.onState,
      onNetworkAttempt: options.onNetworkAttempt,
      serviceName: 'Outpost Engine',
      title: 'The engine',
      onMessage: (message) => {
        const loss = deviceLossSchema.safeParse(message);
        if (loss.success) void this.#deviceLost(loss.data.message);
      },
      onStarted: () => {
        this.#lastControl = controlClient(this.process.controlPort(), engineControlContract);
        options.onStarted();
        this.#tellOfLoss();
        void this.load();
      },
    });
  }

  /**
   * Gives the engine its models. How it goes is the engine's status, which the window follows itself.
   * @param again those, too, that were stopped while they were being loaded
   */
  async load(again = false): Promise<void> {
    try {
      const assignment = await this.#options.assignment();
      await this.#control?.assign(again ? { ...assignment, again } : assignment);
    } catch (error) {
      // The process died; the next one loads again.
      if (!isAbort(error)) throw error;
    }
  }

  selfTest(spec: ModelSpec, signal: AbortSignal): Promise<SelfTest> {
    return this.#running().selfTest(spec, { signal });
  }

  benchmark(spec: ModelSpec, signal: AbortSignal): Promise<Benchmark> {
    return this.#running().benchmark(spec, { signal });
  }

  measureSpeeds(types: string[], device: string, nThreads: number): Promise<MeasuredSpeeds> {
    return this.#running().measureSpeeds({ types, device, nThreads });
  }

  gpus(): Promise<Device[]> {
    return this.#running().gpus();
  }

  async pause(signal: AbortSignal): Promise<void> {
    await this.#running().pause(undefined, { signal });
  }

  checkKv(spec: ModelSpec, givesWay: boolean, signal: AbortSignal): Promise<KvCheck | null> {
    return this.#running().checkKv({ spec, givesWay }, { signal });
  }

  /** What models have read; an engine that does not run has nothing in memory. */
  async forget(): Promise<void> {
    try {
      await this.#control?.forget();
    } catch (error) {
      if (!isAbort(error)) throw error; // the process died, and what it had in memory with it
    }
  }

  async #deviceLost(message: string): Promise<void> {
    const nowMs = Date.now();
    const isAgain = nowMs - this.#lostAtMs < lossWindowMs;
    this.#lostAtMs = nowMs;
    this.#loss = isAgain ? null : message;
    if (isAgain) await this.process.giveUp(`The GPU stopped working again. ${message}`);
    else await this.process.replace(message);
  }

  #tellOfLoss(): void {
    if (this.#loss === null) return;
    this.#options.onNotice({
      code: 'DEVICE_LOST',
      message: 'The GPU stopped working, and the engine was started again.',
      hint: 'Replies that ran have ended; ask again. If it stops again soon, the engine stays off.',
      detail: this.#loss,
    });
    this.#loss = null;
  }

  /** Null if no process runs. */
  get #control(): Control | null {
    return this.process.state.state === 'running' ? this.#lastControl : null;
  }

  #running(): Control {
    if (this.#control) return this.#control;
    throw appError('ENGINE_NOT_READY', 'The engine is starting.', { hint: 'Try again in a moment.' });
  }
}
