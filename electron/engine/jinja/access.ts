// Attributes and items: `value.name`, `value[key]`, `value[a:b]`, as Jinja2's immutable sandbox allows them.
import type { Budget } from './budget.ts';
import { codePoints, lengthOf, pointAt, slicePoints } from './code-points.ts';
import { typeError, valueError } from './errors.ts';
import { callMethod, isMutator, methodNames } from './methods.ts';
import { indexArgument } from './numbers.ts';
import { chargeKey, undefinedError } from './operators.ts';
import {
  Callable,
  Dict,
  intOf,
  kindName,
  Markup,
  PyObject,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Attributes that every Python object has; templates may not read them. */
const objectAttributes = new Set(
  (
    '__class__ __delattr__ __dir__ __doc__ __eq__ __format__ __ge__ __getattribute__ __getstate__ __gt__ __hash__ ' +
    '__init__ __init_subclass__ __le__ __lt__ __ne__ __new__ __reduce__ __reduce_ex__ __repr__ __setattr__ ' +
    '__sizeof__ __str__ __subclasshook__'
  ).split(' '),
);

const unsafe = Symbol('unsafe');

/** getattr(value, name): a public attribute, `unsafe` for one that is off limits, or undefined. */
function attribute(value: Value, name: string, budget: Budget): Value | typeof unsafe | undefined {
  if (value instanceof Undefined) {
    if (name.startsWith('__') && name.endsWith('__')) return objectAttributes.has(name) ? unsafe : undefined;
    throw undefinedError(value);
  }
  const own = value instanceof PyObject ? value.attribute(name) : undefined;
  if (own !== undefined) return name.startsWith('_') ? unsafe : own;
  if (objectAttributes.has(name) && kindName(value) !== 'jinja2.utils.Namespace object') return unsafe;
  if (typeof value === 'bigint' || typeof value === 'boolean' || typeof value === 'number') {
    const real = typeof value === 'boolean' ? BigInt(value) : value;
    if (name === 'real' || (name === 'numerator' && typeof real === 'bigint')) return real;
    if (name === 'imag') return typeof real === 'bigint' ? 0n : 0;
    if (name === 'denominator' && typeof real === 'bigint') return 1n;
  }
  if (isMutator(value, name)) return unsafe;
  if (!methodNames(value)?.has(name)) return undefined;
  return new Callable(name, (args, keywords) => callMethod(value, name, args, keywords, budget));
}

/** value[key], or undefined where Python raises a TypeError or a LookupError. */
function item(value: Value, key: Value): Value | undefined {
  if (value instanceof Undefined) throw undefinedError(value);
  if (value instanceof Dict) {
    if (Array.isArray(key) || key instanceof Dict) return undefined; // unhashable
    return value.get(key);
  }
  const own =
    value instanceof PyObject && 'item' in value ? (value as PyObject & { item(key: Value): Value | undefined }) : null;
  if (own) return own.item(key);
  if (intOf(key) === null) return undefined;
  const index = indexArgument(key);
  const text = textOf(value);
  if (text !== null) {
    const char = pointAt(text, index);
    return char !== undefined && value instanceof Markup ? new Markup(char) : char;
  }
  if (Array.isArray(value)) return value.at(index);
  if (value instanceof Tuple) return value.items.at(index);
  if (value instanceof Range) {
    const at = index < 0 ? index + value.length : index;
    return at >= 0 && at < value.length ? value.at(at) : undefined;
  }
  return undefined;
}

const forbidden = (value: Value, name: string): Undefined =>
  new Undefined({ hint: `access to attribute '${name}' of '${typeName(value)}' object is unsafe.` }, 'SecurityError');

const absent = (value: Value, name: Value): Undefined => new Undefined({ of: kindName(value), name });

/** `value.name`: the attribute, else the item. */
export function getAttribute(value: Value, name: string, budget: Budget): Value {
  const found = attribute(value, name, budget);
  if (found === unsafe) return forbidden(value, name);
  if (found !== undefined) return found;
  const element = item(value, name);
  return element === undefined ? absent(value, name) : element;
}

/** `value[key]`: the item, else the attribute. */
export function getItem(value: Value, key: Value, budget: Budget): Value {
  chargeKey(key, budget);
  chargeKey(value, budget); // a text is searched for its code points
  const found = item(value, key);
  if (found !== undefined) return found;
  const name = textOf(key);
  if (name === null) return absent(value, key);
  const own = attribute(value, name, budget);
  if (own === unsafe) return forbidden(value, name);
  return own === undefined ? absent(value, name) : own;
}

/** Whether getattr() would find something, also what is off limits: the filter `attr`. */
export const hasAttribute = (value: Value, name: string, budget: Budget): boolean =>
  value instanceof Undefined ? false : attribute(value, name, budget) !== undefined;

/** `value[start:stop:step]`; Python's own operation, without a net. @throws TypeError, ValueError */
export function slice(value: Value, start: Value, stop: Value, step: Value, budget: Budget): Value {
  const text = textOf(value);
  if (text !== null) budget.text(text.length);
  const sequence = Array.isArray(value) ? value : value instanceof Tuple ? value.items : null;
  const length = text !== null ? lengthOf(text) : value instanceof Range ? value.length : sequence?.length;
  if (length === undefined) {
    if (value instanceof Undefined) throw undefinedError(value);
    if (value instanceof Dict) throw typeError("unhashable type: 'slice'");
    throw typeError(`'${typeName(value)}' object is not subscriptable`);
  }
  const by = step === null ? 1 : sliceIndex(step);
  if (by === 0) throw valueError('slice step cannot be zero');
  const least = by < 0 ? -1 : 0;
  const most = by < 0 ? length - 1 : length;
  const bound = (given: Value, otherwise: number): number => {
    if (given === null) return otherwise;
    const index = sliceIndex(given);
    return index < 0 ? Math.max(least, index + length) : Math.min(index, most);
  };
  const from = bound(start, by < 0 ? most : least);
  const to = bound(stop, by < 0 ? least : most);
  budget.spend(sequence ? length : 1);
  if (text !== null) {
    const part = by === 1 ? slicePoints(text, from, Math.max(from, to)) : pick(codePoints(text), from, to, by).join('');
    return value instanceof Markup ? new Markup(part) : part;
  }
  if (value instanceof Range) {
    return new Range(value.at(from), value.at(to), value.step * BigInt(by));
  }
  const part = by === 1 ? (sequence?.slice(from, Math.max(from, to)) ?? []) : pick(sequence ?? [], from, to, by);
  return Array.isArray(value) ? part : new Tuple(part);
}

function pick<T>(items: readonly T[], from: number, to: number, by: number): T[] {
  const picked: T[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) picked.push(items[i] as T);
  return picked;
}

function sliceIndex(value: Value): number {
  if (intOf(value) === null) throw typeError('slice indices must be integers or None or have an __index__ method');
  return indexArgument(value);
}
