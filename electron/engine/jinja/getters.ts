// Attributes by path, as `map(attribute="a.b.0")`, `sort(attribute="a,b")` and their kin name them.
import { getItem } from './access.ts';
import type { Budget } from './budget.ts';
import { kinds } from './case-mapping.ts';
import { textOf, Undefined, type Value } from './values.ts';

type Getter = (item: Value) => Value;

function parts(attribute: Value): Value[] {
  const text = textOf(attribute);
  if (text === null) return attribute === null ? [] : [attribute];
  return text.split('.').map((part) => (kinds.isdigit?.test(part) && /^\d+$/.test(part) ? BigInt(part) : part));
}

/** @param otherwise what takes the place of an undefined part; null keeps it undefined */
export function attributeGetter(attribute: Value, budget: Budget, otherwise: Value = null): Getter {
  const path = parts(attribute);
  return (item) => {
    let value = item;
    for (const part of path) {
      value = getItem(value, part, budget);
      if (otherwise !== null && value instanceof Undefined) value = otherwise;
    }
    return value;
  };
}

/** Several attributes with commas between them. */
export function attributeGetters(attribute: Value, budget: Budget): (item: Value) => Value[] {
  const names = textOf(attribute)?.split(',') ?? [attribute];
  const getters = names.map((name) => attributeGetter(name, budget));
  return (item) => getters.map((get) => get(item));
}

/** Text in lower case, anything else as it is. */
export function ignoreCase(value: Value, budget: Budget): Value {
  const text = textOf(value);
  if (text === null) return value;
  budget.text(text.length);
  return text.toLowerCase();
}
