// Speech for a growing reply: a screen reader should hear whole sentences, not tokens.

/** Longest text that is held back while no sentence ends, so that a long list is not silent for minutes. */
const kLongestWait = 400;

/**
 * The part of `text` after `spoken` that forms whole sentences or lines.
 * @return the offset up to which to speak; `spoken` if there is nothing yet
 */
export function sentenceEnd(text: string, spoken: number): number {
  const rest = text.slice(spoken);
  let end = 0;
  // "3.5" and "e.g. x" stay together well enough: a sentence ends before a blank or a line break.
  for (const match of rest.matchAll(/[.!?…:][)"'*_`\]]*(?=\s)|\n/g)) end = match.index + match[0].length;
  if (end === 0 && rest.length > kLongestWait) end = rest.lastIndexOf(' ') + 1;
  return spoken + end;
}

/** Markdown reduced to what should be heard: no fences, markers or link targets. */
export function speakable(markdown: string): string {
  return markdown
    .replace(/```[^\n]*\n?/g, ' ')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/^[ \t]*(?:#{1,6}|[-*+]|>)\s+/gm, '')
    .replace(/[*_`]+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
