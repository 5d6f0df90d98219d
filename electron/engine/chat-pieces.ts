// A rendered conversation in pieces, so that what a message says never becomes a control token: the pieces are
// tokenized apart, and every special token that a text spells, or that a text and the template spell together, is cut.
import { appError } from '../common/app-error.ts';
import type { ChatMessage, ChatOptions } from '../common/engine-contract.ts';
import type { ChatRenderer } from './chat-template.ts';
import { mapTexts, textsOf, type Untrusted } from './chat-texts.ts';
import { strip } from './jinja/code-points.ts';

/** How a special token may be spelled: <s>, <|im_start|>, [INST]. Whether it is one, the tokenizer says. */
const specialLike = [/<[^<>\s]{1,64}>/g, /\[[^[\]\s]{1,64}\]/g]; // one after the other: "<x[INST]>" holds both

/** A private-use character that cuts texts. Templates pass it on, as itself or as JSON in ASCII writes it. */
interface Marker {
  char: string;
  pattern: RegExp;
}

function findMarker(texts: readonly string[]): Marker {
  for (let code = 0xe000; code < 0xf8ff; code++) {
    const char = String.fromCharCode(code);
    const escaped = `\\u${code.toString(16)}`;
    if (texts.some((text) => text.includes(char) || text.includes(escaped))) continue;
    return { char, pattern: new RegExp(`${char}|\\${escaped}`, 'g') };
  }
  throw appError('TEMPLATE_FAILED', 'The conversation uses every private-use character there is.');
}

/**
 * @param isSpecial whether a text is a special token of the model
 * @returns pieces that join to the rendered text; what is special in them was written by the template
 */
export function renderPieces(
  isSpecial: (text: string) => boolean,
  render: ChatRenderer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): { pieces: string[]; stop: string[] } {
  const given = { messages, options };
  const marker = findMarker(textsOf(given));
  const cut = (text: string) => `${text[0]}${marker.char}${text.slice(1)}`;
  const defuse = (text: string, pattern: RegExp) =>
    text.replace(pattern, (found) => (isSpecial(found) ? cut(found) : found));
  const defused = mapTexts(given, (text) => specialLike.reduce(defuse, text));

  const rendered = render(defused.messages, defused.options);
  const pieces = rendered.text.split(marker.pattern);
  const fenced = fence(defused, specialsIn(pieces, isSpecial), marker);
  if (!fenced) return { pieces, stop: rendered.stop };
  // A text may be part of a special token that the template completes: "/s" in "<" + name + ">".
  const apart = render(fenced.messages, fenced.options).text.split(marker.pattern);
  const isSafe = specialsIn(pieces, isSpecial).join('\0') === specialsIn(apart, isSpecial).join('\0');
  return { pieces: isSafe ? pieces : apart, stop: rendered.stop };
}

function specialsIn(pieces: readonly string[], isSpecial: (text: string) => boolean): string[] {
  return pieces.flatMap((piece) => specialLike.flatMap((pattern) => piece.match(pattern) ?? [])).filter(isSpecial);
}

/** Cuts before and after each text that could be a part of one of the special tokens; null if there is none. */
function fence(untrusted: Untrusted, specials: readonly string[], { char }: Marker): Untrusted | null {
  const distinct = [...new Set(specials)];
  let isFenced = false;
  const fenced = mapTexts(untrusted, (text) => {
    // White space stays outside: templates trim it.
    const core = strip(text, null, 'both');
    if (core === '' || !distinct.some((special) => mayBePart(core, special))) return text;
    isFenced = true;
    const start = text.indexOf(core);
    return `${text.slice(0, start)}${char}${core}${char}${text.slice(start + core.length)}`;
  });
  return isFenced ? fenced : null;
}

/** Whether a text could stand inside of a special token, end in its beginning or begin with its end. */
function mayBePart(text: string, special: string): boolean {
  if (special.includes(text)) return true;
  for (let n = 1; n < special.length; n++) {
    if (text.endsWith(special.slice(0, n)) || text.startsWith(special.slice(n))) return true;
  }
  return false;
}
