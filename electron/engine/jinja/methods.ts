// Methods of the built-in types, other than str's. Those that would change a list or a dict are off limits.
import { checkCount, refuseKeywords } from './arguments.ts';
import type { Budget } from './budget.ts';
import { TemplateError, typeError, valueError } from './errors.ts';
import { generator, toList } from './iteration.ts';
import { chargeKey, sameOrEqual } from './operators.ts';
import { repr } from './printing.ts';
import { callStrMethod, isStrMethod } from './str-methods.ts';
import { Dict, DictView, type Keywords, Range, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

type Run = (args: readonly Value[], budget: Budget) => Value;

interface Method<Self> {
  least: number;
  most: number;
  run(self: Self, ...rest: Parameters<Run>): Value;
}

type Methods<Self> = ReadonlyMap<string, Method<Self>>;

const table = <Self>(methods: Record<string, Method<Self>>): Methods<Self> => new Map(Object.entries(methods));

const dictMethods: Methods<Dict> = table({
  get: {
    least: 1,
    most: 2,
    run: (dict, [key = null, otherwise = null], budget) => {
      chargeKey(key, budget);
      const value = dict.get(key);
      return value === undefined ? otherwise : value;
    },
  },
  keys: { least: 0, most: 0, run: (dict) => new DictView(dict, 'keys') },
  values: { least: 0, most: 0, run: (dict) => new DictView(dict, 'values') },
  items: { least: 0, most: 0, run: (dict) => new DictView(dict, 'items') },
  copy: {
    least: 0,
    most: 0,
    run: (dict, _, budget) => {
      budget.spend(dict.size);
      return Dict.of(dict.entries());
    },
  },
  fromkeys: {
    least: 1,
    most: 2,
    run: (_, [keys = null, value = null], budget) => {
      const list = toList(keys, budget);
      for (const key of list) chargeKey(key, budget);
      return Dict.of(list.map((key) => [key, value]));
    },
  },
});

const count: Method<Value> = {
  least: 1,
  most: 1,
  run: (sequence, [wanted = null], budget) =>
    BigInt(toList(sequence, budget).filter((item) => sameOrEqual(item, wanted, budget)).length),
};

const index: Method<Value> = {
  least: 1,
  most: 3,
  run: (sequence, [wanted = null], budget) => {
    const at = toList(sequence, budget).findIndex((item) => sameOrEqual(item, wanted, budget));
    if (at >= 0) return BigInt(at);
    if (sequence instanceof Tuple) throw valueError('tuple.index(x): x not in tuple');
    const shown = repr(wanted, budget);
    throw valueError(sequence instanceof Range ? `${shown} is not in range` : `${shown} is not in list`);
  },
};

const copy: Method<Value> = { least: 0, most: 0, run: (list, _, budget) => toList(list, budget) };

const listMethods: Methods<Value> = table({ count, index, copy });
const sequenceMethods: Methods<Value> = table({ count, index });

const isDisjoint: Method<Value> = {
  least: 1,
  most: 1,
  run: (view, [other = null], budget) => {
    const these = toList(view, budget);
    return !toList(other, budget).some((item) => these.some((mine) => sameOrEqual(mine, item, budget)));
  },
};
const viewMethods: Methods<Value> = table({ isdisjoint: isDisjoint });

const conjugate: Method<Value> = {
  least: 0,
  most: 0,
  run: (value) => (typeof value === 'boolean' ? BigInt(value) : value),
};
const intMethods: Methods<Value> = table<Value>({
  conjugate,
  bit_length: {
    least: 0,
    most: 0,
    run: (value) => {
      const int = BigInt(typeof value === 'bigint' || typeof value === 'boolean' ? value : 0);
      return int === 0n ? 0n : BigInt((int < 0n ? -int : int).toString(2).length);
    },
  },
  bit_count: {
    least: 0,
    most: 0,
    run: (value) => {
      const int = BigInt(typeof value === 'bigint' || typeof value === 'boolean' ? value : 0);
      return BigInt((int < 0n ? -int : int).toString(2).replaceAll('0', '').length);
    },
  },
});
const floatMethods: Methods<Value> = table<Value>({
  conjugate,
  is_integer: { least: 0, most: 0, run: (value) => Number.isInteger(value) },
});

const listMutators = new Set(['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort']);
const dictMutators = new Set(['clear', 'pop', 'popitem', 'setdefault', 'update']);

/** A method that exists and changes its object: the sandbox forbids it. */
export const isMutator = (value: Value, name: string): boolean =>
  Array.isArray(value) ? listMutators.has(name) : value instanceof Dict && dictMutators.has(name);

function methodsOf(value: Value): Methods<Value> | null {
  if (Array.isArray(value)) return listMethods;
  if (value instanceof Dict) return dictMethods as Methods<Value>;
  if (value instanceof Tuple || value instanceof Range) return sequenceMethods;
  if (value instanceof DictView) return value.typeName === 'dict_values' ? null : viewMethods;
  if (typeof value === 'bigint' || typeof value === 'boolean') return intMethods;
  return typeof value === 'number' ? floatMethods : null;
}

/** The names of a value's methods, without those that are off limits. */
export function methodNames(value: Value): { has(name: string): boolean } | null {
  return textOf(value) === null ? methodsOf(value) : { has: isStrMethod };
}

export function callMethod(
  self: Value,
  name: string,
  args: readonly Value[],
  keywords: Keywords,
  budget: Budget,
): Value {
  if (textOf(self) !== null) return callStrMethod(self, name, args, keywords, budget);
  const method = methodsOf(self)?.get(name);
  if (!method) throw new TemplateError('AttributeError', `'${typeName(self)}' object has no attribute '${name}'`);
  const fullName = `${typeName(self)}.${name}`;
  refuseKeywords(fullName, keywords);
  checkCount(method.most <= 1 ? fullName : name, args, method.least, method.most);
  return method.run(self, args, budget);
}

/** reversed(value). @throws TypeError */
export function reversed(value: Value, budget: Budget): Value {
  const isReversible =
    Array.isArray(value) ||
    value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof DictView ||
    value instanceof Range ||
    value instanceof Undefined ||
    textOf(value) !== null;
  if (!isReversible) throw typeError(`'${typeName(value)}' object is not reversible`);
  const name = Array.isArray(value) ? 'list_reverseiterator' : 'reversed';
  return generator(toList(value, budget).reverse(), name);
}
