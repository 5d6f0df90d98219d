// iter(): what can be looped over.
import type { Budget } from './budget.ts';
import { TemplateError, typeError } from './errors.ts';
import { Dict, DictView, Markup, PyIterator, Range, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

/** The elements in order, or null if a value has none. An iterator goes on where it was left. */
export function iterate(value: Value): Iterable<Value> | null {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return value; // by code points, in both languages
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof DictView) return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Range) return rangeItems(value);
  if (value instanceof Undefined) return [];
  if (value !== null && typeof value === 'object' && 'pyItems' in value) return value.pyItems as Iterable<Value>;
  if (value instanceof PyIterator) return { [Symbol.iterator]: () => rest(value.iterator) };
  return null;
}

/** Leaving a loop early must not close a generator that may be read on. */
const rest = (iterator: Iterator<Value, unknown>): Iterator<Value> => ({
  next() {
    const { done, value } = iterator.next();
    return done ? { done: true, value: undefined } : { done: false, value: value as Value };
  },
});

function* rangeItems(range: Range): Generator<Value, void> {
  for (let i = 0; i < range.length; i++) yield range.at(i);
}

const notIterable = (value: Value) => typeError(`'${typeName(value)}' object is not iterable`);

/** @throws TypeError */
export function iterateOrFail(value: Value, budget: Budget): Iterable<Value> {
  const text = textOf(value);
  if (text !== null) budget.text(text.length);
  const items = iterate(value);
  if (items === null) throw notIterable(value);
  return items;
}

/** list(value), at the cost of one step per element. */
export function toList(value: Value, budget: Budget): Value[] {
  const list: Value[] = [];
  for (const item of iterateOrFail(value, budget)) {
    budget.spend(1);
    list.push(item);
  }
  return list;
}

/** A generator as a value. */
export const generator = (items: Iterable<Value>, typeName?: string): PyIterator =>
  new PyIterator(items[Symbol.iterator](), typeName);

/** The elements for `n` names. @throws TypeError, ValueError */
export function unpack(value: Value, n: number): Value[] {
  const items = iterate(value);
  if (items === null) throw new TemplateError('TypeError', `cannot unpack non-iterable ${typeName(value)} object`);
  const values: Value[] = [];
  for (const item of items) {
    if (values.length === n) throw new TemplateError('ValueError', `too many values to unpack (expected ${n})`);
    values.push(item);
  }
  if (values.length < n) {
    throw new TemplateError('ValueError', `not enough values to unpack (expected ${n}, got ${values.length})`);
  }
  return values;
}
