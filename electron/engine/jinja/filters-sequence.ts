// Filters over sequences and mappings.
import { getAttribute, hasAttribute } from './access.ts';
import type { Budget } from './budget.ts';
import { define, intArgument } from './builtin.ts';
import { codePoints } from './code-points.ts';
import { TemplateError, typeError, unsupported } from './errors.ts';
import { attributeGetter, attributeGetters, ignoreCase } from './getters.ts';
import { iterate, iterateOrFail, toList } from './iteration.ts';
import { itemsOf, lazily } from './lazy.ts';
import { reversed } from './methods.ts';
import { indexArgument } from './numbers.ts';
import { arithmetic, chargeKey, compare, equals, isTrue, undefinedError } from './operators.ts';
import { repr } from './printing.ts';
import type { Builtin } from './runtime.ts';
import { extreme, sorted } from './sorting.ts';
import { Dict, GroupTuple, hashKey, Markup, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

const argumentError = (message: string) => new TemplateError('FilterArgumentError', message);

/** The key that sorting and grouping go by. */
const keyGetter = (attribute: Value, caseSensitive: Value, budget: Budget, otherwise: Value = null) => {
  const get = attributeGetter(attribute, budget, otherwise);
  return isTrue(caseSensitive) ? get : (item: Value) => ignoreCase(get(item), budget);
};

const sort = define(
  { name: 'do_sort', parameters: 'reverse? case_sensitive? attribute?', nHidden: 1 },
  ({ budget }, value, reverse = false, caseSensitive = false, attribute = null) => {
    const getters = attributeGetters(attribute, budget);
    const fold = isTrue(caseSensitive) ? (key: Value) => key : (key: Value) => ignoreCase(key, budget);
    const key = (item: Value) => getters(item).map(fold);
    return sorted(toList(value, budget), key, intArgument(reverse, 0n) !== 0n, budget);
  },
);

const dictSort = define(
  { name: 'do_dictsort', parameters: 'case_sensitive? by? reverse?' },
  ({ budget }, value, caseSensitive = false, by = 'key', reverse = false) => {
    const at = ['key', 'value'].indexOf(textOf(by) ?? '');
    if (at < 0) throw argumentError('You can only sort by either "key" or "value"');
    if (value instanceof Undefined) throw undefinedError(value);
    if (!(value instanceof Dict)) {
      throw new TemplateError('AttributeError', `'${typeName(value)}' object has no attribute 'items'`);
    }
    const fold = isTrue(caseSensitive) ? (key: Value) => key : (key: Value) => ignoreCase(key, budget);
    const items = Array.from(value.entries(), (entry) => new Tuple(entry));
    return sorted(items, (item) => fold(item.items[at] ?? null), intArgument(reverse, 0n) !== 0n, budget);
  },
);

const pick = (name: string, sign: '<' | '>'): Builtin =>
  define(
    { name, parameters: 'case_sensitive? attribute?', nHidden: 1 },
    ({ budget }, value, caseSensitive = false, attribute = null) => {
      const best = extreme(itemsOf(value, budget), keyGetter(attribute, caseSensitive, budget), sign, budget);
      return best === undefined ? new Undefined({ hint: 'No aggregated item, sequence was empty.' }) : best;
    },
  );

const unique = define(
  { name: 'sync_do_unique', parameters: 'case_sensitive? attribute?', nHidden: 1 },
  ({ budget }, value, caseSensitive = false, attribute = null) =>
    lazily(function* () {
      const key = keyGetter(attribute, caseSensitive, budget);
      const seen = new Set<unknown>();
      for (const item of itemsOf(value, budget)) {
        const own = key(item);
        chargeKey(own, budget);
        const hash = hashKey(own);
        if (seen.has(hash)) continue;
        seen.add(hash);
        yield item;
      }
    }),
);

const groupBy = define(
  { name: 'sync_do_groupby', parameters: 'attribute default? case_sensitive?', nHidden: 1 },
  ({ budget }, value, attribute = null, otherwise = null, caseSensitive = false) => {
    const key = keyGetter(attribute, caseSensitive, budget, otherwise);
    const groups: { key: Value; items: Value[] }[] = [];
    for (const item of sorted(toList(value, budget), key, false, budget)) {
      const last = groups.at(-1);
      if (last && equals(last.key, key(item), budget)) last.items.push(item);
      else groups.push({ key: key(item), items: [item] });
    }
    const shown = attributeGetter(attribute, budget, otherwise);
    return groups.map(
      ({ key: own, items }) => new GroupTuple([isTrue(caseSensitive) ? own : shown(items[0] ?? null), items]),
    );
  },
);

const sum = define(
  { name: 'sync_do_sum', first: 'iterable', parameters: 'attribute? start?', nHidden: 1 },
  ({ budget }, value, attribute = null, start = 0n) => {
    const get = attribute === null ? (item: Value) => item : attributeGetter(attribute, budget);
    const addends = itemsOf(value, budget);
    if (textOf(start) !== null) throw typeError("sum() can't sum strings [use ''.join(seq) instead]");
    let total = start;
    for (const item of addends) total = arithmetic('+', total, get(item), budget);
    return total;
  },
);

const first = define({ name: 'sync_do_first', first: 'seq', nHidden: 1 }, ({ budget }, value) => {
  for (const item of iterateOrFail(value, budget)) return item;
  return new Undefined({ hint: 'No first item, sequence was empty.' });
});

const last = define({ name: 'do_last', first: 'seq', nHidden: 1 }, ({ budget }, value) => {
  const [item] = toList(reversed(value, budget), budget);
  return item === undefined ? new Undefined({ hint: 'No last item, sequence was empty.' }) : item;
});

const reverse = define({ name: 'do_reverse' }, ({ budget }, value) => {
  const text = textOf(value);
  if (text !== null) {
    budget.text(text.length);
    const turned = codePoints(text).reverse().join('');
    return value instanceof Markup ? new Markup(turned) : turned;
  }
  if (iterate(value) === null) throw argumentError('argument must be iterable');
  return typeName(value) !== 'generator' ? reversed(value, budget) : toList(value, budget).reverse();
});

const slices = define(
  { name: 'sync_do_slice', parameters: 'slices fill_with?' },
  ({ budget }, value, nSlices = null, fill = null) =>
    lazily(function* () {
      const items = toList(value, budget);
      arithmetic('//', BigInt(items.length), nSlices, budget);
      const count = indexArgument(nSlices);
      const size = Math.floor(items.length / count);
      const nLonger = items.length - size * count;
      let at = 0;
      for (let i = 0; i < count; i++) {
        budget.spend(1);
        const end = at + size + (i < nLonger ? 1 : 0);
        const part = items.slice(at, end);
        if (fill !== null && i >= nLonger) part.push(fill);
        yield part;
        at = end;
      }
    }),
);

const batch = define(
  { name: 'do_batch', parameters: 'linecount fill_with?' },
  ({ budget }, value, lineCount = null, fill = null) =>
    lazily(function* () {
      let line: Value[] = [];
      for (const item of itemsOf(value, budget)) {
        if (equals(BigInt(line.length), lineCount, budget)) {
          yield line;
          line = [];
        }
        line.push(item);
      }
      if (line.length === 0) return;
      if (fill !== null && compare('<', BigInt(line.length), lineCount, budget)) {
        const n = indexArgument(lineCount);
        budget.spend(n);
        while (line.length < n) line.push(fill);
      }
      yield line;
    }),
);

const items = define({ name: 'do_items' }, ({ budget }, value) =>
  lazily(function* () {
    if (value instanceof Undefined) return;
    if (!(value instanceof Dict)) throw typeError('Can only get item pairs from a mapping.');
    for (const entry of value.entries()) {
      budget.spend(1);
      yield new Tuple(entry);
    }
  }),
);

const otherwise = define(
  { name: 'do_default', parameters: 'default_value? boolean?' },
  (_, value, defaultValue = '', boolean = false) =>
    value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? defaultValue : value,
);

const attr = define(
  { name: 'do_attr', first: 'obj', parameters: 'name', nHidden: 1 },
  ({ budget }, value, name = null) => {
    const text = textOf(name);
    if (text === null) throw typeError(`attribute name must be string, not '${typeName(name)}'`);
    if (value instanceof Undefined) throw undefinedError(value);
    if (!hasAttribute(value, text, budget))
      return new Undefined({ hint: `${kindOf(value)} has no attribute ${repr(text, budget)}` });
    return getAttribute(value, text, budget);
  },
);

const kindOf = (value: Value): string => `'${value === null ? 'None' : `${typeName(value)} object`}'`;

export const sequenceFilters: Record<string, Builtin> = {
  attr,
  batch,
  d: otherwise,
  default: otherwise,
  dictsort: dictSort,
  first,
  groupby: groupBy,
  items,
  last,
  list: define({ name: 'sync_do_list' }, ({ budget }, value) => toList(value, budget)),
  max: pick('do_max', '>'),
  min: pick('do_min', '<'),
  random: () => {
    throw unsupported("The filter 'random'");
  },
  reverse,
  slice: slices,
  sort,
  sum,
  unique,
};
