// Jinja2's own objects: namespace, cycler, joiner, and the variable `loop`.
import type { Budget } from './budget.ts';
import { TemplateError, typeError } from './errors.ts';
import { iterateOrFail } from './iteration.ts';
import { chargeKey, lengthOrNull, sameOrEqual } from './operators.ts';
import { Callable, Dict, type Keywords, PyObject, Tuple, textOf, Undefined, type Value } from './values.ts';

/** What `{% set ns.name = value %}` writes to. */
export class Namespace extends PyObject {
  readonly typeName = 'Namespace';
  override readonly module = 'jinja2.utils';
  readonly attributes = new Dict();
  override attribute(name: string): Value | undefined {
    return this.attributes.get(name);
  }
  repr(printer: (value: Value) => string): string {
    return `<Namespace ${printer(this.attributes)}>`;
  }
}

export class Cycler extends PyObject {
  readonly typeName = 'Cycler';
  override readonly module = 'jinja2.utils';
  readonly #items: readonly Value[];
  #position = 0;
  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw new TemplateError('RuntimeError', 'at least one item has to be provided');
    this.#items = items;
  }
  override attribute(name: string): Value | undefined {
    const current = this.#items[this.#position] ?? null;
    if (name === 'current') return current;
    if (name === 'items') return new Tuple(this.#items);
    if (name === 'pos') return BigInt(this.#position);
    if (name === 'reset') {
      return method(name, () => {
        this.#position = 0;
        return null;
      });
    }
    if (name !== 'next') return undefined;
    return method(name, () => {
      const item = this.#items[this.#position] ?? null;
      this.#position = (this.#position + 1) % this.#items.length;
      return item;
    });
  }
}

/** Nothing the first time it is called, the separator from then on. */
export class Joiner extends PyObject {
  readonly typeName = 'Joiner';
  override readonly module = 'jinja2.utils';
  readonly #separator: Value;
  #isUsed = false;
  constructor(separator: Value) {
    super();
    this.#separator = separator;
  }
  override attribute(name: string): Value | undefined {
    return name === 'sep' ? this.#separator : name === 'used' ? this.#isUsed : undefined;
  }
  call(): Value {
    if (this.#isUsed) return this.#separator;
    this.#isUsed = true;
    return '';
  }
}

const method = (name: string, call: Callable['call']) => new Callable(name, call, 'method');

/** Renders a recursive loop's body for other items. */
export type Recurse = (items: Value, depth0: number) => Value;

/** The variable `loop`. It reads one item ahead if the template asks for the next one. */
export class LoopContext extends PyObject {
  readonly typeName = 'LoopContext';
  override readonly module = 'jinja2.runtime';
  readonly #budget: Budget;
  readonly #recurse: Recurse | null;
  readonly #depth0: number;
  #items: Iterator<Value>;
  #length: number | null;
  #index0 = -1;
  #ahead: Value | undefined;
  #current: Value | undefined;
  #before: Value | undefined;
  #lastChanged: readonly Value[] | null = null;

  constructor(items: Value, depth0: number, recurse: Recurse | null, budget: Budget) {
    super();
    this.#items = iterateOrFail(items, budget)[Symbol.iterator]();
    this.#length = lengthOrNull(items);
    this.#depth0 = depth0;
    this.#recurse = recurse;
    this.#budget = budget;
  }

  /** The next item, or undefined at the end. */
  next(): Value | undefined {
    const item = this.#peek();
    if (item === undefined) return undefined;
    this.#ahead = undefined;
    this.#index0++;
    this.#before = this.#current;
    this.#current = item;
    return item;
  }

  #peek(): Value | undefined {
    if (this.#ahead === undefined) {
      const { done, value } = this.#items.next();
      this.#ahead = done ? undefined : value;
    }
    return this.#ahead;
  }

  /** len(loop), which reads a generator to its end. */
  get pyLength(): number {
    if (this.#length !== null) return this.#length;
    const rest: Value[] = [];
    for (let next = this.#items.next(); !next.done; next = this.#items.next()) {
      this.#budget.spend(1);
      rest.push(next.value);
    }
    this.#items = rest[Symbol.iterator]();
    this.#length = rest.length + this.#index0 + 1 + (this.#ahead === undefined ? 0 : 1);
    return this.#length;
  }

  /** Items with the loop itself; whoever reads them takes them from the loop. */
  get pyItems(): Iterable<Value> {
    const next = () => this.next();
    const loop = this;
    return {
      *[Symbol.iterator]() {
        for (let item = next(); item !== undefined; item = next()) yield new Tuple([item, loop]);
      },
    };
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'index0':
        return BigInt(this.#index0);
      case 'index':
        return BigInt(this.#index0 + 1);
      case 'first':
        return this.#index0 === 0;
      case 'last':
        return this.#peek() === undefined;
      case 'length':
        return BigInt(this.pyLength);
      case 'revindex0':
        return BigInt(this.pyLength - this.#index0 - 1);
      case 'revindex':
        return BigInt(this.pyLength - this.#index0);
      case 'depth0':
        return BigInt(this.#depth0);
      case 'depth':
        return BigInt(this.#depth0 + 1);
      case 'previtem':
        return this.#index0 === 0 ? new Undefined({ hint: 'there is no previous item' }) : (this.#before ?? null);
      case 'nextitem': {
        const next = this.#peek();
        return next === undefined ? new Undefined({ hint: 'there is no next item' }) : next;
      }
      case 'cycle':
        return method(name, (args) => {
          if (args.length === 0) throw typeError('no items for cycling given');
          return args[this.#index0 % args.length] ?? null;
        });
      case 'changed':
        return method(name, (args) => this.#changed(args));
      default:
        return undefined;
    }
  }

  #changed(values: readonly Value[]): boolean {
    const last = this.#lastChanged;
    const isSame =
      last?.length === values.length && last.every((v, i) => sameOrEqual(v, values[i] ?? null, this.#budget));
    if (!isSame) this.#lastChanged = values;
    return !isSame;
  }

  call(items: Value): Value {
    if (!this.#recurse) throw typeError("The loop must have the 'recursive' marker to be called recursively.");
    return this.#recurse(items, this.#depth0 + 1);
  }

  repr(): string {
    return `<LoopContext ${this.#index0 + 1}/${this.pyLength}>`;
  }
}

/** dict(...): pairs or another dict, then keywords. */
export function makeDict(args: readonly Value[], keywords: Keywords, budget: Budget, name = 'dict'): Dict {
  if (args.length > 1) throw typeError(`${name} expected at most 1 argument, got ${args.length}`);
  const dict = new Dict();
  const [source] = args;
  if (source instanceof Dict) {
    budget.spend(source.size);
    for (const [key, value] of source.entries()) dict.set(key, value);
  } else if (source !== undefined) addPairs(dict, source, budget);
  for (const [key, value] of keywords) dict.set(key, value);
  return dict;
}

function addPairs(dict: Dict, source: Value, budget: Budget): void {
  let i = 0;
  for (const pair of iterateOrFail(source, budget)) {
    budget.spend(1);
    const items = Array.isArray(pair) ? pair : pair instanceof Tuple ? pair.items : Array.from(textOf(pair) ?? []);
    if (!Array.isArray(pair) && !(pair instanceof Tuple) && textOf(pair) === null) {
      throw typeError(`cannot convert dictionary update sequence element #${i} to a sequence`);
    }
    if (items.length !== 2) {
      throw new TemplateError(
        'ValueError',
        `dictionary update sequence element #${i} has length ${items.length}; 2 is required`,
      );
    }
    chargeKey(items[0] ?? null, budget);
    dict.set(items[0] ?? null, items[1] ?? null);
    i++;
  }
}
