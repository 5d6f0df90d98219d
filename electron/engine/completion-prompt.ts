// The tokens that a completion starts from, laid out so that the engine can reuse what it computed for the previous
// keystroke: what changes least stands first.
import type { CompleteRequest } from '../common/engine-contract.ts';
import { type FimFormat, usualWindowChars } from './completion-formats.ts';
import type { NativeModel } from './native.d.ts';

/**
 * The end of `prefix`. Its start moves in steps and not with every keystroke: two requests a few keys apart begin with
 * the same text, so only the new end is computed. It lies at the start of a line where there is one.
 * @return between 3/4 and 3/2 of `windowChars`, or all of a shorter prefix
 */
export function completionWindow(prefix: string, windowChars = usualWindowChars): string {
  const stepChars = windowChars / 2;
  const start = Math.floor(Math.max(0, prefix.length - windowChars) / stepChars) * stepChars;
  if (start === 0) return prefix;
  const newline = prefix.indexOf('\n', start);
  const from = newline >= 0 && newline < start + stepChars / 2 ? newline + 1 : start;
  // Not between the halves of a surrogate pair.
  const code = prefix.charCodeAt(from);
  return prefix.slice(code >= 0xdc00 && code <= 0xdfff ? from + 1 : from);
}

/** Text after the cursor that is shown to the model: what fits on a screen. */
const suffixLines = 64;
const suffixChars = 2000;

/** The beginning of `suffix`, ending with a line where there is one. */
export function completionSuffix(suffix: string): string {
  const lines = suffix.slice(0, suffixChars).split('\n');
  if (suffix.length > suffixChars && lines.length > 1) lines.pop();
  const cut = lines.slice(0, suffixLines).join('\n');
  // Not between the halves of a surrogate pair.
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}

/** Lines behind the cursor that say which candidate fits, blank ones not counted. */
const linesBehind = 2;
const behindChars = 1000;
/**
 * The beginning of it, for a model that was shown it all: a few tokens say which candidate leads there
 * (forge/evaluation/README.md).
 */
const shownBehind = /^(?:\s*\S){1,16}\s*/u;

/** The rest of the cursor's line and the next lines with something in them; "" if there is nothing but blanks. */
export function textBehind(suffix: string): string {
  const lines = suffix.slice(0, behindChars).split('\n');
  let nFilled = 0;
  const end = lines.findIndex((line, i) => i > 0 && line.trim() !== '' && ++nFilled === linesBehind);
  const text = lines.slice(0, end < 0 ? lines.length : end + 1).join('\n');
  if (text.trim() === '') return '';
  // Not between the halves of a surrogate pair.
  return text.isWellFormed() ? text : text.toWellFormed().replace(/\ufffd$/, '');
}

export interface SplitPrefix {
  text: string;
  /** The end of the window that is not in `text`: the reply has to begin with it. At most 256 bytes of UTF-8. */
  beginWith: string;
}

/**
 * The word at the cursor and the blanks before it. A run of more than 32 characters is no word that somebody types, and
 * each token of what the reply begins with takes as long as one of the reply.
 */
const unfinished = /[ \t]{0,127}(?<![\p{L}\p{M}\p{N}_$])[\p{L}\p{M}\p{N}_$]{0,32}$/u;
const unfinishedLine = new RegExp(`\\n?${unfinished.source}`, 'u');

/**
 * The prompt ends before the word at the cursor and its blanks: a vocabulary has tokens for whole words, with the blank
 * before them, so that a model which is shown half a word or a blank alone goes on with another ("    retu" with
 * " = a / b", "return " with a second blank). Blanks and word go together: with the blank left in the prompt, "return a"
 * goes on with a token that follows no blank ("arith"). A line break stays in the prompt.
 * @param takesBreak but not for our own model, which has a break and the indentation behind it in one token, and was trained
 *   with middles that begin with them (forge/cuts.py)
 */
export function splitPrefix(prefix: string, takesBreak = false, windowChars = usualWindowChars): SplitPrefix {
  const window = completionWindow(prefix, windowChars);
  const beginWith = (takesBreak ? unfinishedLine : unfinished).exec(window)?.[0] ?? '';
  return { text: window.slice(0, window.length - beginWith.length), beginWith };
}

/** How a gap is filled. */
export interface Gap extends SplitPrefix {
  /**
   * The model is shown what stands before the cursor, and reads on. Whole lines come out better so where candidates are
   * compared by the text behind: of the two ways to know that text, one is enough.
   */
  isForward: boolean;
  nCandidates: number;
  /** What stands behind the candidates. */
  followedBy: string;
}

/**
 * Our own model fills in inside of a line. At the start of one, and where nothing stands behind the cursor, it does better
 * when it reads forward. (forge/evaluation/README.md)
 */
export function gapOf(
  format: FimFormat | null,
  { prefix, suffix, mode }: Pick<CompleteRequest, 'prefix' | 'suffix' | 'mode'>,
): Gap {
  const { nCandidates, windowChars } = format ?? { nCandidates: 1, windowChars: usualWindowChars };
  if (nCandidates === 1)
    return {
      ...splitPrefix(prefix, /*takesBreak=*/ false, windowChars),
      isForward: false,
      nCandidates,
      followedBy: '',
    };
  const behind = textBehind(suffix);
  const isWholeLine = /(?:^|\n)[ \t]*$/.test(prefix.slice(-windowChars)) && /^[ \t\r]*\n/.test(behind);
  const isForward = behind === '' || (mode === 'line' && isWholeLine);
  const followedBy = isForward ? behind || '\n' : (shownBehind.exec(behind)?.[0] ?? '');
  const candidates = mode === 'line' ? { nCandidates, followedBy } : { nCandidates: 1, followedBy: '' };
  return { ...splitPrefix(prefix, /*takesBreak=*/ true, windowChars), isForward, ...candidates };
}

/** The other way to ask, where a key may lead to it; null if none does. */
export function otherGap(format: FimFormat | null, gap: Gap, { suffix }: Pick<CompleteRequest, 'suffix'>): Gap | null {
  if ((format?.nCandidates ?? 1) === 1 || textBehind(suffix) === '') return null;
  return { ...gap, isForward: !gap.isForward };
}

type Tokenizer = Pick<NativeModel, 'tokenize' | 'info'>;

/**
 * With a format: repository, other files from the one that changes least on, the file's own path, and the two sides of
 * the cursor in the order of the format, or the text before it. Without a format: that alone.
 * @param gap of this request
 * @param nMost tokens that there is room for. Other files go first, the oldest before the others, then the end of the
 *   suffix, then the start of the prefix: the cursor's own surroundings stay.
 */
export function completionPrompt(
  model: Tokenizer,
  format: FimFormat | null,
  request: Pick<CompleteRequest, 'path' | 'suffix' | 'repository' | 'files'>,
  { text, isForward }: Pick<Gap, 'text' | 'isForward'>,
  nMost: number,
): Int32Array {
  const plain = (part: string) => model.tokenize(part, { addBos: false });
  if (format === null) {
    const tokens = model.tokenize(text);
    return tokens.slice(Math.max(0, tokens.length - nMost));
  }
  const { fim } = model.info;
  const begin = model.tokenize('');
  const header = (path: string) =>
    format.hasFiles ? join([[fim.fileSeparator], plain(path), plain('\n')]) : new Int32Array();
  const repository =
    format.hasFiles && fim.repository >= 0
      ? join([[fim.repository], plain(request.repository), plain(format.afterRepository)])
      : new Int32Array();
  const own = header(request.path);
  const middle = format.endsWithMiddle ? [fim.middle] : [];
  const nFixed = begin.length + own.length + 2 + middle.length;

  const prefix = lastOf(plain(text), nMost - nFixed);
  const behind = isForward ? '' : completionSuffix(request.suffix);
  const suffix = plain(behind).slice(0, Math.max(0, nMost - nFixed - prefix.length));
  let nLeft = nMost - nFixed - prefix.length - suffix.length;
  const head: Int32Array[] = [];
  if (repository.length <= nLeft) {
    nLeft -= repository.length;
    // The newest first: they are the last to go.
    for (const { path, text: content } of format.hasFiles ? request.files.toReversed() : []) {
      const file = join([header(path), plain(content.endsWith('\n') ? content : `${content}\n`)]);
      if (file.length > nLeft) break;
      nLeft -= file.length;
      head.unshift(file);
    }
    head.unshift(repository);
  }
  if (isForward) return join([begin, ...head, own, prefix]);
  const before = [[fim.prefix], prefix];
  const after = [[fim.suffix], suffix];
  const sides = format.order === 'spm' ? [...after, ...before] : [...before, ...after];
  return join([begin, ...head, own, ...sides, middle]);
}

function lastOf(tokens: Int32Array, n: number): Int32Array {
  return tokens.slice(Math.max(0, tokens.length - Math.max(0, n)));
}

function join(parts: readonly ArrayLike<number>[]): Int32Array {
  const joined = new Int32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
