// Events that a test pushes, for any number of subscribers, in the form in which the RPC client delivers streams.
import { AsyncIteratorClass } from '@orpc/client';

export type Stream<T> = AsyncIteratorClass<T, unknown, void>;

/** A generator as the RPC client would deliver it. */
export function toStream<T>(source: AsyncGenerator<T, void, void>): Stream<T> {
  return new AsyncIteratorClass<T, unknown, void>(
    () => source.next(),
    async () => {
      await source.return();
    },
  );
}

export class EventQueue<T> {
  readonly #subscribers = new Set<(event: T) => void>();

  push(event: T): void {
    for (const subscriber of this.#subscribers) subscriber(event);
  }

  /** A stream of what is pushed from now on (and `first`), until the signal aborts. */
  subscribe(signal?: AbortSignal, first: readonly T[] = []): Stream<T> {
    const waiting = [...first];
    let wake: (() => void) | undefined;
    const subscriber = (event: T) => {
      waiting.push(event);
      wake?.();
    };
    this.#subscribers.add(subscriber);
    const subscribers = this.#subscribers;
    const events = async function* () {
      try {
        while (!signal?.aborted) {
          const event = waiting.shift();
          if (event !== undefined) yield event;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
              signal?.addEventListener('abort', () => resolve(), { once: true });
            });
          }
        }
      } finally {
        subscribers.delete(subscriber);
      }
    };
    return toStream(events());
  }
}
