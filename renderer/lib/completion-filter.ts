// What makes a raw completion fit to be shown. Pure text rules, in order; the first that fires drops the
// suggestion and its reason goes to the status bar, because silence without a reason is a bug report.

export type FilterReason =
  | 'empty'
  | 'special-token'
  | 'low-confidence'
  | 'repeats-above'
  | 'repeats-below'
  | 'repetition'
  | 'reverses';

export interface CompletionContext {
  /** The document up to the cursor and after it. */
  prefix: string;
  suffix: string;
  /** What the user just deleted in front of the cursor. */
  deleted?: string;
  /** The mean probability of the tokens, as the model saw it; null or absent where that is not known. */
  confidence?: number | null;
}

export type FilterResult = { text: string } | { reason: FilterReason };

/**
 * Markers that models use for roles and for fill-in-the-middle. In a suggestion they mean that the model left
 * the text; everything from the first on is cut. Spellings: Llama 2, ChatML, Llama 3, Zephyr, Qwen2.5-Coder,
 * StarCoder2, DeepSeek-Coder, CodeGemma and Code Llama model cards.
 */
const kSpecialToken =
  /<\/?s>|<unk>|<pad>|<\|[\w▁ -]{1,40}\|>|<｜[\w▁ -]{1,40}｜>|<fim_(?:prefix|middle|suffix|pad)>|<file_sep>|<(?:PRE|SUF|MID|EOT)>|\[\/?INST\]|<<\/?SYS>>/;

const kOpening: Record<string, string> = { ')': '(', ']': '[', '}': '{', '>': '<' };

/** Enough equal lines in a row, or enough repeats of one short unit, to call it a loop. */
const kLoopLines = 4;
const kLoopUnits = 8;

/**
 * The mean probability of a token below which a suggestion is noise. Of 56 that our own model made for places in the lines
 * of this repository, every second one that was surer began with the right word, and none that was less sure (two).
 */
const kLeastConfidence = 0.1;

/** Fewer deleted letters are a slip of the finger, and say nothing against a suggestion that begins with them. */
const kFewestDeleted = 2;

export function filterCompletion(raw: string, context: CompletionContext): FilterResult {
  let text = raw.replaceAll('\r\n', '\n');
  const special = kSpecialToken.exec(text);
  if (special) {
    text = text.slice(0, special.index);
    if (text.trim() === '') return { reason: 'special-token' };
  }
  text = text.trimEnd();
  if (text.trim() === '') return { reason: 'empty' };
  if ((context.confidence ?? 1) < kLeastConfidence) return { reason: 'low-confidence' };
  if (isLoop(text)) return { reason: 'repetition' };
  const deleted = context.deleted?.trim() ?? '';
  if (deleted.length >= kFewestDeleted && text.trimStart().startsWith(deleted)) return { reason: 'reverses' };

  const lineAbove = lastFullLine(context.prefix);
  const lineStart = context.prefix.slice(context.prefix.lastIndexOf('\n') + 1);
  const firstLine = (lineStart + text.split('\n', 1)[0]).trim();
  // A closing bracket or a lone keyword often follows its like; only a line with content repeats by mistake.
  if (firstLine.length > 3 && firstLine === lineAbove) return { reason: 'repeats-above' };

  const trimmed = trimSuffixOverlap(text, context.suffix);
  if (trimmed.trim() === '') return { reason: 'repeats-below' };
  const balanced = trimDuplicateClosers(trimmed, context.suffix);
  if (balanced.trim() === '') return { reason: 'repeats-below' };
  if (repeatsBelow(lineStart, balanced, context.suffix)) return { reason: 'repeats-below' };
  return { text: balanced };
}

/** The last line above the cursor's that is not blank, trimmed. */
function lastFullLine(prefix: string): string {
  const lines = prefix.slice(-4000).split('\n');
  for (let i = lines.length - 2; i >= 0; i--) {
    const line = lines[i]?.trim() ?? '';
    if (line !== '') return line;
  }
  return '';
}

/** Whether every line of the suggestion already stands directly below the cursor's line. */
function repeatsBelow(lineStart: string, text: string, suffix: string): boolean {
  const newline = suffix.indexOf('\n');
  if (newline < 0) return false;
  const below = suffix
    .slice(newline + 1, newline + 4000)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const own = (lineStart + text)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (own.length === 0 || own.join('').length <= 3) return false;
  return own.every((line, i) => line === below[i]);
}

/**
 * Cuts the end of the suggestion where it repeats what follows the cursor: `foo(a|)` + "a, b)" keeps "a, b".
 * Only the rest of the cursor's line counts, without its leading blanks.
 */
export function trimSuffixOverlap(text: string, suffix: string): string {
  const rest = (suffix.split('\n', 1)[0] ?? '').trim();
  if (rest === '') return text;
  for (let length = Math.min(text.length, rest.length); length > 0; length--) {
    if (!text.endsWith(rest.slice(0, length))) continue;
    // A partial overlap of word characters is chance ("e" before "else"); the whole rest or punctuation is not.
    if (length < rest.length && /\w/.test(rest.slice(0, length))) continue;
    return text.slice(0, text.length - length);
  }
  return text;
}

/** Drops closing brackets at the end that were never opened in the suggestion and already follow the cursor. */
export function trimDuplicateClosers(text: string, suffix: string): string {
  let follows = (suffix.split('\n', 1)[0] ?? '').trim();
  let result = text;
  while (result !== '') {
    const last = result.charAt(result.length - 1);
    const opening = kOpening[last];
    if (opening === undefined || !follows.includes(last) || countOf(result, last) <= countOf(result, opening)) break;
    follows = follows.replace(last, '');
    result = result.slice(0, -1).trimEnd();
  }
  return result;
}

function countOf(text: string, character: string): number {
  return text.split(character).length - 1;
}

/** Whether the text is stuck: the same line, or the same short unit, again and again. */
export function isLoop(text: string): boolean {
  const lines = text.split('\n').map((line) => line.trim());
  let run = 1;
  for (let i = 1; i < lines.length; i++) {
    run = lines[i] === lines[i - 1] && lines[i] !== '' ? run + 1 : 1;
    if (run >= kLoopLines && !/^[)\]};,]*$/.test(lines[i] ?? '')) return true;
  }
  // A unit of 2-24 characters repeated to the end; rules of one character ("-----") are legitimate.
  for (let unit = 2; unit <= 24 && unit * kLoopUnits <= text.length; unit++) {
    const tail = text.slice(-unit);
    if (new Set(tail).size > 1 && text.endsWith(tail.repeat(kLoopUnits))) return true;
  }
  return false;
}

/** What an editor puts behind the cursor by itself when an opening mark is typed. */
const kAutomatic = /^[)\]}>"'`]+$/;
const kMostAutomatic = 4;

/**
 * The closing marks that stand before what followed the cursor until now: "" if nothing changed, null if more did.
 * Both texts may be cut at the same length.
 */
export function addedClosers(before: string, now: string): string | null {
  if (before === now) return '';
  for (let n = 1; n <= kMostAutomatic; n++) {
    const [added, rest] = [now.slice(0, n), now.slice(n)];
    const isSame = rest.length >= before.length - n && before.startsWith(rest);
    if (kAutomatic.test(added) && isSame) return added;
  }
  return null;
}

/**
 * What is left of a suggestion after the user typed on: the remainder when the text before the cursor grew by
 * exactly a prefix of it, otherwise null. The text after the cursor must be the same, but for closing marks that came by
 * themselves with what was typed: they are in the suggestion, too, and left out of the remainder.
 */
export function typeThrough(
  shown: { prefix: string; suffix: string; text: string },
  now: { prefix: string; suffix: string },
): string | null {
  if (!now.prefix.startsWith(shown.prefix)) return null;
  const typed = now.prefix.slice(shown.prefix.length);
  const closers = addedClosers(shown.suffix, now.suffix);
  // They came with what was typed only if it opened them.
  if (closers === null || ![...closers].every((mark) => typed.includes(kOpening[mark] ?? mark))) return null;
  if (!shown.text.startsWith(typed)) return null;
  const rest = shown.text.slice(typed.length);
  if (!rest.endsWith(closers)) return null;
  return rest.slice(0, rest.length - closers.length) || null;
}
