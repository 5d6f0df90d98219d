// Copies of unsaved text, so that closing the window, a crash or a power cut loses at most half a second of typing.
import type { AppApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { TextStore } from '../../editor/text-store.ts';
import type { BuffersStore } from './buffers-store.ts';

const kDelayMs = 500;

export class Backups {
  readonly #api: AppApi['backups'];
  readonly #buffers: BuffersStore;
  readonly #texts: TextStore;
  readonly #onError: (error: ErrorInfo) => void;
  /** Buffers whose backup is older than their text, with the timer that will write it. */
  readonly #waiting = new Map<string, ReturnType<typeof setTimeout>>();
  /** Buffers that have a backup on disk. */
  readonly #kept = new Set<string>();
  /** Calls run one after another: a delete must not overtake the put before it. */
  #last: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(api: AppApi['backups'], buffers: BuffersStore, texts: TextStore, onError: (error: ErrorInfo) => void) {
    this.#api = api;
    this.#buffers = buffers;
    this.#texts = texts;
    this.#onError = onError;
    texts.onChange((id) => this.#schedule(id));
    buffers.store.subscribe((state, before) => {
      for (const id of Object.keys(before.buffers)) {
        const was = before.buffers[id];
        const is = state.buffers[id];
        if (was !== is && (!is || (was?.isDirty && !is.isDirty))) this.#remove(id);
      }
    });
  }

  /** Backups found at the start belong to buffers now: they go when those are saved. */
  adopt(ids: readonly string[]): void {
    for (const id of ids) this.#kept.add(id);
  }

  /** Forgets the open buffers without deleting their copies: the folder is being closed. */
  release(): void {
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    this.#kept.clear();
  }

  /** Resolves when every unsaved text is on disk. */
  async flush(): Promise<void> {
    for (const id of [...this.#waiting.keys()]) this.#write(id);
    await this.#last;
  }

  #schedule(id: string): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.set(
      id,
      setTimeout(() => this.#write(id), kDelayMs),
    );
  }

  #write(id: string): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
    const buffer = this.#buffers.get(id);
    if (!buffer?.isDirty) return;
    const { path, title, languageId, encoding, version } = buffer;
    const text = this.#texts.text(id);
    this.#kept.add(id);
    this.#enqueue(() => this.#api.put({ id, path, title, languageId, text, encoding, version }));
  }

  #remove(id: string): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
    if (this.#kept.delete(id)) this.#enqueue(() => this.#api.delete({ id }));
  }

  #enqueue(call: () => Promise<unknown>): void {
    this.#last = this.#last.then(call).then(
      () => {
        this.#hasFailed = false;
      },
      (error) => {
        // Once per run of failures: the user must know, but not with every key.
        if (!this.#hasFailed) this.#onError(toErrorInfo(error));
        this.#hasFailed = true;
      },
    );
  }
}
