// One running reply: turns the engine's events into a growing message. At most one update per frame, a copy to
// storage about every second, and every way to end: done, stopped by the user, failed, engine gone.
import type { EngineApi } from '../../../electron/common/api.ts';
import type { StoredMessage } from '../../../electron/common/app-contract.ts';
import type { ChatRequest, GenerateEvent } from '../../../electron/common/engine-contract.ts';
import { isAbort, toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';

/** What the interface shows while a reply runs. */
export interface Reply {
  conversationId: string;
  messageId: string;
  phase: 'loading' | 'waiting' | 'prefill' | 'decode';
  /** Of the model that it waits for, while it does. */
  loadProgress: number;
  nPrefillDone: number;
  nPrefillTotal: number;
  nDecoded: number;
  tokensPerSecond: number;
  /** Oldest messages that did not fit. */
  nDropped: number;
}

interface RunReplyOptions {
  engine: EngineApi;
  request: ChatRequest;
  /** The empty answer; returned filled. */
  message: StoredMessage;
  conversationId: string;
  signal: AbortSignal;
  nowMs: () => number;
  schedule: (update: () => void) => void;
  onReply: (reply: Reply) => void;
  onMessage: (message: StoredMessage) => void;
  store: (message: StoredMessage) => Promise<void>;
}

const kStoreEveryMs = 1000;

const kEngineGone: ErrorInfo = {
  code: 'ENGINE_NOT_READY',
  message: 'The engine stopped while it was answering.',
  hint: 'It is started again. What it wrote so far is kept.',
};

/** Runs until the reply ends in any way; never rejects. @return the message as it should be stored */
export async function runReply(options: RunReplyOptions): Promise<StoredMessage> {
  const { engine, request, signal, nowMs, schedule, onReply, onMessage, store } = options;
  let message = options.message;
  let reply: Reply = {
    conversationId: options.conversationId,
    messageId: message.id,
    phase: 'waiting',
    loadProgress: 0,
    nPrefillDone: 0,
    nPrefillTotal: 0,
    nDecoded: 0,
    tokensPerSecond: 0,
    nDropped: 0,
  };
  let isScheduled = false;
  let isOver = false;
  let storedAtMs = nowMs();

  const update = () => {
    isScheduled = false;
    if (isOver) return;
    onReply(reply);
    onMessage(message);
    if (nowMs() - storedAtMs < kStoreEveryMs) return;
    storedAtMs = nowMs();
    void store(message);
  };
  const changed = () => {
    if (isScheduled) return;
    isScheduled = true;
    schedule(update);
  };
  const handle = (event: GenerateEvent): boolean => {
    if (event.type === 'loading') reply = { ...reply, phase: 'loading', loadProgress: event.progress };
    else if (event.type === 'shortened') reply = { ...reply, nDropped: event.nDropped };
    else if (event.type === 'prefill') {
      reply = { ...reply, phase: 'prefill', nPrefillDone: event.nDone, nPrefillTotal: event.nTotal };
    } else if (event.type === 'text') {
      const { nDecoded, tokensPerSecond } = event;
      reply = { ...reply, phase: 'decode', nDecoded, tokensPerSecond };
      message = { ...message, content: message.content + event.text };
    } else {
      const status = event.reason === 'cancelled' ? 'stopped' : 'complete';
      message = { ...message, status, stats: event.stats, reason: event.reason };
      return true;
    }
    changed();
    return false;
  };

  onReply(reply);
  try {
    let isDone = false;
    for await (const event of await engine.chat(request, { signal })) isDone = handle(event) || isDone;
    if (!isDone) message = ended(message, signal, kEngineGone);
  } catch (error) {
    message = ended(message, signal, isAbort(error) ? kEngineGone : toErrorInfo(error));
  }
  isOver = true;
  return message;
}

/** A reply that ended without the engine saying so: by the user, or by a failure. */
function ended(message: StoredMessage, signal: AbortSignal, failure: ErrorInfo): StoredMessage {
  if (signal.aborted) return { ...message, status: 'stopped', reason: 'cancelled' };
  return { ...message, status: 'failed', reason: 'error', error: failure };
}
