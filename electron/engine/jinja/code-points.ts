// Text as Python sees it: a sequence of code points, where JavaScript counts UTF-16 units.

const surrogate = /[\ud800-\udfff]/;

/** Whether positions in `text` are the same in both languages. */
const isPlain = (text: string): boolean => !surrogate.test(text);

export const codePoints = (text: string): string[] => Array.from(text);

/** Whether a code point takes the two units at `unit` and after it. */
const isPair = (text: string, unit: number): boolean =>
  (text.charCodeAt(unit) & 0xfc00) === 0xd800 && (text.charCodeAt(unit + 1) & 0xfc00) === 0xdc00;

export function lengthOf(text: string): number {
  if (isPlain(text)) return text.length;
  let n = 0;
  for (let unit = 0; unit < text.length; n++) unit += isPair(text, unit) ? 2 : 1;
  return n;
}

/** Position in UTF-16 units of a position in code points; the length if there are fewer. */
function toUnit(text: string, point: number): number {
  if (isPlain(text)) return Math.min(point, text.length);
  let unit = 0;
  for (let i = 0; i < point && unit < text.length; i++) unit += isPair(text, unit) ? 2 : 1;
  return unit;
}

/** `text[index]` for an index that may count from the end; undefined outside. */
export function pointAt(text: string, index: number): string | undefined {
  const point = index < 0 ? index + lengthOf(text) : index;
  const unit = point < 0 ? text.length : toUnit(text, point);
  return unit < text.length ? String.fromCodePoint(text.codePointAt(unit) ?? 0) : undefined;
}

/** Position in code points of a position in UTF-16 units. */
export const toPoint = (text: string, unit: number): number => lengthOf(text.slice(0, unit));

/** `text[start:stop]` for 0 <= start <= stop <= length, in code points. */
export function slicePoints(text: string, start: number, stop: number): string {
  return text.slice(toUnit(text, start), toUnit(text, stop));
}

/** Order by code points: UTF-16 sorts U+1F600 before U+FFFD. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  if (isPlain(a) && isPlain(b)) return a < b ? -1 : 1;
  const left = codePoints(a);
  const right = codePoints(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** What str.isspace() accepts; JavaScript's \s has U+FEFF and lacks U+001C to U+001F and U+0085. */
export const spaceClass = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const space = new RegExp(`[${spaceClass}]`);
export const isSpace = (char: string): boolean => space.test(char);

/** str.strip() and its sides; `chars` null means white space. */
export function strip(text: string, chars: string | null, side: 'left' | 'right' | 'both'): string {
  const set = chars === null ? null : new Set(chars);
  const isStripped = (char: string) => (set ? set.has(char) : isSpace(char));
  const points = set && !(isPlain(text) && isPlain(chars ?? '')) ? codePoints(text) : text;
  let start = 0;
  let stop = points.length;
  if (side !== 'right') while (start < stop && isStripped(points[start] ?? '')) start++;
  if (side !== 'left') while (stop > start && isStripped(points[stop - 1] ?? '')) stop--;
  return typeof points === 'string' ? points.slice(start, stop) : points.slice(start, stop).join('');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what str.splitlines() splits at.
const lineEnd = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

export function splitLines(text: string, keepEnds: boolean): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const match of text.matchAll(lineEnd)) {
    const end = match.index + match[0].length;
    lines.push(text.slice(start, keepEnds ? end : match.index));
    start = end;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

const notPrintable = /[\p{C}\p{Z}]/u;

/** str.isprintable() of one code point. */
export const isPrintable = (char: string): boolean => char === ' ' || !notPrintable.test(char);

/** \xe9, é, \U0001f600, as Python writes a code point in ASCII. */
export function escapePoint(point: number): string {
  const hex = point.toString(16);
  if (point <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return point <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
