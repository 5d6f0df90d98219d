import { expect, it } from 'vitest';
import { EventStream } from './event-stream.ts';

async function take<T>(stream: AsyncIterator<T>, n: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < n) {
    const { done, value } = await stream.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

it('gives the first values, then everything pushed, in order', async () => {
  const events = new EventStream<number>();
  const stream = events.subscribe(undefined, [1, 2]);
  for (const event of [3, 4, 5]) events.push(event);
  expect(await take(stream, 5)).toEqual([1, 2, 3, 4, 5]);
});

it('loses nothing between subscribing and the first read, and keeps any number for a slow reader', async () => {
  const events = new EventStream<number>();
  events.push(-1); // before: not for this reader
  const stream = events.subscribe(undefined);
  const pushed = Array.from({ length: 1000 }, (_, i) => i);
  for (const i of pushed) events.push(i);
  expect(await take(stream, 1000)).toEqual(pushed);
});

it('wakes a reader that waits', async () => {
  const events = new EventStream<string>();
  const stream = events.subscribe(undefined);
  const next = stream.next();
  events.push('hello');
  expect(await next).toEqual({ done: false, value: 'hello' });
});

it('gives every reader every event', async () => {
  const events = new EventStream<number>();
  const streams = [events.subscribe(undefined), events.subscribe(undefined, [0])];
  events.push(1);
  expect(await Promise.all(streams.map((stream) => take(stream, 1)))).toEqual([[1], [0]]);
  expect(await Promise.all(streams.map((stream, i) => take(stream, i)))).toEqual([[], [1]]);
});

it('ends for a reader that waits when its signal aborts, and for nobody else', async () => {
  const events = new EventStream<number>();
  const [stopping, other] = [new AbortController(), new AbortController()];
  const stream = events.subscribe(stopping.signal);
  const staying = events.subscribe(other.signal);
  const next = stream.next();
  stopping.abort();
  await expect(next).rejects.toMatchObject({ name: 'AbortError' });
  events.push(1);
  expect(await take(staying, 1)).toEqual([1]);
  expect(await stream.next()).toMatchObject({ done: true });
});

it('ends for a reader whose signal was aborted before it read', async () => {
  const stopping = new AbortController();
  const stream = new EventStream<number>().subscribe(stopping.signal);
  stopping.abort();
  await expect(stream.next()).rejects.toMatchObject({ name: 'AbortError' });
});

it('forgets a reader that leaves its loop, and one that was never read', async () => {
  const events = new EventStream<number>();
  const unread = events.subscribe(undefined, [1]);
  await unread.return();
  expect(await unread.next()).toMatchObject({ done: true });
  const stream = events.subscribe(undefined, [1]);
  for await (const _ of stream) break;
  expect(await stream.next()).toMatchObject({ done: true });
  expect(events.nReaders).toBe(0);
});

it('forgets a reader that was never read when its signal aborts', () => {
  const events = new EventStream<number>();
  const stopping = new AbortController();
  events.subscribe(stopping.signal);
  expect(events.nReaders).toBe(1);
  stopping.abort();
  expect(events.nReaders).toBe(0);
});
