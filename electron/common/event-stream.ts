// Values pushed by one part of a process and read by any number of streams.
import { EventPublisher } from '@orpc/server';

export class EventStream<T> {
  readonly #publisher = new EventPublisher<{ event: T }>();
  readonly #readers = new Set<object>();

  /** Streams that were neither left nor aborted. */
  get nReaders(): number {
    return this.#readers.size;
  }

  push(event: T): void {
    this.#publisher.publish('event', event);
  }

  /**
   * `first`, then everything pushed from this call on, until the signal aborts; reading throws its reason then.
   * Nothing is dropped for a slow reader: the events are few and each matters. Not a generator: one would start to
   * listen with the first read, and could not be left before it.
   */
  subscribe(signal: AbortSignal | undefined, first: readonly T[] = []): AsyncGenerator<T, void, void> {
    const events = this.#publisher.subscribe('event', { signal, maxBufferedEvents: Infinity });
    const waiting = [...first];
    this.#readers.add(waiting);
    const leave = () => {
      this.#readers.delete(waiting);
      waiting.length = 0;
      signal?.removeEventListener('abort', leave);
    };
    signal?.addEventListener('abort', leave);
    const end = async (): Promise<IteratorResult<T, void>> => {
      leave();
      await events.return();
      return { done: true, value: undefined };
    };
    return {
      next: async () => (waiting.length > 0 ? { done: false, value: waiting.shift() as T } : events.next()),
      return: end,
      throw: async (error: unknown) => {
        await end();
        throw error;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
      [Symbol.asyncDispose]: async () => void (await end()),
    };
  }
}
