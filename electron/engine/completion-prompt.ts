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
  /** The blanks before the cursor, which are not in `text`. */
  blanks: string;
}

/**
 * The prompt ends before the blanks at the cursor: vocabularies join a blank with the word after it, so that a model
 * which is shown the blank alone goes on with another one.
 */
export function completionPrompt(prefix: string): CompletionPrompt {
  const window = completionWindow(prefix);
  const text = window.replace(/[ \t]+$/, '');
  return { text, blanks: window.slice(text.length) };
}

/** What follows the cursor: the model's text without the blanks that stand there already. */
export function afterBlanks(text: string, blanks: string): string {
  return text.startsWith(blanks) ? text.slice(blanks.length) : text.replace(/^[ \t]+/, '');
}
