// Where a suggestion is worth the engine's time, and how long it may be. Pure rules on the text around the cursor.

/** Fewer letters than this before the cursor say nothing about what comes next. */
const kFewestLetters = 3;

/** A cursor in front of more than closing marks is inside a line, where a prefix-only model guesses badly. */
const kOnlyClosers = /^[\s)\]}>;,'"`]*$/;

/** Why nothing is asked for by itself; null if something is. */
export function silence(prefix: string, suffix: string, fillsGaps: boolean): 'middle' | 'short' | null {
  const restOfLine = suffix.split('\n', 1)[0] ?? '';
  // In the middle of a word even a model that sees both sides only repeats what stands there.
  const isInside = fillsGaps
    ? /[\p{L}\p{N}_]$/u.test(prefix) && /^[\p{L}\p{N}_]/u.test(suffix)
    : !kOnlyClosers.test(restOfLine);
  if (isInside) return 'middle';
  return prefix.trim().length < kFewestLetters ? 'short' : null;
}

/** A block where one is about to start (an opened bracket, a colon, an empty line after code), otherwise a line. */
export function completionMode(prefix: string, restOfLine: string): 'line' | 'block' {
  if (restOfLine.trim() !== '') return 'line';
  const lineStart = prefix.lastIndexOf('\n') + 1;
  if (prefix.slice(lineStart).trim() !== '') return 'line';
  const above = prefix.slice(0, Math.max(0, lineStart - 1)).trimEnd();
  return /[{([:]$|=>$|\b(?:then|do)$/.test(above) ? 'block' : 'line';
}
