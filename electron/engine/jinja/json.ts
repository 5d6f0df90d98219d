// json.dumps as the filter `tojson` of transformers calls it.
import type { Budget } from './budget.ts';
import { TemplateError, typeError } from './errors.ts';
import { floatRepr, intText } from './numbers.ts';
import { compare } from './operators.ts';
import { repr } from './printing.ts';
import { Dict, intOf, Tuple, textOf, typeName, type Value } from './values.ts';

interface JsonOptions {
  ensureAscii: boolean;
  /** One level of indentation; null writes everything in one line. */
  indent: string | null;
  itemSeparator: string;
  keySeparator: string;
  sortKeys: boolean;
}

/** Python's recursion limit of 1000 frames. */
const maxDepth = 900;

/** @throws TypeError for what JSON does not know */
export function toJson(value: Value, options: JsonOptions, budget: Budget): string {
  const pieces: string[] = [];
  write(value, options, budget, 0, pieces);
  return pieces.join('');
}

function write(value: Value, options: JsonOptions, budget: Budget, depth: number, out: string[]): void {
  budget.spend(1);
  const text = textOf(value);
  if (text !== null) push(out, quote(text, options.ensureAscii), budget);
  else if (value === null || typeof value === 'boolean' || typeof value === 'bigint' || typeof value === 'number') {
    push(out, scalar(value), budget);
  } else {
    if (depth > maxDepth) {
      throw new TemplateError('RecursionError', 'maximum recursion depth exceeded while encoding a JSON object');
    }
    const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : null;
    if (items) {
      writeAll('[]', items, options, budget, depth, out, (item) => write(item, options, budget, depth + 1, out));
    } else if (value instanceof Dict) {
      writeAll('{}', members(value, options, budget), options, budget, depth, out, ([key, item]) => {
        push(out, quote(keyText(key), options.ensureAscii) + options.keySeparator, budget);
        write(item, options, budget, depth + 1, out);
      });
    } else throw typeError(`Object of type ${typeName(value)} is not JSON serializable`);
  }
}

function push(out: string[], text: string, budget: Budget): void {
  budget.text(text.length);
  out.push(text);
}

function writeAll<T>(
  brackets: string,
  items: readonly T[],
  { indent, itemSeparator }: JsonOptions,
  budget: Budget,
  depth: number,
  out: string[],
  writeItem: (item: T) => void,
): void {
  if (items.length === 0) {
    push(out, brackets, budget);
    return;
  }
  const newline = (level: number): string => {
    if (indent === null) return '';
    budget.text(indent.length * level);
    return `\n${indent.repeat(level)}`;
  };
  items.forEach((item, i) => {
    push(out, (i === 0 ? (brackets[0] ?? '') : itemSeparator) + newline(depth + 1), budget);
    writeItem(item);
  });
  push(out, newline(depth) + (brackets[1] ?? ''), budget);
}

function members(dict: Dict, { sortKeys }: JsonOptions, budget: Budget): [Value, Value][] {
  const entries = [...dict.entries()];
  if (!sortKeys) return entries;
  return entries.sort(([a], [b]) => (compare('<', a, b, budget) ? -1 : compare('<', b, a, budget) ? 1 : 0));
}

function scalar(value: null | boolean | bigint | number): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return intText(value);
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? floatRepr(value) : value > 0 ? 'Infinity' : '-Infinity';
}

function keyText(key: Value): string {
  const text = textOf(key);
  if (text !== null) return text;
  if (key === null || typeof key === 'number' || intOf(key) !== null) return scalar(key as null | bigint | number);
  throw typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const short: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes control characters.
const escaped = /["\\\x00-\x1f]/g;
const escapedAscii = /["\\]|[^ -~]/g;

const quote = (text: string, ensureAscii: boolean): string =>
  `"${text.replace(ensureAscii ? escapedAscii : escaped, (char) => short[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;

/** json.dumps' own arguments. @throws TypeError */
export function jsonOptions(
  ensureAscii: boolean,
  indent: Value,
  separators: Value,
  sortKeys: boolean,
  budget: Budget,
): JsonOptions {
  const given = Array.isArray(separators) ? separators : separators instanceof Tuple ? separators.items : null;
  const [item, key] = given?.map(textOf) ?? [indent === null ? ', ' : ',', ': '];
  if ((separators !== null && given?.length !== 2) || item == null || key == null) {
    throw typeError(`separators must be a pair of texts, not ${repr(separators, budget)}`);
  }
  const level = intOf(indent);
  if (level !== null) budget.text(Number(level));
  const unit = level === null ? textOf(indent) : ' '.repeat(Math.max(0, Number(level)));
  if (indent !== null && unit === null)
    throw typeError(`can't multiply sequence by non-int of type '${typeName(indent)}'`);
  return { ensureAscii, indent: unit, itemSeparator: item, keySeparator: key, sortKeys };
}
