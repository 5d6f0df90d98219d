// Keeps a subscription alive: when the stream ends or fails (the process behind it was restarted), subscribes
// again. The API itself waits for the new connection, so the pause here only limits a stream that ends at once.

/**
 * Calls `onEvent` for every event until `signal` aborts. A failing subscription is tried again after `retryMs`;
 * `onDown` hears of it first, so that the interface can show that what it holds may be stale.
 */
export async function follow<T>(
  subscribe: (options: { signal: AbortSignal }) => Promise<AsyncIterable<T>>,
  onEvent: (event: T) => void,
  signal: AbortSignal,
  { retryMs = 250, onDown = () => {} }: { retryMs?: number; onDown?: (error: unknown) => void } = {},
): Promise<void> {
  while (!signal.aborted) {
    let failure: unknown;
    try {
      for await (const event of await subscribe({ signal })) {
        if (signal.aborted) return;
        onEvent(event);
      }
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    onDown(failure);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}
