import { expect, it } from 'vitest';
import type { GenerateEvent } from '../common/engine-contract.ts';
import { generate, generateText } from './generation.ts';
import { FakeEngine, nativeError, stats } from './testing/fake-addon.ts';

const request = { tokens: Int32Array.of(1, 2), nPredict: 10 };

it('gives the events in order and ends with done', async () => {
  const engine = new FakeEngine();
  const events: GenerateEvent[] = [];
  const reading = (async () => {
    for await (const event of generate(engine, request, undefined)) events.push(event);
  })();
  const { sink, done } = await engine.submitted();
  sink.onPrefill?.(1, 2);
  sink.onPrefill?.(2, 2);
  sink.onText?.('a', 1);
  sink.onText?.('bc', 3);
  done('end_of_text');
  await reading;
  expect(events.map((event) => (event.type === 'text' ? event.text : event.type))).toEqual([
    'prefill',
    'prefill',
    'a',
    'bc',
    'done',
  ]);
  expect(events.at(-1)).toEqual({ type: 'done', reason: 'end_of_text', stats });
});

it('counts the speed from the first text on, and is never infinite', async () => {
  const engine = new FakeEngine();
  const stream = generate(engine, request, undefined);
  const first = stream.next();
  const { sink } = await engine.submitted();
  sink.onText?.('a', 5);
  sink.onText?.('b', 6);
  const speeds = [(await first).value, (await stream.next()).value].map((event) =>
    event?.type === 'text' ? event.tokensPerSecond : null,
  );
  expect(speeds[0]).toBe(0);
  expect(speeds[1]).toBeGreaterThanOrEqual(0);
  expect(speeds.every(Number.isFinite)).toBe(true);
  await stream.return();
});

it('takes events that the engine sends while it takes the request', async () => {
  const engine = new FakeEngine();
  const submit = engine.submit.bind(engine);
  engine.submit = (request, sink) => {
    const id = submit(request, sink);
    sink.onText?.('early', 1);
    engine.requests[id]?.done('length');
    return id;
  };
  expect(await generateText(engine, request, undefined)).toEqual({ text: 'early', reason: 'length', stats });
});

it('submits nothing for a signal that was aborted before', async () => {
  const engine = new FakeEngine();
  await expect(generate(engine, request, AbortSignal.abort()).next()).rejects.toMatchObject({ name: 'AbortError' });
  expect(engine.requests).toEqual([]);
});

it('cancels in the engine the moment the signal aborts', async () => {
  const engine = new FakeEngine();
  const stopping = new AbortController();
  const stream = generate(engine, request, stopping.signal);
  const first = stream.next();
  const running = await engine.submitted();
  running.sink.onText?.('a', 1);
  await first;
  stopping.abort();
  expect(running.isCancelled).toBe(true); // at once, not when somebody reads on
  expect((await stream.next()).value).toMatchObject({ type: 'done', reason: 'cancelled' });
  expect(await stream.next()).toMatchObject({ done: true });
});

it('cancels when the loop is left', async () => {
  const engine = new FakeEngine();
  void engine.submitted().then(({ sink }) => sink.onText?.('a', 1));
  for await (const _ of generate(engine, request, undefined)) break;
  expect(engine.requests[0]?.isCancelled).toBe(true);
});

it('throws what the engine fails with, in terms of the contract', async () => {
  const engine = new FakeEngine();
  const failing = generateText(engine, request, undefined);
  (await engine.submitted()).done('error', nativeError('out_of_memory', 'No room for the KV cache.'));
  await expect(failing).rejects.toMatchObject({
    code: 'OUT_OF_MEMORY',
    message: 'No room for the KV cache.',
    data: { hint: expect.any(String) },
  });
  engine.refusal = nativeError('context_full');
  await expect(generateText(engine, request, undefined)).rejects.toMatchObject({ code: 'CONTEXT_FULL' });
  engine.refusal = new TypeError('nPredict must be a number');
  await expect(generateText(engine, request, undefined)).rejects.toBe(engine.refusal);
});

it('is an abort, not a shorter text, if a completion is cancelled by its caller', async () => {
  const engine = new FakeEngine();
  const stopping = new AbortController();
  const text = generateText(engine, request, stopping.signal);
  (await engine.submitted()).sink.onText?.('half', 1);
  stopping.abort();
  await expect(text).rejects.toMatchObject({ name: 'AbortError' });
});
