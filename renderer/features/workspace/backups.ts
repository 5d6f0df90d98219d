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
  /** Buffers whose last copy could not be written. */
  readonly #failed = new Set<string>();
  #failure: ErrorInfo | null = null;

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
    this.#failed.clear();
  }

  /** Writes what is not on disk yet, and again what could not be written. @return why it is still not; null if it is */
  async flush(): Promise<ErrorInfo | null> {
    for (const id of new Set([...this.#waiting.keys(), ...this.#failed])) this.#write(id);
    await this.#last;
    return this.#failed.size > 0 ? this.#failure : null;
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
    this.#enqueue(id, () => this.#api.put({ id, path, title, languageId, text, encoding, version }));
  }

  #remove(id: string): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
    this.#failed.delete(id);
    if (this.#kept.delete(id)) this.#enqueue(null, () => this.#api.delete({ id }));
  }

  /** @param id whose text the call brings to safety; null for a copy that is not needed any more */
  #enqueue(id: string | null, call: () => Promise<unknown>): void {
    this.#last = this.#last.then(call).then(
      () => {
        this.#failure = null;
        if (id !== null) this.#failed.delete(id);
      },
      (error) => {
        const failure = toErrorInfo(error);
        // Once per run of failures: the user must know, but not with every key.
        if (this.#failure === null) this.#onError(failure);
        this.#failure = failure;
        if (id !== null && this.#buffers.get(id)?.isDirty) this.#failed.add(id);
      },
    );
  }
}
