// Where a completion of several lines is over. A model that fills in a block mostly writes on behind it, over what the
// file goes on with: the brackets that close the block, or the next line once more.
import type { CompleteRequest } from '../common/engine-contract.ts';

const indentationOf = (line: string): string => /^[ \t]*/.exec(line)?.[0] ?? '';
const isClosers = (line: string): boolean => /^[)\]}>;,]+$/.test(line.trim());
const countOf = (text: string, marks: RegExp): number => text.match(marks)?.length ?? 0;
/** Whether the text closes fewer brackets than it opens. */
const isOpen = (text: string): boolean => countOf(text, /[([{]/g) > countOf(text, /[)\]}]/g);

/**
 * A block ends before a line that is indented less than the cursor's, and before the line that stands behind it. Where
 * nothing does, a less indented line that only closes it is its last one.
 * @param text said so far; its last line may go on unless `isWhole`
 * @returns how many characters of it are the block; null if it is not over
 */
export function blockEnd(
  text: string,
  { prefix, suffix }: Pick<CompleteRequest, 'prefix' | 'suffix'>,
  isWhole: boolean,
): number | null {
  const cursorLine = prefix.slice(prefix.lastIndexOf('\n') + 1);
  const indentation = indentationOf(cursorLine);
  // The first line with something in it, unless that is the cursor's own.
  const next = /^\s*\n([^\S\n]*\S.*)/.exec(suffix)?.[1]?.trimEnd();
  const isLast = !/\S/.test(suffix);

  for (let start = 0; ; ) {
    const newline = text.indexOf('\n', start);
    const isComplete = newline >= 0 || isWhole;
    const own = text.slice(start, newline < 0 ? undefined : newline);
    const line = start === 0 ? cursorLine + own : own;
    const before = Math.max(0, start - 1); // without the break
    if (line.trim() !== '') {
      const lead = indentationOf(line);
      if (lead.length < indentation.length && indentation.startsWith(lead)) {
        if (!isLast || !isClosers(line)) return before;
        if (isComplete) return start + own.length;
      }
      if (isComplete && line.trimEnd() === next && !(isClosers(line) && isOpen(text.slice(0, start)))) return before;
    }
    if (newline < 0) return null;
    start = newline + 1;
  }
}
