// Generators as Python has them: they do nothing until they are read.
import type { Budget } from './budget.ts';
import { generator, iterateOrFail } from './iteration.ts';
import type { Value } from './values.ts';

/** One step for each item that comes through. */
function* counted(items: Iterable<Value>, budget: Budget): Generator<Value, void> {
  for (const item of items) {
    budget.spend(1);
    yield item;
  }
}

/** A generator whose body starts when it is first read, as in Python. */
export const lazily = (make: () => Iterable<Value>) =>
  generator(
    (function* (): Generator<Value, void> {
      yield* make();
    })(),
  );

/** @throws TypeError at once */
export const itemsOf = (value: Value, budget: Budget): Iterable<Value> => counted(iterateOrFail(value, budget), budget);
