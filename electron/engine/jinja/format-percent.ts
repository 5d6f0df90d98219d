// printf-style formatting: `text % values` and the filter `format`.
import type { Budget } from './budget.ts';
import { escapePoint, lengthOf, slicePoints } from './code-points.ts';
import { TemplateError, typeError, valueError } from './errors.ts';
import { escapeText } from './markup.ts';
import { formatFloat } from './number-format.ts';
import { floatOf, truncated } from './numbers.ts';
import { undefinedError } from './operators.ts';
import { repr, str } from './printing.ts';
import { Dict, intOf, Markup, Range, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

interface Directive {
  flags: string;
  width: number | null;
  precision: number | null;
  kind: string;
}

const directive =
  /%(?:\((?<key>[^()]*)\))?(?<flags>[-+ #0]*)(?<width>\*|\d*)(?:\.(?<precision>\*|\d*))?[hlL]?(?<kind>.?)/gsu;

/** @throws TypeError if the values do not suit the directives, ValueError for an unknown directive */
export function percentFormat(template: Value, values: Value, budget: Budget): Value {
  const text = textOf(template) ?? '';
  budget.text(text.length);
  const isMarkup = template instanceof Markup;
  const args = values instanceof Tuple ? values.items : [values];
  const mapping = isMapping(values) ? values : null;
  let nUsed = 0;
  const next = (): Value => {
    if (nUsed >= args.length) throw typeError('not enough arguments for format string');
    return args[nUsed++] ?? null;
  };
  const count = (field: string | undefined): number | null => {
    if (field !== '*') return field === undefined ? null : Number(field);
    const value = next();
    if (typeof value !== 'bigint') throw typeError('* wants int');
    return Number(value);
  };
  let result = '';
  let end = 0;
  for (const match of text.matchAll(directive)) {
    const { key, flags = '', width = '', precision, kind = '' } = match.groups ?? {};
    result += text.slice(end, match.index);
    end = match.index + match[0].length;
    if (match[0] === '%%') {
      result += '%';
      continue;
    }
    if (key !== undefined && mapping === null) throw typeError('format requires a mapping');
    const nWidth = width === '' ? null : count(width);
    const nPrecision = count(precision);
    if (kind === '') throw valueError('incomplete format');
    const value = key === undefined ? next() : lookUp(mapping ?? null, key, budget);
    if (!'sradiuoxXeEfFgGc'.includes(kind)) {
      const shown = /[ -~]/.test(kind) ? kind : '?';
      const at = lengthOf(text.slice(0, end)) - 1;
      const code = (kind.codePointAt(0) ?? 0).toString(16);
      throw valueError(`unsupported format character '${shown}' (0x${code}) at index ${at}`);
    }
    const options = { flags, width: nWidth, precision: nPrecision, kind };
    result += pad(convert(value, options, isMarkup, budget), options, budget);
    budget.text(result.length);
  }
  result += text.slice(end);
  if (nUsed < args.length && mapping === null) throw typeError('not all arguments converted during string formatting');
  return isMarkup ? new Markup(result) : result;
}

/** What has items by key, as Python sees it; text does not count here. */
const isMapping = (value: Value): boolean =>
  value instanceof Dict || value instanceof Undefined || value instanceof Range || Array.isArray(value);

function lookUp(mapping: Value, key: string, budget: Budget): Value {
  if (mapping instanceof Undefined) throw undefinedError(mapping);
  if (!(mapping instanceof Dict)) {
    throw typeError(`${typeName(mapping)} indices must be integers or slices, not str`);
  }
  const value = mapping.get(key);
  if (value === undefined) throw new TemplateError('KeyError', repr(key, budget));
  return value;
}

/** The text of a value without padding; a number begins with its sign. */
function convert(value: Value, { flags, precision, kind }: Directive, isMarkup: boolean, budget: Budget): string {
  if (kind === 's' || kind === 'r' || kind === 'a') {
    let text = kind === 's' ? str(value, budget) : repr(value, budget);
    if (kind === 'a') text = text.replace(/[^\0-\x7f]/gu, (char) => escapePoint(char.codePointAt(0) ?? 0));
    if (isMarkup && !(value instanceof Markup && kind === 's')) text = escapeText(text);
    return precision === null ? text : slicePoints(text, 0, precision);
  }
  if (kind === 'c') return character(value);
  if ('eEfFgG'.includes(kind)) {
    const x = toFloat(value);
    const digits = formatFloat(x, kind, precision ?? 6, flags.includes('#'), budget);
    return withSign(x < 0 || Object.is(x, -0), digits, flags);
  }
  const int = toInt(value, kind);
  const size = int < 0n ? -int : int;
  const [base, prefix] = kind === 'o' ? [8, '0o'] : kind.toLowerCase() === 'x' ? [16, '0x'] : [10, ''];
  const digits = size.toString(base).padStart(precision ?? 0, '0');
  budget.text(digits.length);
  const text = (flags.includes('#') ? prefix : '') + digits;
  return withSign(int < 0n, kind === 'X' ? text.toUpperCase() : text, flags);
}

const withSign = (isNegative: boolean, digits: string, flags: string): string =>
  (isNegative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '') + digits;

function pad(text: string, { flags, width, kind }: Directive, budget: Budget): string {
  const nWidth = Math.abs(width ?? 0);
  const missing = nWidth - lengthOf(text);
  if (missing <= 0) return text;
  budget.text(nWidth);
  if (flags.includes('-') || (width ?? 0) < 0) return text + ' '.repeat(missing);
  if (!flags.includes('0') || 'srac'.includes(kind)) return ' '.repeat(missing) + text;
  const lead = /^[-+ ]?(0[xX])?/.exec(text)?.[0] ?? '';
  return lead + '0'.repeat(missing) + text.slice(lead.length);
}

function character(value: Value): string {
  const text = textOf(value);
  if (text !== null && lengthOf(text) === 1) return text;
  const code = intOf(value);
  if (code === null) throw typeError('%c requires int or char');
  if (code < 0n || code > 0x10ffffn) throw new TemplateError('OverflowError', '%c arg not in range(0x110000)');
  return String.fromCodePoint(Number(code));
}

function toFloat(value: Value): number {
  if (typeof value === 'number') return value;
  const int = intOf(value);
  if (int !== null) return floatOf(int);
  if (value instanceof Undefined) throw undefinedError(value);
  throw typeError(`must be real number, not ${typeName(value)}`);
}

function toInt(value: Value, kind: string): bigint {
  const int = intOf(value);
  if (int !== null) return int;
  const needsInt = 'oxX'.includes(kind);
  if (typeof value === 'number' && !needsInt) return truncated(value);
  if (value instanceof Undefined && !needsInt) throw undefinedError(value);
  throw typeError(`%${kind} format: ${needsInt ? 'an integer' : 'a real number'} is required, not ${typeName(value)}`);
}
