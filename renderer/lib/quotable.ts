// Texts that a reply may quote, within what is worth sending: the engine reads at most 64 KiB of new text per request,
// and remembers what it has read.

const kMostTexts = 32;
const kMostChars = 256 * 1024;

/** @param texts the most likely first @return those, and of the last one its beginning, as far as they fit */
export function quotable(texts: readonly string[]): string[] {
  const kept: string[] = [];
  let nLeft = kMostChars;
  for (const text of texts) {
    if (nLeft <= 0 || kept.length === kMostTexts) break;
    if (text.trim() === '') continue;
    kept.push((text.length > nLeft ? text.slice(0, nLeft) : text).toWellFormed());
    nLeft -= text.length;
  }
  return kept;
}
