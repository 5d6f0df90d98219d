// Replacing what a search found. The text may have changed since: nothing is replaced unless every match is still
// exactly where it was found.

export interface TextMatch {
  /** From 1; lines end at "\n" and nothing else. */
  line: number;
  /** UTF-16 units from the start of the line. */
  start: number;
  end: number;
  text: string;
  replacement: string;
}

/** @returns null if one of the matches is not there any more, or two of them overlap */
export function replaceMatches(text: string, matches: readonly TextMatch[]): string | null {
  const starts = lineStarts(text);
  const sorted = [...matches].sort((a, b) => a.line - b.line || a.start - b.start);
  const parts: string[] = [];
  let at = 0;
  for (const match of sorted) {
    const lineStart = starts[match.line - 1];
    if (lineStart === undefined) return null;
    const from = lineStart + match.start;
    if (from < at || text.slice(from, lineStart + match.end) !== match.text) return null;
    parts.push(text.slice(at, from), match.replacement);
    at = lineStart + match.end;
  }
  return parts.join('') + text.slice(at);
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
