// Python's values as the interpreter holds them:
//   None null · bool boolean · int bigint · float number · str string · list array · everything else a class below.
import { typeError } from './errors.ts';

export type Value = null | boolean | bigint | number | string | Value[] | PyObject;

/** Whatever is not a plain JavaScript value. `typeName` and `module` are those of the Python class. */
export abstract class PyObject {
  abstract readonly typeName: string;
  readonly module: string = 'builtins';
  /** A public attribute, or undefined if the class has none of that name. Methods come bound. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }
}

/** markupsafe.Markup, a str that `+`, `%` and `join` escape for; it comes from the filters `safe` and `escape`. */
export class Markup extends PyObject {
  readonly typeName = 'Markup';
  override readonly module = 'markupsafe';
  readonly text: string;
  constructor(text: string) {
    super();
    this.text = text;
  }
}

export class Tuple extends PyObject {
  readonly typeName: string = 'tuple';
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }
}

/** What `groupby` gives: a tuple whose two items have names. */
export class GroupTuple extends Tuple {
  override readonly typeName = '_GroupTuple';
  override readonly module = 'jinja2.filters';
  override attribute(name: string): Value | undefined {
    return name === 'grouper' ? this.items[0] : name === 'list' ? this.items[1] : undefined;
  }
}

export class Range extends PyObject {
  readonly typeName = 'range';
  readonly start: bigint;
  readonly stop: bigint;
  readonly step: bigint;
  readonly length: number;
  constructor(start: bigint, stop: bigint, step: bigint) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    const span = step > 0n ? stop - start : start - stop;
    const size = step > 0n ? step : -step;
    this.length = span > 0n ? Number((span + size - 1n) / size) : 0;
  }
  at(index: number): bigint {
    return this.start + this.step * BigInt(index);
  }
  override attribute(name: string): Value | undefined {
    return name === 'start' || name === 'stop' || name === 'step' ? this[name] : undefined;
  }
}

/** A generator or iterator: read once. */
export class PyIterator extends PyObject {
  readonly typeName: string;
  readonly iterator: Iterator<Value, unknown>;
  constructor(iterator: Iterator<Value, unknown>, typeName = 'generator') {
    super();
    this.iterator = iterator;
    this.typeName = typeName;
  }
}

type UndefinedReason = { hint: string } | { name: string } | { of: string; name: Value };

/** A value that is not there. It prints as nothing; most operations on it raise `error()`. */
export class Undefined extends PyObject {
  readonly typeName = 'Undefined';
  override readonly module = 'jinja2.runtime';
  readonly reason: UndefinedReason;
  readonly errorType: 'UndefinedError' | 'SecurityError';
  constructor(reason: UndefinedReason, errorType: Undefined['errorType'] = 'UndefinedError') {
    super();
    this.reason = reason;
    this.errorType = errorType;
  }
}

export type Keywords = ReadonlyMap<string, Value>;
export const noKeywords: Keywords = new Map();

/** Anything that can be called with Python arguments. */
export class Callable extends PyObject {
  readonly typeName: string;
  readonly name: string;
  readonly call: (args: readonly Value[], keywords: Keywords) => Value;
  constructor(name: string, call: Callable['call'], typeName = 'builtin_function_or_method') {
    super();
    this.name = name;
    this.call = call;
    this.typeName = typeName;
  }
}

/** Python's dict: insertion order, keys by value, 1 == 1.0 == True. */
export class Dict extends PyObject {
  readonly typeName = 'dict';
  readonly #entries = new Map<unknown, [key: Value, value: Value]>();

  static of(entries: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.set(key, value);
    return dict;
  }
  get size(): number {
    return this.#entries.size;
  }
  /** @throws TypeError if the key cannot be hashed */
  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1];
  }
  set(key: Value, value: Value): void {
    const hash = hashKey(key);
    const entry = this.#entries.get(hash);
    if (entry) entry[1] = value;
    else this.#entries.set(hash, [key, value]);
  }
  entries(): Iterable<[Value, Value]> {
    return this.#entries.values();
  }
  *keys(): Generator<Value, void> {
    for (const [key] of this.#entries.values()) yield key;
  }
  *values(): Generator<Value, void> {
    for (const [, value] of this.#entries.values()) yield value;
  }
}

/** d.keys(), d.values(), d.items(): live views. */
export class DictView extends PyObject {
  readonly typeName: 'dict_keys' | 'dict_values' | 'dict_items';
  readonly dict: Dict;
  constructor(dict: Dict, part: 'keys' | 'values' | 'items') {
    super();
    this.dict = dict;
    this.typeName = `dict_${part}`;
  }
  *[Symbol.iterator](): Generator<Value, void> {
    for (const [key, value] of this.dict.entries()) {
      yield this.typeName === 'dict_keys' ? key : this.typeName === 'dict_values' ? value : new Tuple([key, value]);
    }
  }
}

/** Equal keys give the same primitive; objects stand for themselves. */
export function hashKey(key: Value): unknown {
  // Text that could be taken for a tuple's key gets the prefix once more.
  if (typeof key === 'string') return key.startsWith('\0') ? `\0${key}` : key;
  if (typeof key === 'boolean') return Number(key);
  if (typeof key === 'bigint') return safeNumber(key) ?? key;
  if (key instanceof Markup) return hashKey(key.text);
  if (key instanceof Tuple) return `\0(${key.items.map(tupleItemKey).join()})`;
  if (key instanceof Undefined) return Undefined;
  const isView = key instanceof DictView && key.typeName !== 'dict_values';
  if (Array.isArray(key) || key instanceof Dict || isView) throw typeError(`unhashable type: '${typeName(key)}'`);
  return key;
}

const identities = new WeakMap<object, number>();
let nIdentities = 0;

function tupleItemKey(item: Value): string {
  const key = hashKey(item);
  if (typeof key === 'string') return `s${key.length}:${key}`;
  if (typeof key !== 'object' && typeof key !== 'function') return `${typeof key}:${String(key)}`;
  if (key === null) return 'None';
  const id = identities.get(key) ?? ++nIdentities;
  identities.set(key, id);
  return `object:${id}`;
}

/** An int as a JavaScript number if that is exact. */
function safeNumber(value: bigint): number | null {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : null;
}

/** Text of a str or a Markup, else null. */
export function textOf(value: Value): string | null {
  return typeof value === 'string' ? value : value instanceof Markup ? value.text : null;
}

/** bool is an int in Python. */
export function intOf(value: Value): bigint | null {
  return typeof value === 'bigint' ? value : typeof value === 'boolean' ? BigInt(value) : null;
}

export function numberOf(value: Value): bigint | number | null {
  return typeof value === 'number' ? value : intOf(value);
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  return Array.isArray(value) ? 'list' : value.typeName;
}

/** How Jinja2 names a value's kind in messages about what it lacks. */
export function kindName(value: Value): string {
  if (value === null) return 'None';
  const module = value instanceof PyObject ? value.module : 'builtins';
  return module === 'builtins' ? `${typeName(value)} object` : `${module}.${typeName(value)} object`;
}

/** Deepest nesting of data that is taken in: any deeper and Python's own recursion limit is near. */
const maxDepth = 200;

/** JSON-like data of the application as Python's json module would read it. Absent properties stay absent. */
export function fromJson(data: unknown, depth = 0): Value {
  if (depth > maxDepth) throw typeError(`data nested more than ${maxDepth} levels deep`);
  if (data === null || typeof data === 'string' || typeof data === 'boolean' || typeof data === 'bigint') return data;
  if (typeof data === 'number') return Number.isSafeInteger(data) ? BigInt(data) : data;
  if (Array.isArray(data)) return data.map((item) => fromJson(item, depth + 1));
  if (typeof data !== 'object') throw typeError(`data of type ${typeof data}`);
  const entries = Object.entries(data).filter(([, value]) => value !== undefined);
  return Dict.of(entries.map(([key, value]) => [key, fromJson(value, depth + 1)]));
}
