// Letter case and kinds of characters as Python's str methods see them. Unicode's version is that of the JavaScript
// engine; Python 3.11 has version 14.

/** Digraphs and their title case: these have three cases. */
const titleDigraphs: Record<string, string> = { Ǆ: 'ǅ', Ǉ: 'ǈ', Ǌ: 'ǋ', Ǳ: 'ǲ' };

/** The title case of one code point, from SpecialCasing.txt and the property Simple_Titlecase_Mapping. */
function titlePoint(char: string): string {
  if (/[\u10d0-\u10fa\u10fd-\u10ff]/.test(char)) return char; // Georgian letters have no title case
  const upper = char.toUpperCase();
  const point = char.codePointAt(0) ?? 0;
  if (titleDigraphs[upper]) return titleDigraphs[upper];
  if (point === 0x149) return upper;
  if (point >= 0x1f80 && point <= 0x1ffc && upper.endsWith('Ι') && upper.length > 1) {
    // Greek with iota subscript: one letter where there is one, else the iota stays below.
    if (point < 0x1fb0) return String.fromCodePoint(point | 8);
    const single: Record<number, string> = { 8115: 'ᾼ', 8124: 'ᾼ', 8131: 'ῌ', 8140: 'ῌ', 8179: 'ῼ', 8188: 'ῼ' };
    return single[point] ?? `${upper.slice(0, -1)}\u0345`;
  }
  const [first = '', ...rest] = Array.from(upper);
  return first + rest.join('').toLowerCase();
}

const isCased = (char: string): boolean => /[\p{Uppercase}\p{Lowercase}\p{Lt}]/u.test(char);

export function capitalize(text: string): string {
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0);
  return text === '' ? '' : titlePoint(first) + text.slice(first.length).toLowerCase();
}

export function title(text: string): string {
  return text.replace(/[\p{Uppercase}\p{Lowercase}\p{Lt}]+/gu, capitalize);
}

function swapPoint(char: string): string {
  if (/\p{Uppercase}/u.test(char)) return char.toLowerCase();
  return /\p{Lowercase}/u.test(char) ? char.toUpperCase() : char;
}

export function swapCase(text: string): string {
  return Array.from(text, (char) => swapPoint(char)).join('');
}

/** Full case folding; Cherokee folds to its capital letters, dotless i to itself. */
export function caseFold(text: string): string {
  return Array.from(text, (char) => {
    if (char === 'ı') return char;
    return /[\u13a0-\u13fd\uab70-\uabbf]/.test(char)
      ? char.toUpperCase()
      : char.toLowerCase().toUpperCase().toLowerCase();
  }).join('');
}

/** At least one cased character, and none of the other case. */
export const isUpper = (text: string): boolean => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
export const isLower = (text: string): boolean => /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);

export function isTitle(text: string): boolean {
  let wasCased = false;
  let hasCased = false;
  for (const char of text) {
    const cased = isCased(char);
    const isCapital = /[\p{Uppercase}\p{Lt}]/u.test(char);
    if (cased && isCapital === wasCased) return false;
    wasCased = cased;
    hasCased ||= cased;
  }
  return hasCased;
}

const other =
  '\\xb2\\xb3\\xb9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c';
const more = '\\u2488-\\u2490\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792';
const astral = '\\u{10a40}-\\u{10a43}\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}';

/** Tests of every character of a text; an empty text fails them. */
export const kinds: Record<string, RegExp> = {
  isalpha: /^\p{L}+$/u,
  isdecimal: /^\p{Nd}+$/u,
  /** Numeric_Type Decimal or Digit. */
  isdigit: new RegExp(`^[\\p{Nd}${other}${more}${astral}]+$`, 'u'),
  isnumeric: /^\p{N}+$/u,
  isalnum: /^[\p{L}\p{N}]+$/u,
  isidentifier: /^[\p{XIDS}_]\p{XIDC}*$/u,
};
