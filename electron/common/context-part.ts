// How much of another file a prompt shows.

/** A screen. */
export const partLines = 64;
/** About 600 tokens. */
export const partChars = 2500;

/** Whole lines from `lines[from]` on; the beginning of the first one where that alone is too long. */
export function partFrom(lines: readonly string[], from: number): string {
  const part = lines.slice(from, from + partLines);
  let nChars = part.reduce((n, line) => n + line.length + 1, -1);
  while (part.length > 1 && nChars > partChars) nChars -= (part.pop()?.length ?? 0) + 1;
  return part.join('\n').slice(0, partChars).toWellFormed();
}
