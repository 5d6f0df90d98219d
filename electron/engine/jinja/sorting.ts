// sorted(), min() and max()
import type { Budget } from './budget.ts';
import { compare } from './operators.ts';
import type { Value } from './values.ts';

/** Stable, with Python's order of equal items when it is reversed. @throws TypeError if two keys have no order */
export function sorted<T>(items: readonly T[], key: (item: T) => Value, isReversed: boolean, budget: Budget): T[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  if (isReversed) keyed.reverse();
  const isLess = (a: { key: Value }, b: { key: Value }) => compare('<', a.key, b.key, budget);
  // Python compares neighbours first, so that an error names the same two types.
  for (const [i, entry] of keyed.entries()) {
    const before = keyed[i - 1];
    if (before) isLess(entry, before);
  }
  keyed.sort((a, b) => (isLess(a, b) ? -1 : isLess(b, a) ? 1 : 0));
  if (isReversed) keyed.reverse();
  return keyed.map(({ item }) => item);
}

/** The first of the smallest or of the largest items; undefined if there are none. */
export function extreme(
  items: Iterable<Value>,
  key: (item: Value) => Value,
  sign: '<' | '>',
  budget: Budget,
): Value | undefined {
  let best: { item: Value; key: Value } | undefined;
  for (const item of items) {
    const entry = { item, key: key(item) };
    if (!best || compare(sign, entry.key, best.key, budget)) best = entry;
  }
  return best?.item;
}
