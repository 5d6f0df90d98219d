import { EventEmitter, once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { createORPCClient, ORPCError } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import { eventIterator } from '@orpc/contract';
import { implement } from '@orpc/server';
import { expect, it, onTestFinished, vi } from 'vitest';
import { z } from 'zod';
import { asElectronPort, connect } from '../testing/connect.ts';
import { appError } from './app-error.ts';
import { procedure } from './errors.ts';
import { kMostMessageChars, serveParentPorts } from './serve.ts';

const contract = {
  square: procedure.input(z.object({ n: z.number().max(100) })).output(z.number()),
  fail: procedure.input(z.object({ how: z.enum(['disk', 'bug', 'string', 'output']) })).output(z.number()),
  wait: procedure.output(z.number()),
  count: procedure
    .input(z.object({ to: z.number(), end: z.enum(['done', 'disk', 'bug', 'never']) }))
    .output(eventIterator(z.number())),
};

/** Serves the contract. Every `wait` and endless `count` that runs puts its signal here. */
function served() {
  const signals: AbortSignal[] = [];
  const started = new EventEmitter();
  const begin = (signal: AbortSignal | undefined) => {
    if (signal) signals.push(signal);
    started.emit('started');
    return signal;
  };
  const forever = (signal: AbortSignal | undefined) =>
    new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  const fail = (how: string): number => {
    if (how === 'disk') throw appError('DISK_FULL', 'The disk is full.', { hint: 'Free some space.' });
    if (how === 'bug') throw new TypeError('x is undefined');
    if (how === 'string') throw 'text';
    return how as unknown as number;
  };
  const os = implement(contract);
  const router = os.router({
    square: os.square.handler(({ input: { n } }) => n * n),
    fail: os.fail.handler(({ input: { how } }) => fail(how)),
    wait: os.wait.handler(({ signal }) => forever(begin(signal))),
    count: os.count.handler(async function* ({ input: { to, end }, signal }) {
      for (let i = 0; i < to; i++) yield i;
      if (end === 'never') await forever(begin(signal));
      if (end !== 'done') fail(end);
    }),
  });
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  return { router, signals, started, log, ...connect(contract, router) };
}

it('answers calls, many at a time', async () => {
  const { client } = served();
  expect(await Promise.all([1, 2, 3].map((n) => client.square({ n })))).toEqual([1, 4, 9]);
});

it('keeps code, sentence and hint of an error for the user, and does not log it', async () => {
  const { client, log } = served();
  await expect(client.fail({ how: 'disk' })).rejects.toMatchObject({
    code: 'DISK_FULL',
    message: 'The disk is full.',
    data: { hint: 'Free some space.' },
    defined: true,
  });
  expect(log).not.toHaveBeenCalled();
});

it.each([
  ['an exception', { how: 'bug' }, 'x is undefined'],
  ['a thrown string', { how: 'string' }, 'text'],
  ['an answer that breaks the contract', { how: 'output' }, ''],
] as const)('makes %s INTERNAL, with details, and logs it', async (_name, input, detail) => {
  const { client, log } = served();
  const error = await client.fail(input).then(
    () => null,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ORPCError);
  expect(error).toMatchObject({ code: 'INTERNAL', data: { detail: expect.stringContaining(detail) } });
  expect(log).toHaveBeenCalledOnce();
});

it.each([{ n: '5' }, { n: 101 }, {}, null, 'text', [1], undefined])('refuses %j as the input', async (input) => {
  const { client, log } = served();
  await expect(client.square(input as { n: number })).rejects.toMatchObject({
    code: 'INTERNAL',
    message: 'Something unexpected went wrong in square.',
  });
  expect(log).toHaveBeenCalledOnce();
});

it('streams in order and ends', async () => {
  const { client } = served();
  const seen: number[] = [];
  for await (const i of await client.count({ to: 1000, end: 'done' })) seen.push(i);
  expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => i));
});

it('ends a stream with the error that ended it', async () => {
  const { client, log } = served();
  const drain = async (end: 'disk' | 'bug') => {
    for await (const _ of await client.count({ to: 1, end }));
  };
  await expect(drain('disk')).rejects.toMatchObject({ code: 'DISK_FULL', data: { hint: 'Free some space.' } });
  expect(log).not.toHaveBeenCalled();
  await expect(drain('bug')).rejects.toMatchObject({
    code: 'INTERNAL',
    message: 'Something unexpected went wrong in count.',
    data: { detail: expect.stringContaining('x is undefined') },
  });
  expect(log).toHaveBeenCalledOnce();
});

it('aborts a call when the caller does', async () => {
  const { client, signals, started, log } = served();
  const stopping = new AbortController();
  const call = client.wait(undefined, { signal: stopping.signal });
  await once(started, 'started');
  stopping.abort();
  await expect(call).rejects.toMatchObject({ name: 'AbortError' });
  await vi.waitUntil(() => signals[0]?.aborted);
  expect(log).not.toHaveBeenCalled();
});

it('aborts a stream whose reader leaves', async () => {
  const { client, signals, started } = served();
  const stream = await client.count({ to: 1, end: 'never' });
  await stream.next();
  if (signals.length === 0) await once(started, 'started');
  await stream.return?.();
  await vi.waitUntil(() => signals[0]?.aborted);
});

it('aborts what still runs when the port closes', async () => {
  const { client, port, signals, started } = served();
  client.wait().catch(() => {});
  await once(started, 'started');
  port.close();
  await vi.waitUntil(() => signals[0]?.aborted);
});

it.each([
  ['text', 'not JSON'],
  ['a number', 7],
  ['null', null],
  ['an empty object', '{}'],
  ['JSON of another kind', '[]'],
  ['null as JSON', 'null'],
  ['no address', '{"i":"x","p":{}}'],
  ['a strange address', '{"i":"x","p":{"u":"::"}}'],
  ['an address elsewhere', '{"i":"x","p":{"u":"https://example.com/square","b":{"json":{"n":1}}}}'],
  ['an unknown procedure', '{"i":"x","p":{"u":"/constructor/prototype"}}'],
  ['strange headers', '{"i":"x","p":{"u":"/square","h":7}}'],
  ['an answer nobody asked for', '{"i":"9","t":3,"p":{"e":"message","d":1}}'],
  ['an event without content', '{"i":"9","t":3}'],
  ['a number as the body', '{"i":"x","p":{"u":"/square","b":7}}'],
  ['a strange serialization', '{"i":"x","p":{"u":"/square","b":{"json":{"n":1},"meta":[[99,"__proto__","x"]]}}}'],
  ['a strange map of files', '{"i":"x","p":{"u":"/square","b":{"json":{"n":1},"meta":7,"maps":3}}}'],
  ['bytes', new Uint8Array([255, 255, 0])],
  ['an object', { i: 'x', p: null }],
])('survives %s on the port', async (_name, message) => {
  const { client, port } = served();
  port.postMessage(message);
  expect(await client.square({ n: 3 })).toBe(9);
});

it('drops a call that is longer than any that is meant, unread', async () => {
  const { client, port, log } = served();
  const parse = vi.spyOn(JSON, 'parse');
  onTestFinished(() => parse.mockRestore());
  port.postMessage(`{"i":"x","p":{"u":"/square","b":{"json":{"n":1}}}}${' '.repeat(kMostMessageChars)}`);
  expect(await client.square({ n: 3 })).toBe(9);
  expect(log).toHaveBeenCalledWith('A message was dropped:', expect.objectContaining({ name: 'ZodError' }));
  expect(parse.mock.calls.some(([read]) => read.length > 1000)).toBe(false);
});

it('serves every port that main hands over, each client with its own router', async () => {
  const os = implement({ who: procedure.output(z.string()) });
  const routerOf = (name: string) => os.router({ who: os.who.handler(() => name) });
  const parent = new EventEmitter();
  serveParentPorts(parent, { renderer: routerOf('renderer'), main: routerOf('main') });
  const ask = (client: string) => {
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => port2.close());
    parent.emit('message', { data: { type: 'serve', client }, ports: [asElectronPort(port1)] });
    const link = new RPCLink({ port: port2 as never });
    port2.start();
    return createORPCClient<{ who: () => Promise<string> }>(link).who();
  };
  expect(await Promise.all(['renderer', 'main', 'renderer'].map(ask))).toEqual(['renderer', 'main', 'renderer']);
  parent.emit('message', { data: { type: 'other' }, ports: [] });
  parent.emit('message', { data: { type: 'serve', client: 'main' }, ports: [] });
});
