// From a conversation to prompt tokens that fit: what a message says never becomes a control token, and the oldest
// turns are left out when the context is too short.
import { appError } from '../common/app-error.ts';
import type { ChatMessage } from '../common/engine-contract.ts';
import type { ChatRenderer } from './chat-template.ts';
import type { NativeModel } from './native.d.ts';

export interface ChatPrompt {
  tokens: Int32Array;
  stop: string[];
  /** Oldest messages that were left out. */
  nDropped: number;
}

type Tokenizer = Pick<NativeModel, 'tokenize' | 'info'>;

/** How a special token may be spelled: <s>, <|im_start|>, [INST]. Whether it is one, the tokenizer says. */
const specialLike = [/<[^<>\s]{1,64}>/g, /\[[^[\]\s]{1,64}\]/g]; // one after the other: "<x[INST]>" holds both

/** A private-use character that occurs nowhere in `texts`. */
function findMarker(texts: readonly string[]): string {
  for (let code = 0xe000; code < 0xf8ff; code++) {
    const marker = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(marker))) return marker;
  }
  throw appError('TEMPLATE_FAILED', 'The conversation uses every private-use character there is.');
}

/**
 * The tokens of a rendered conversation. The template's own special tokens are parsed; where a message spells one,
 * a marker inside of it cuts the text there, so that the two halves are tokenized apart, as plain text.
 */
export function tokenizeChat(
  model: Tokenizer,
  render: ChatRenderer,
  messages: readonly ChatMessage[],
): { tokens: Int32Array; stop: string[] } {
  const marker = findMarker(messages.map(({ content }) => content));
  const isSpecial = memoize((text) => {
    const plain = model.tokenize(text, { addBos: false });
    const parsed = model.tokenize(text, { addBos: false, parseSpecial: true });
    return parsed.length !== plain.length || parsed.some((token, i) => token !== plain[i]);
  });
  const cut = (text: string) => `${text[0]}${marker}${text.slice(1)}`;
  const defuse = (content: string, pattern: RegExp) =>
    content.replace(pattern, (text) => (isSpecial(text) ? cut(text) : text));
  const defused = messages.map(({ role, content }) => ({ role, content: specialLike.reduce(defuse, content) }));
  const { text, stop } = render(defused);
  const pieces = text.split(marker).map((piece, i) => {
    // Many templates write the first token themselves; it must not come twice.
    const addBos = i === 0 && !(model.info.bosText !== '' && piece.startsWith(model.info.bosText));
    return model.tokenize(piece, { addBos, parseSpecial: true });
  });
  return { tokens: concat(pieces), stop };
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
  { nCtx, nReply }: { nCtx: number; nReply: number },
): ChatPrompt {
  const system = messages.filter(({ role }) => role === 'system');
  const turns = messages.filter(({ role }) => role !== 'system');
  const nLimit = nCtx - nReply;
  const attempt = (nDropped: number): ChatPrompt => ({
    ...tokenizeChat(model, render, [...system, ...turns.slice(nDropped)]),
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
