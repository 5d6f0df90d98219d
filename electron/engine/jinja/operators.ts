// What Python's operators do with values: truth, equality, order, membership, arithmetic.
import { Budget, defaultLimits } from './budget.ts';
import { compareText, lengthOf } from './code-points.ts';
import { TemplateError, typeError, unsupported } from './errors.ts';
import { percentFormat } from './format-percent.ts';
import { iterate } from './iteration.ts';
import { toMarkup } from './markup.ts';
import { bounded, floatOf, indexArgument, intPower } from './numbers.ts';
import { repr } from './printing.ts';
import {
  Dict,
  DictView,
  intOf,
  Markup,
  numberOf,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** What an undefined value says of itself when it is used. */
export function undefinedError({ reason, errorType }: Undefined): TemplateError {
  if ('hint' in reason) return new TemplateError(errorType, reason.hint);
  const name = repr(reason.name, new Budget(defaultLimits));
  if (!('of' in reason)) return new TemplateError(errorType, `${name} is undefined`);
  const lack = typeof reason.name === 'string' ? `'${reason.of}' has no attribute` : `${reason.of} has no element`;
  return new TemplateError(errorType, `${lack} ${name}`);
}

/** len(value), or null if it has none. */
export function lengthOrNull(value: Value): number | null {
  const text = textOf(value);
  if (text !== null) return lengthOf(text);
  if (Array.isArray(value) || value instanceof Range) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Undefined) return 0;
  return typeof value === 'object' && value !== null && 'pyLength' in value ? Number(value.pyLength) : null;
}

export function lengthOfValue(value: Value): bigint {
  const length = lengthOrNull(value);
  if (length === null) throw typeError(`object of type '${typeName(value)}' has no len()`);
  return BigInt(length);
}

export function isTrue(value: Value): boolean {
  if (typeof value === 'number') return value !== 0; // nan is true
  if (value === null || typeof value !== 'object') return Boolean(value);
  return value instanceof Markup ? value.text !== '' : lengthOrNull(value) !== 0;
}

export function equals(a: Value, b: Value, budget: Budget): boolean {
  budget.spend(1);
  const left = textOf(a);
  if (left !== null) {
    const right = textOf(b);
    if (left.length === right?.length) budget.text(left.length);
    return left === right;
  }
  const x = numberOf(a);
  if (x !== null) {
    const y = numberOf(b);
    return y !== null && compareNumbers(x, y) === 0;
  }
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && allEqual(a, b, budget);
  if (a instanceof Tuple) return b instanceof Tuple && allEqual(a.items, b.items, budget);
  if (a instanceof Dict) return b instanceof Dict && dictsEqual(a, b, budget);
  if (a instanceof Range && b instanceof Range) {
    if (a.length !== b.length) return false;
    return a.length === 0 || (a.start === b.start && (a.length === 1 || a.step === b.step));
  }
  return false;
}

/** Inside of containers Python asks for identity first, so that nan equals itself there. */
export const sameOrEqual = (a: Value, b: Value, budget: Budget): boolean => Object.is(a, b) || equals(a, b, budget);

function allEqual(a: readonly Value[], b: readonly Value[], budget: Budget): boolean {
  if (a.length !== b.length) return false;
  budget.spend(a.length);
  return a.every((item, i) => sameOrEqual(item, b[i] ?? null, budget));
}

function dictsEqual(a: Dict, b: Dict, budget: Budget): boolean {
  if (a.size !== b.size) return false;
  budget.spend(a.size);
  for (const [key, value] of a.entries()) {
    const other = b.get(key);
    if (other === undefined || !sameOrEqual(value, other, budget)) return false;
  }
  return true;
}

/** Exact, also between int and float; NaN if either is NaN. */
function compareNumbers(a: bigint | number, b: bigint | number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : 0;
}

export type Comparison = '<' | '<=' | '>' | '>=';

const holds = (operator: Comparison, order: number): boolean =>
  operator === '<' ? order < 0 : operator === '<=' ? order <= 0 : operator === '>' ? order > 0 : order >= 0;

export function compare(operator: Comparison, a: Value, b: Value, budget: Budget): boolean {
  budget.spend(1);
  const left = textOf(a);
  const right = textOf(b);
  if (left !== null && right !== null) {
    budget.text(left.length + right.length);
    return holds(operator, compareText(left, right));
  }
  const x = numberOf(a);
  const y = numberOf(b);
  if (x !== null && y !== null) return holds(operator, compareNumbers(x, y));
  for (const side of [a, b]) if (side instanceof Undefined) throw undefinedError(side);
  const [these, those] =
    Array.isArray(a) && Array.isArray(b) ? [a, b] : a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : [];
  if (these && those) {
    const at = these.findIndex((item, i) => i >= those.length || !sameOrEqual(item, those[i] ?? null, budget));
    if (at < 0 || at >= those.length) return holds(operator, these.length - those.length);
    return compare(operator, these[at] ?? null, those[at] ?? null, budget);
  }
  throw typeError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** Call before a value is used as a key: hashing reads all of it. */
export function chargeKey(key: Value, budget: Budget): void {
  const text = textOf(key);
  if (text !== null) budget.text(text.length);
  else if (key instanceof Tuple) {
    budget.spend(key.items.length);
    for (const item of key.items) chargeKey(item, budget);
  }
}

/** `item in container` */
export function contains(container: Value, item: Value, budget: Budget): boolean {
  const text = textOf(container);
  if (text !== null) {
    const part = textOf(item);
    if (part === null) throw typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    budget.search(text.length, part.length);
    return text.includes(part);
  }
  chargeKey(item, budget);
  if (container instanceof Dict) return container.get(item) !== undefined;
  if (container instanceof DictView && container.typeName === 'dict_keys')
    return container.dict.get(item) !== undefined;
  const items = iterate(container);
  if (items === null) throw typeError(`argument of type '${typeName(container)}' is not iterable`);
  for (const candidate of items) if (sameOrEqual(candidate, item, budget)) return true;
  return false;
}

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';

export function arithmetic(operator: BinaryOperator, a: Value, b: Value, budget: Budget): Value {
  const x = numberOf(a);
  const y = numberOf(b);
  if (x !== null && y !== null) {
    if (typeof x === 'bigint' && typeof y === 'bigint') return intArithmetic(operator, x, y);
    return floatArithmetic(operator, toFloat(x), toFloat(y));
  }
  const text = textOf(a);
  if (operator === '%' && text !== null) return percentFormat(a, b, budget);
  for (const side of [a, b]) if (side instanceof Undefined) throw undefinedError(side);
  if (operator === '+') return concatenate(a, b, budget);
  if (operator === '*') {
    const product = repeat(a, b, budget) ?? repeat(b, a, budget);
    if (product !== null) return product;
  }
  const sign = operator === '**' ? '** or pow()' : operator;
  throw typeError(`unsupported operand type(s) for ${sign}: '${typeName(a)}' and '${typeName(b)}'`);
}

function concatenate(a: Value, b: Value, budget: Budget): Value {
  const left = textOf(a);
  const right = textOf(b);
  if (left !== null && right !== null) {
    if (typeof a === 'string' && typeof b === 'string') {
      budget.joined(left.length + right.length, Math.min(left.length, right.length));
      return left + right;
    }
    const markup = toMarkup(a, budget).text + toMarkup(b, budget).text;
    budget.text(markup.length);
    return new Markup(markup);
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    budget.spend(a.length + b.length);
    return [...a, ...b];
  }
  if (a instanceof Tuple && b instanceof Tuple) {
    budget.spend(a.items.length + b.items.length);
    return new Tuple([...a.items, ...b.items]);
  }
  const kind = typeof a === 'string' ? 'str' : Array.isArray(a) ? 'list' : a instanceof Tuple ? 'tuple' : null;
  if (kind) throw typeError(`can only concatenate ${kind} (not "${typeName(b)}") to ${kind}`);
  throw typeError(`unsupported operand type(s) for +: '${typeName(a)}' and '${typeName(b)}'`);
}

/** A sequence as often as a number says; null if `sequence` is none. */
function repeat(sequence: Value, times: Value, budget: Budget): Value | null {
  const text = textOf(sequence);
  const items = Array.isArray(sequence) ? sequence : sequence instanceof Tuple ? sequence.items : null;
  if (text === null && items === null) return null;
  if (intOf(times) === null) throw typeError(`can't multiply sequence by non-int of type '${typeName(times)}'`);
  const n = Math.max(0, indexArgument(times));
  if (text !== null) {
    budget.text(text.length * n);
    return sequence instanceof Markup ? new Markup(text.repeat(n)) : text.repeat(n);
  }
  budget.spend((items?.length ?? 0) * n);
  const repeated = Array.from({ length: n }, () => items ?? []).flat();
  return Array.isArray(sequence) ? repeated : new Tuple(repeated);
}

const toFloat = (x: bigint | number): number => (typeof x === 'bigint' ? floatOf(x) : x);

const divisionByZero = (message: string) => new TemplateError('ZeroDivisionError', message);

function intArithmetic(operator: BinaryOperator, a: bigint, b: bigint): Value {
  if (operator === '+') return bounded(a + b);
  if (operator === '-') return bounded(a - b);
  if (operator === '*') return bounded(a * b);
  if (operator === '**') return b >= 0n ? intPower(a, b) : floatArithmetic('**', floatOf(a), floatOf(b));
  if (operator === '/') {
    if (b === 0n) throw divisionByZero('division by zero');
    return floatOf(a) / floatOf(b);
  }
  if (b === 0n)
    throw divisionByZero(operator === '//' ? 'integer division or modulo by zero' : 'integer modulo by zero');
  const remainder = a % b;
  const isBelow = remainder !== 0n && remainder < 0n !== b < 0n;
  if (operator === '%') return isBelow ? remainder + b : remainder;
  return isBelow ? a / b - 1n : a / b;
}

function floatArithmetic(operator: BinaryOperator, a: number, b: number): number {
  if (operator === '+') return a + b;
  if (operator === '-') return a - b;
  if (operator === '*') return a * b;
  if (operator === '**') return floatPower(a, b);
  if (b === 0) {
    throw divisionByZero(
      operator === '/' ? 'float division by zero' : operator === '%' ? 'float modulo' : 'float floor division by zero',
    );
  }
  if (operator === '/') return a / b;
  const remainder = a % b;
  const modulo = remainder === 0 ? (b < 0 ? -0 : 0) : remainder < 0 !== b < 0 ? remainder + b : remainder;
  if (operator === '%') return modulo;
  const quotient = (a - modulo) / b;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) throw divisionByZero('0.0 cannot be raised to a negative power');
  if (a < 0 && Number.isFinite(b) && !Number.isInteger(b)) throw unsupported('A complex number');
  if (a === 1 || b === 0) return 1;
  const power = a ** b;
  if (!Number.isFinite(power) && Number.isFinite(a) && Number.isFinite(b)) {
    throw new TemplateError('OverflowError', "(34, 'Numerical result out of range')");
  }
  return power;
}

export function negate(sign: '-' | '+', value: Value): Value {
  if (typeof value === 'number') return sign === '-' ? -value : value;
  const int = intOf(value);
  if (int !== null) return sign === '-' ? -int : int;
  if (value instanceof Undefined) throw undefinedError(value);
  throw typeError(`bad operand type for unary ${sign}: '${typeName(value)}'`);
}

/** `value is other` */
export function isSame(a: Value, b: Value): boolean {
  // Python keeps one object per small int and per literal; equal numbers and texts count as one here.
  return Object.is(a, b);
}
