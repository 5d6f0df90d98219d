// Values pushed by one part of a process and read by any number of streams.
import { EventPublisher } from '@orpc/server';

export class EventStream<T> {
  readonly #publisher = new EventPublisher<{ event: T }>();

  push(event: T): void {
    this.#publisher.publish('event', event);
  }

  /**
   * `first`, then everything pushed from this call on, until the signal aborts. Nothing is dropped for a slow
   * reader: the events are few and each matters.
   */
  async *subscribe(signal: AbortSignal | undefined, first: readonly T[] = []): AsyncGenerator<T, void, void> {
    const events = this.#publisher.subscribe('event', { signal, maxBufferedEvents: Infinity });
    yield* first;
    for await (const event of events) yield event;
  }
}
