// One request to the engine as an async stream: events in order, back pressure by queueing, cancel by signal.
import type { GenerateEvent, StopReason } from '../common/engine-contract.ts';
import { EventStream } from '../common/event-stream.ts';
import { fromNativeError } from './addon.ts';
import type { NativeEngine, NativeGenerateRequest, NativeGenerateStats } from './native.d.ts';

type Generated =
  | Exclude<GenerateEvent, { type: 'done' }>
  | { type: 'done'; reason: StopReason; stats: NativeGenerateStats };
type Queued = { event: Generated } | { failure: unknown };

/**
 * Submits at once and streams until the engine is done; the last event is `done`. Aborting the signal, or leaving the
 * loop, cancels the request before its next token.
 * @throws what the engine says, as an error of the contract
 */
export async function* generate(
  engine: NativeEngine,
  request: NativeGenerateRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<Generated, void, void> {
  signal?.throwIfAborted();
  const queue = new EventStream<Queued>();
  const events = queue.subscribe(undefined);
  const first = events.next(); // starts listening before the first event can come
  let firstTextMs = 0;
  let nFirst = 0;
  const id = submit(engine, request, {
    onPrefill: (nDone, nTotal) => queue.push({ event: { type: 'prefill', nDone, nTotal } }),
    onText: (text, nDecoded) => {
      const nowMs = performance.now();
      if (firstTextMs === 0) [firstTextMs, nFirst] = [nowMs, nDecoded];
      const seconds = (nowMs - firstTextMs) / 1000;
      const tokensPerSecond = seconds > 0 ? (nDecoded - nFirst) / seconds : 0;
      queue.push({ event: { type: 'text', text, nDecoded, tokensPerSecond } });
    },
    onDone: (reason, stats, error) =>
      queue.push(error ? { failure: fromNativeError(error) } : { event: { type: 'done', reason, stats } }),
  });
  const cancel = () => engine.cancel(id);
  signal?.addEventListener('abort', cancel);
  try {
    for (let next = await first; !next.done; next = await events.next()) {
      if ('failure' in next.value) throw next.value.failure;
      yield next.value.event;
      if (next.value.event.type === 'done') return;
    }
  } finally {
    signal?.removeEventListener('abort', cancel);
    engine.cancel(id); // ignored if it is done
    await events.return();
  }
}

/**
 * Runs a request to its end, or until enough is said.
 * @param isEnough asked of the text whenever there is more of it; then the request ends, with reason `stop_string`
 */
export async function generateText(
  engine: NativeEngine,
  request: NativeGenerateRequest,
  signal: AbortSignal | undefined,
  isEnough: (text: string) => boolean = () => false,
): Promise<{ text: string; reason: StopReason; stats: NativeGenerateStats }> {
  const enough = new AbortController();
  const either = signal === undefined ? enough.signal : AbortSignal.any([signal, enough.signal]);
  let text = '';
  for await (const event of generate(engine, request, either)) {
    if (event.type === 'text') {
      text += event.text;
      if (isEnough(text)) enough.abort();
    }
    if (event.type === 'done') {
      signal?.throwIfAborted();
      return { text, reason: enough.signal.aborted ? 'stop_string' : event.reason, stats: event.stats };
    }
  }
  throw new Error('The engine ended a request without saying so.');
}

function submit(...[engine, request, sink]: [NativeEngine, ...Parameters<NativeEngine['submit']>]): number {
  try {
    return engine.submit(request, sink);
  } catch (error) {
    throw fromNativeError(error);
  }
}

/** The fields that have a value: the addon tells absent from undefined no more than the contract does. */
export function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof defined<T>
  >;
}
