// str.split() and str.rsplit()
import type { Budget } from './budget.ts';
import { spaceClass } from './code-points.ts';

/**
 * @param separator null splits at runs of white space and drops those at the ends
 * @param limit most splits; below 0 means no limit
 */
export function splitText(
  text: string,
  separator: string | null,
  limit: number,
  fromRight: boolean,
  budget: Budget,
): string[] {
  budget.search(text.length, separator?.length ?? 0);
  const parts = separator === null ? splitAtSpace(text, limit, fromRight) : splitAt(text, separator, limit, fromRight);
  budget.spend(parts.length);
  return parts;
}

function splitAt(text: string, separator: string, limit: number, fromRight: boolean): string[] {
  const parts = text.split(separator);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  const nWhole = parts.length - limit;
  return fromRight
    ? [parts.slice(0, nWhole).join(separator), ...parts.slice(nWhole)]
    : [...parts.slice(0, limit), parts.slice(limit).join(separator)];
}

const word = new RegExp(`[^${spaceClass}]+`, 'g');

function splitAtSpace(text: string, limit: number, fromRight: boolean): string[] {
  const words = [...text.matchAll(word)];
  if (limit < 0 || words.length <= limit) return words.map(([found]) => found);
  // What is not split keeps its white space, but for that at the split.
  if (fromRight) {
    const last = words[words.length - limit - 1];
    const rest = text.slice(0, last ? last.index + last[0].length : 0);
    return [rest, ...words.slice(words.length - limit).map(([found]) => found)];
  }
  return [...words.slice(0, limit).map(([found]) => found), text.slice(words[limit]?.index)];
}
