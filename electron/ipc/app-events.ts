// Everything main tells the window of its own accord.
import type { AppEvent } from '../common/app-contract.ts';
import type { ErrorInfo } from '../common/errors.ts';
import { EventStream } from '../common/event-stream.ts';

export class AppEvents {
  readonly #stream = new EventStream<AppEvent>();
  /** From before there was a window to hear of it. */
  readonly #early: AppEvent[] = [];

  /** Whether a page listens. */
  get isHeard(): boolean {
    return this.#stream.nReaders > 0;
  }

  push(event: AppEvent): void {
    this.#stream.push(event);
  }

  /** Shown now, or as soon as there is a window. */
  notice(notice: ErrorInfo): void {
    this.#tell({ type: 'notice', notice });
  }

  /** The user started the app again, with a folder. */
  openRequest(root: string): void {
    this.#tell({ type: 'openRequest', root });
  }

  #tell(event: AppEvent): void {
    if (this.isHeard) this.push(event);
    else this.#early.push(event);
  }

  subscribe(signal: AbortSignal | undefined, first: readonly AppEvent[]): AsyncGenerator<AppEvent, void, void> {
    return this.#stream.subscribe(signal, [...first, ...this.#early.splice(0)]);
  }
}
