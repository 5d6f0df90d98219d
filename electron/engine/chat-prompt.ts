// From a conversation to prompt tokens that fit: what a message says never becomes a control token, and the oldest
// turns are left out when the context is too short.
import { appError } from '../common/app-error.ts';
import type { ChatMessage, ChatOptions } from '../common/engine-contract.ts';
import { renderPieces } from './chat-pieces.ts';
import type { ChatRenderer } from './chat-template.ts';
import type { NativeModel } from './native.d.ts';

export interface ChatPrompt {
  tokens: Int32Array;
  stop: string[];
  /** Oldest messages that were left out. */
  nDropped: number;
}

type Tokenizer = Pick<NativeModel, 'tokenize' | 'info'>;

/** The tokens of a rendered conversation. The template's own special tokens are parsed, those in texts are not. */
export function tokenizeChat(
  model: Tokenizer,
  render: ChatRenderer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): { tokens: Int32Array; stop: string[] } {
  const isSpecial = memoize((text) => {
    const plain = model.tokenize(text, { addBos: false });
    const parsed = model.tokenize(text, { addBos: false, parseSpecial: true });
    return parsed.length !== plain.length || parsed.some((token, i) => token !== plain[i]);
  });
  const { pieces, stop } = renderPieces(isSpecial, render, messages, options);
  const tokens = pieces.map((piece, i) => {
    // Many templates write the first token themselves; it must not come twice.
    const addBos = i === 0 && !(model.info.bosText !== '' && piece.startsWith(model.info.bosText));
    return model.tokenize(piece, { addBos, parseSpecial: true });
  });
  return { tokens: concat(tokens), stop };
}

/**
 * The longest end of the conversation that leaves `nReply` positions free. The system message and the last question
 * always stay; the oldest turns go, so that what is left begins with a question: many templates insist on it.
 * @throws CONTEXT_FULL if the last question alone is too long
 */
export function buildChatPrompt(
  model: Tokenizer,
  render: ChatRenderer,
  messages: readonly ChatMessage[],
  { nCtx, nReply, ...options }: { nCtx: number; nReply: number } & ChatOptions,
): ChatPrompt {
  const system = messages.filter(({ role }) => role === 'system');
  const turns = messages.filter(({ role }) => role !== 'system');
  const nLimit = nCtx - nReply;
  const attempt = (nDropped: number): ChatPrompt => ({
    ...tokenizeChat(model, render, [...system, ...turns.slice(nDropped)], options),
    nDropped,
  });

  const whole = attempt(0);
  if (whole.tokens.length <= nLimit) return whole;
  const cuts = turns.flatMap(({ role }, i) => (role === 'user' && i > 0 ? [i] : []));
  // More turns dropped, fewer tokens: the smallest cut that fits is found by halving.
  let tooFew = -1;
  let enough = cuts.length - 1;
  let best = attempt(cuts[enough] ?? 0);
  if (best.tokens.length > nLimit) {
    throw appError(
      'CONTEXT_FULL',
      `The message has ${best.tokens.length} tokens with its surroundings; the context of ${model.info.name} has room for ${nLimit}.`,
      { hint: 'Shorten the message or split it into several.' },
    );
  }
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2);
    const prompt = attempt(cuts[middle] ?? 0);
    if (prompt.tokens.length <= nLimit) {
      best = prompt;
      enough = middle;
    } else tooFew = middle;
  }
  return best;
}

function memoize(test: (text: string) => boolean): (text: string) => boolean {
  const known = new Map<string, boolean>();
  return (text) => {
    const value = known.get(text) ?? test(text);
    known.set(text, value);
    return value;
  };
}

function concat(pieces: readonly Int32Array[]): Int32Array {
  const result = new Int32Array(pieces.reduce((n, piece) => n + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
