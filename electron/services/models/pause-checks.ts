// What came with Outpost is checked as what is added is, with which preset its context may be kept. But nobody waits for
// it: one model after the other, while the engine is not asked for anything.
import { isAbort } from '../../common/error-info.ts';
import type { ModelEntry } from '../../common/model-contract.ts';

export interface PauseChecksOptions {
  /** What could be checked now; none: the user chose a preset, or the machine runs on its battery. */
  candidates: () => readonly ModelEntry[];
  /** Resolves when the engine has not been asked for anything in a while. @throws if it does not run */
  pause: (signal: AbortSignal) => Promise<void>;
  /** @returns whether it gave way to something else */
  check: (id: string) => Promise<boolean>;
}

export class PauseChecks {
  readonly #options: PauseChecksOptions;
  /** Ended by the user, or not possible: not again before the next start. */
  readonly #over = new Set<string>();
  #abort: AbortController | null = null;

  constructor(options: PauseChecksOptions) {
    this.#options = options;
  }

  /** With each start of the engine, whose end ends it too. */
  start(): void {
    this.stop();
    this.#abort = new AbortController();
    void this.#run(this.#abort.signal);
  }

  stop(): void {
    this.#abort?.abort();
    this.#abort = null;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#next() !== undefined) {
      try {
        await this.#options.pause(signal);
      } catch {
        return; // stopped, or no engine runs: the next one begins again
      }
      const model = this.#next(); // as it is now
      if (model !== undefined) await this.#check(model.id);
    }
  }

  #next(): ModelEntry | undefined {
    return this.#options
      .candidates()
      .find(({ id, kvCheck, state, job }) => kvCheck === null && state === 'ready' && !job && !this.#over.has(id));
  }

  async #check(id: string): Promise<void> {
    try {
      if (!(await this.#options.check(id))) this.#over.add(id);
    } catch (error) {
      // Nobody asked for it, and nobody is told; who asks for it in the view of models hears why.
      if (!isAbort(error)) this.#over.add(id);
    }
  }
}
