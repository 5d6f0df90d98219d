import { expect, it } from 'vitest';
import { follow } from './follow.ts';

it('subscribes again after a stream failed and stops on abort', async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  let subscriptions = 0;
  let downs = 0;
  await follow(
    async () => {
      subscriptions += 1;
      const first = subscriptions === 1;
      return (async function* () {
        yield subscriptions;
        if (first) throw new Error('the process ended');
        yield 99;
      })();
    },
    (event) => {
      seen.push(event);
      if (event === 99) stop.abort();
    },
    stop.signal,
    { retryMs: 0, onDown: () => (downs += 1) },
  );
  expect(seen).toEqual([1, 2, 99]);
  expect(downs).toBe(1);
});
