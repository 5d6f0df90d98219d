// The text before the cursor, cut so that the engine can reuse what it computed for the previous keystroke.

/**
 * Characters kept before the cursor. About a quarter of them are tokens: what a CPU prefills in two seconds the
 * first time, and finds in its KV cache every time after.
 */
const windowChars = 2000;
const stepChars = 1000;

/**
 * The end of `prefix`. Its start moves in steps and not with every keystroke: two requests a few keys apart begin with
 * the same text, so only the new end is computed. It lies at the start of a line where there is one.
 * @return between `windowChars - stepChars / 2` and `windowChars + stepChars` characters, or all of a shorter prefix
 */
export function completionWindow(prefix: string): string {
  const start = Math.floor(Math.max(0, prefix.length - windowChars) / stepChars) * stepChars;
  if (start === 0) return prefix;
  const newline = prefix.indexOf('\n', start);
  const from = newline >= 0 && newline < start + stepChars / 2 ? newline + 1 : start;
  // Not between the halves of a surrogate pair.
  const code = prefix.charCodeAt(from);
  return prefix.slice(code >= 0xdc00 && code <= 0xdfff ? from + 1 : from);
}

export interface CompletionPrompt {
  text: string;
  /** The end of the window that is not in `text`: the reply has to begin with it. At most 256 bytes of UTF-8. */
  beginWith: string;
}

/**
 * The word at the cursor and the blanks before it. A run of more than 32 characters is no word that somebody types, and
 * each token of what the reply begins with takes as long as one of the reply.
 */
const unfinished = /[ \t]{0,128}(?<![\p{L}\p{M}\p{N}_$])[\p{L}\p{M}\p{N}_$]{0,32}$/u;

/**
 * The prompt ends before the word at the cursor and its blanks: a vocabulary has tokens for whole words, with the blank
 * before them, so that a model which is shown half a word or a blank alone goes on with another ("    retu" with
 * " = a / b", "return " with a second blank). Blanks and word go together: with the blank left in the prompt, "return a"
 * goes on with a token that follows no blank ("arith"). A line break stays in the prompt.
 */
export function completionPrompt(prefix: string): CompletionPrompt {
  const window = completionWindow(prefix);
  const beginWith = unfinished.exec(window)?.[0] ?? '';
  return { text: window.slice(0, window.length - beginWith.length), beginWith };
}
