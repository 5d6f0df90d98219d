import { TemplateError } from './errors.ts';
import { attributeGetter } from './getters.ts';
import { itemsOf, lazily } from './lazy.ts';
import { isTrue, undefinedError } from './operators.ts';
import { repr } from './printing.ts';
import { type Builtin, type Runtime, runtimeError } from './runtime.ts';
import { type Keywords, textOf, Undefined, type Value } from './values.ts';

const argumentError = (message: string) => new TemplateError('FilterArgumentError', message);

const named = (name: Value | undefined, kind: 'filter' | 'test', runtime: Runtime): Builtin => {
  const found = (kind === 'filter' ? runtime.filters : runtime.tests).get(textOf(name ?? null) ?? '');
  if (found) return found;
  const hint =
    name instanceof Undefined ? ` (${undefinedError(name).message}; did you forget to quote the callable name?)` : '';
  throw runtimeError(`No ${kind} named ${repr(name ?? null, runtime.budget)}.${hint}`);
};

const map: Builtin = (runtime, [value = null, ...args], keywords) =>
  lazily(function* () {
    if (!isTrue(value)) return;
    const apply = mapper(runtime, args, keywords);
    for (const item of itemsOf(value, runtime.budget)) yield apply(item);
  });

function mapper(runtime: Runtime, args: Value[], keywords: Keywords): (item: Value) => Value {
  const attribute = keywords.get('attribute');
  if (args.length === 0 && attribute !== undefined) {
    const unknown = [...keywords.keys()].find((key) => key !== 'attribute' && key !== 'default');
    if (unknown !== undefined) throw argumentError(`Unexpected keyword argument '${unknown}'`);
    return attributeGetter(attribute, runtime.budget, keywords.get('default') ?? null);
  }
  const [name, ...rest] = args;
  if (name === undefined) throw argumentError('map requires a filter argument');
  return (item) => named(name, 'filter', runtime)(runtime, [item, ...rest], keywords);
}

/** select, reject, selectattr, rejectattr */
const selection =
  (isWanted: boolean, byAttribute: boolean): Builtin =>
  (runtime, [value = null, ...args], keywords) =>
    lazily(function* () {
      if (!isTrue(value)) return;
      const [attribute] = args;
      if (byAttribute && attribute === undefined) throw argumentError('Missing parameter for attribute name');
      const get = byAttribute ? attributeGetter(attribute ?? null, runtime.budget) : (item: Value) => item;
      const [name, ...rest] = byAttribute ? args.slice(1) : args;
      const passes = (item: Value): boolean =>
        isTrue(name === undefined ? get(item) : named(name, 'test', runtime)(runtime, [get(item), ...rest], keywords));
      for (const item of itemsOf(value, runtime.budget)) if (passes(item) === isWanted) yield item;
    });

export const selectFilters: Record<string, Builtin> = {
  map,
  reject: selection(false, false),
  rejectattr: selection(false, true),
  select: selection(true, false),
  selectattr: selection(true, true),
};
