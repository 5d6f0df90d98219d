// The methods of str, and of Markup, which gives Markup back and escapes what it takes in.
import { checkCount, refuseKeywords, textArgument } from './arguments.ts';
import type { Budget } from './budget.ts';
import { capitalize, caseFold, isLower, isTitle, isUpper, kinds, swapCase, title } from './case-mapping.ts';
import { isPrintable, isSpace, lengthOf, splitLines, strip } from './code-points.ts';
import { typeError, unsupported, valueError } from './errors.ts';
import { iterate } from './iteration.ts';
import { toMarkup } from './markup.ts';
import { indexArgument } from './numbers.ts';
import { splitText } from './splitting.ts';
import { formatMapArguments, strFormat, strFormatMap } from './str-format.ts';
import { count, find, hasAffix } from './str-search.ts';
import { Dict, type Keywords, Markup, Tuple, textOf, typeName, type Value } from './values.ts';

interface Call {
  args: readonly Value[];
  keywords: Keywords;
  budget: Budget;
}

interface Method {
  /** Fewest and most arguments. */
  count: readonly [least: number, most: number];
  /** Names of parameters that may be given by keyword. */
  names?: readonly string[];
  run(text: string, call: Call): Value;
}

const method = (least: number, most: number, run: Method['run'], names?: string[]): Method => ({
  count: [least, most],
  run,
  ...(names ? { names } : {}),
});

const test = (name: string): Method => method(0, 0, (text) => kinds[name]?.test(text) ?? false);

const every =
  (isKind: (char: string) => boolean): Method['run'] =>
  (text) =>
    text !== '' && Array.from(text).every(isKind);

const stripper = (name: string, side: Parameters<typeof strip>[2]): Method =>
  method(0, 1, (text, { args: [chars = null] }) => {
    if (chars !== null && textOf(chars) === null) throw typeError(`${name} arg must be None or str`);
    return strip(text, textOf(chars), side);
  });

const finder = (name: string, fromRight: boolean, mustFind: boolean): Method =>
  method(0, 3, (text, { args, budget }) => {
    const at = find(text, name, args, fromRight, budget);
    if (at < 0 && mustFind) throw valueError('substring not found');
    return BigInt(at);
  });

const affix = (name: 'startswith' | 'endswith'): Method => method(0, 3, (text, { args }) => hasAffix(text, name, args));

const padder = (side: 'left' | 'right' | 'both'): Method =>
  method(1, 2, (text, { args: [width = null, fill = ' '], budget }) => {
    const char = textOf(fill);
    if (char === null) throw typeError(`The fill character must be a unicode character, not ${typeName(fill)}`);
    if (lengthOf(char) !== 1) throw typeError('The fill character must be exactly one character long');
    return pad(text, indexArgument(width), char, side, budget);
  });

export function pad(
  text: string,
  width: number,
  fill: string,
  side: 'left' | 'right' | 'both',
  budget: Budget,
): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  budget.text(width);
  // An odd space goes to the left where the width is odd: unicode_center in CPython.
  const left = side === 'left' ? missing : side === 'right' ? 0 : (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

const splitter = (name: 'split' | 'rsplit'): Method =>
  method(
    0,
    2,
    (text, { args: [separator = null, limit = -1n], budget }) => {
      if (separator !== null && textOf(separator) === null) {
        throw typeError(`must be str or None, not ${typeName(separator)}`);
      }
      if (separator !== null && textOf(separator) === '') throw valueError('empty separator');
      return splitText(text, textOf(separator), indexArgument(limit), name === 'rsplit', budget);
    },
    ['sep', 'maxsplit'],
  );

const partitioner = (name: 'partition' | 'rpartition'): Method =>
  method(1, 1, (text, { args: [separator = null], budget }) => {
    const part = textOf(separator);
    budget.search(text.length, part?.length ?? 0);
    if (part === null) throw typeError(`must be str, not ${typeName(separator)}`);
    if (part === '') throw valueError('empty separator');
    const at = name === 'partition' ? text.indexOf(part) : text.lastIndexOf(part);
    if (at < 0) return new Tuple(name === 'partition' ? [text, '', ''] : ['', '', text]);
    return new Tuple([text.slice(0, at), part, text.slice(at + part.length)]);
  });

/** `count` below 0 replaces all. An empty `from` is found before every character and at the end. */
export function replaceText(text: string, from: string, to: string, count: number, budget: Budget): string {
  budget.search(text.length, from.length);
  const parts = from === '' ? ['', ...Array.from(text), ''] : text.split(from);
  const n = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  budget.spend(parts.length);
  budget.text(text.length + n * to.length);
  return n === 0 ? text : [parts.slice(0, n + 1).join(to), ...parts.slice(n + 1)].join(from);
}

/** `separator.join(items)`. @throws TypeError if an item is no text */
export function joinText(
  separator: string,
  items: Value,
  toText: (item: Value) => string | null,
  budget: Budget,
): string {
  const parts: string[] = [];
  const all = iterate(items);
  if (all === null) throw typeError('can only join an iterable');
  for (const item of all) {
    budget.spend(1);
    const text = toText(item);
    if (text === null) throw typeError(`sequence item ${parts.length}: expected str instance, ${typeName(item)} found`);
    budget.text(text.length + separator.length);
    parts.push(text);
  }
  return parts.join(separator);
}

function expandTabs(text: string, size: number, budget: Budget): string {
  budget.text(text.length + (text.split('\t').length - 1) * Math.max(0, size));
  let column = 0;
  let result = '';
  for (const char of text) {
    if (char === '\t') {
      const n = size > 0 ? size - (column % size) : 0;
      result += ' '.repeat(n);
      column += n;
    } else {
      result += char;
      column = char === '\n' || char === '\r' ? 0 : column + 1;
    }
  }
  return result;
}

function zeroFill(text: string, width: number, budget: Budget): string {
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  const filled = pad(text.slice(sign.length), width - sign.length, '0', 'left', budget);
  return sign + filled;
}

function translate(text: string, table: Value): string {
  if (!(table instanceof Dict)) throw unsupported('str.translate() with anything but a dict');
  return Array.from(text, (char) => {
    const value = table.get(BigInt(char.codePointAt(0) ?? 0));
    if (value === undefined) return char;
    if (value === null) return '';
    return typeof value === 'bigint' ? String.fromCodePoint(Number(value)) : (textOf(value) ?? '');
  }).join('');
}

const methods: ReadonlyMap<string, Method> = new Map(
  Object.entries<Method>({
    capitalize: method(0, 0, capitalize),
    casefold: method(0, 0, caseFold),
    center: padder('both'),
    count: method(0, 3, (text, { args, budget }) => BigInt(count(text, args, budget))),
    encode: method(0, 2, () => {
      throw unsupported('bytes, which str.encode() makes,');
    }),
    endswith: affix('endswith'),
    expandtabs: method(0, 1, (text, { args: [size = 8n], budget }) => expandTabs(text, indexArgument(size), budget), [
      'tabsize',
    ]),
    find: finder('find', false, false),
    index: finder('index', false, true),
    isalnum: test('isalnum'),
    isalpha: test('isalpha'),
    isascii: method(0, 0, (text) => /^\p{ASCII}*$/u.test(text)),
    isdecimal: test('isdecimal'),
    isdigit: test('isdigit'),
    isidentifier: test('isidentifier'),
    islower: method(0, 0, isLower),
    isnumeric: test('isnumeric'),
    isprintable: method(0, 0, (text) => Array.from(text).every(isPrintable)),
    isspace: method(0, 0, every(isSpace)),
    istitle: method(0, 0, isTitle),
    isupper: method(0, 0, isUpper),
    join: method(1, 1, (text, { args: [items = null], budget }) => joinText(text, items, textOf, budget)),
    ljust: padder('right'),
    lower: method(0, 0, (text) => text.toLowerCase()),
    lstrip: stripper('lstrip', 'left'),
    maketrans: method(1, 3, () => {
      throw unsupported('str.maketrans()');
    }),
    partition: partitioner('partition'),
    removeprefix: method(1, 1, (text, { args: [prefix] }) => {
      const part = textArgument('removeprefix', prefix);
      return text.startsWith(part) ? text.slice(part.length) : text;
    }),
    removesuffix: method(1, 1, (text, { args: [suffix] }) => {
      const part = textArgument('removesuffix', suffix);
      return part !== '' && text.endsWith(part) ? text.slice(0, -part.length) : text;
    }),
    replace: method(2, 3, (text, { args: [from, to, count = -1n], budget }) =>
      replaceText(text, textArgument('replace', from, 1), textArgument('replace', to, 2), indexArgument(count), budget),
    ),
    rfind: finder('rfind', true, false),
    rindex: finder('rindex', true, true),
    rjust: padder('left'),
    rpartition: partitioner('rpartition'),
    rsplit: splitter('rsplit'),
    rstrip: stripper('rstrip', 'right'),
    split: splitter('split'),
    splitlines: method(0, 1, (text, { args: [keepEnds = false] }) => splitLines(text, indexArgument(keepEnds) !== 0), [
      'keepends',
    ]),
    startswith: affix('startswith'),
    strip: stripper('strip', 'both'),
    swapcase: method(0, 0, swapCase),
    title: method(0, 0, title),
    translate: method(1, 1, (text, { args: [table = null] }) => translate(text, table)),
    upper: method(0, 0, (text) => text.toUpperCase()),
    zfill: method(1, 1, (text, { args: [width = null], budget }) => zeroFill(text, indexArgument(width), budget)),
  }),
);

/** Methods of Markup that give what str gives. */
const plainOnMarkup = new Set(['count', 'encode', 'endswith', 'find', 'index', 'rfind', 'rindex', 'startswith']);
/** Which argument of Markup's methods is escaped before use. */
const escapedArgument: Record<string, number> = { replace: 1, ljust: 1, rjust: 1, center: 1 };

export const isStrMethod = (name: string): boolean => methods.has(name) || name === 'format' || name === 'format_map';

/** @param self a str or a Markup */
export function callStrMethod(
  self: Value,
  name: string,
  args: readonly Value[],
  keywords: Keywords,
  budget: Budget,
): Value {
  if (name === 'format') return strFormat(self, args, keywords, budget);
  if (name === 'format_map') return strFormatMap(self, formatMapArguments(args, keywords), budget);
  const text = textOf(self) ?? '';
  budget.text(text.length);
  const found = methods.get(name);
  if (!found) throw typeError(`'str' object has no method '${name}'`);
  const positional = withKeywords(name, found, args, keywords);
  const isMarkup = self instanceof Markup;
  if (isMarkup && name === 'join') {
    return new Markup(joinText(text, positional[0] ?? null, (item) => toMarkup(item, budget).text, budget));
  }
  if (isMarkup) {
    const at = escapedArgument[name];
    const given = at === undefined ? undefined : positional[at];
    if (at !== undefined && given !== undefined) positional[at] = toMarkup(given, budget).text;
  }
  const result = found.run(text, { args: positional, keywords, budget });
  return isMarkup && !plainOnMarkup.has(name) ? asMarkup(result) : result;
}

function withKeywords(name: string, found: Method, args: readonly Value[], keywords: Keywords): Value[] {
  const { count, names } = found;
  const positional = [...args];
  if (!names) refuseKeywords(`str.${name}`, keywords);
  for (const [key, value] of keywords) {
    const at = names?.indexOf(key) ?? -1;
    if (at < 0) throw typeError(`'${key}' is an invalid keyword argument for ${name}()`);
    while (positional.length < at) positional.push(null);
    positional[at] = value;
  }
  const [least, most] = count;
  if (names && positional.length > most) {
    const limit = `${most} argument${most === 1 ? '' : 's'}`;
    throw typeError(`${name}() takes at most ${limit} (${positional.length} given)`);
  }
  checkCount(most === 0 || (least === 1 && most === 1) ? `str.${name}` : name, positional, least, most);
  return positional;
}

function asMarkup(value: Value): Value {
  if (typeof value === 'string') return new Markup(value);
  if (Array.isArray(value)) return value.map(asMarkup);
  return value instanceof Tuple ? new Tuple(value.items.map(asMarkup)) : value;
}
