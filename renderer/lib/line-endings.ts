// Files with more than one kind of line ending. The editor holds one kind, so what it returns is mapped back:
// every line that the user did not touch keeps the ending it had on disk.

interface Line {
  text: string;
  /** "\n", "\r\n", "\r", or "" for the last line. */
  ending: string;
}

function splitLines(text: string): Line[] {
  const lines: Line[] = [];
  const pattern = /\r\n|\r|\n/g;
  let start = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    lines.push({ text: text.slice(start, match.index), ending: match[0] });
    start = match.index + match[0].length;
  }
  lines.push({ text: text.slice(start), ending: '' });
  return lines;
}

function mostCommonEnding(lines: readonly Line[]): string {
  const counts = new Map<string, number>();
  for (const { ending } of lines) if (ending !== '') counts.set(ending, (counts.get(ending) ?? 0) + 1);
  let best = '\n';
  for (const [ending, count] of counts) if (count > (counts.get(best) ?? 0)) best = ending;
  return best;
}

/**
 * `edited` with the line endings of `original`: lines are paired from both ends, then, between those, each with
 * the next equal line of the original. A line without a partner gets the ending of the line before it.
 */
export function restoreLineEndings(original: string, edited: string): string {
  const before = splitLines(original);
  const after = splitLines(edited);
  const endings: (string | null)[] = after.map(() => null);

  let head = 0;
  const shorter = Math.min(before.length, after.length);
  while (head < shorter && before[head]?.text === after[head]?.text) {
    endings[head] = before[head]?.ending ?? null;
    head += 1;
  }
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail)?.text === after.at(-1 - tail)?.text) {
    endings[after.length - 1 - tail] = before.at(-1 - tail)?.ending ?? null;
    tail += 1;
  }
  const places = new Map<string, number[]>();
  for (let i = head; i < before.length - tail; i++) {
    const text = before[i]?.text ?? '';
    const list = places.get(text);
    if (list) list.push(i);
    else places.set(text, [i]);
  }
  let from = head;
  for (let i = head; i < after.length - tail; i++) {
    const list = places.get(after[i]?.text ?? '');
    while (list && list.length > 0 && (list[0] ?? 0) < from) list.shift();
    const found = list?.shift();
    if (found === undefined) continue;
    endings[i] = before[found]?.ending ?? null;
    from = found + 1;
  }

  let last = mostCommonEnding(before);
  let result = '';
  for (let i = 0; i < after.length - 1; i++) {
    const ending = endings[i];
    if (ending) last = ending; // "" belongs to the original's last line, which is not last any more
    result += (after[i]?.text ?? '') + last;
  }
  return result + (after.at(-1)?.text ?? '');
}
