// int(value) and float(value)
import type { Budget } from './budget.ts';
import { typeError } from './errors.ts';
import { floatOf, parseFloatText, parseInteger, truncated } from './numbers.ts';
import { undefinedError } from './operators.ts';
import { repr } from './printing.ts';
import { intOf, textOf, typeName, Undefined, type Value } from './values.ts';

/** @throws ValueError, TypeError, OverflowError, UndefinedError */
export function toInt(value: Value, base: number, budget: Budget): bigint {
  const int = intOf(value);
  if (int !== null) return int;
  if (typeof value === 'number') return truncated(value);
  const text = textOf(value);
  if (text !== null) return parseInteger(text, base, repr(text, budget), budget);
  if (value instanceof Undefined) throw undefinedError(value);
  throw typeError(`int() argument must be a string, a bytes-like object or a real number, not '${typeName(value)}'`);
}

/** @throws ValueError, TypeError, OverflowError, UndefinedError */
export function toFloat(value: Value, budget: Budget): number {
  if (typeof value === 'number') return value;
  const int = intOf(value);
  if (int !== null) return floatOf(int);
  const text = textOf(value);
  if (text !== null) return parseFloatText(text, repr(text, budget));
  if (value instanceof Undefined) throw undefinedError(value);
  throw typeError(`float() argument must be a string or a real number, not '${typeName(value)}'`);
}
