// What stands after `is`. https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-tests
import type { Budget } from './budget.ts';
import { define, defineOne, defineOperator } from './builtin.ts';
import { isLower, isUpper } from './case-mapping.ts';
import { iterate } from './iteration.ts';
import { Joiner, LoopContext } from './objects.ts';
import { arithmetic, type Comparison, compare, contains, equals, isSame, lengthOrNull } from './operators.ts';
import { str } from './printing.ts';
import { type Builtin, Macro } from './runtime.ts';
import { Callable, Dict, DictView, hashKey, Markup, textOf, Undefined, type Value } from './values.ts';

const one = (name: string, run: (value: Value) => boolean): Builtin => define({ name }, (_, value) => run(value));

const remainder = (name: string, expected: bigint): Builtin =>
  define({ name }, ({ budget }, value) => equals(arithmetic('%', value, 2n, budget), expected, budget));

const ordered = (name: string, operator: Comparison): Builtin =>
  defineOperator(name, ({ budget }, a, b) => compare(operator, a, b, budget));

const eq = defineOperator('eq', ({ budget }, a, b) => equals(a, b, budget));
const ne = defineOperator('ne', ({ budget }, a, b) => !equals(a, b, budget));
const gt = ordered('gt', '>');
const ge = ordered('ge', '>=');
const lt = ordered('lt', '<');
const le = ordered('le', '<=');

const isSequence = (value: Value): boolean =>
  lengthOrNull(value) !== null && !(value instanceof DictView) && !(value instanceof LoopContext);

function charged(value: Value, budget: Budget): string {
  const text = str(value, budget);
  budget.text(text.length);
  return text;
}

/** `value in names`, which asks for a hash. @throws TypeError */
const isName = (value: Value, names: ReadonlyMap<string, Builtin>): boolean => names.has(String(hashKey(value)));

const isCallable = (value: Value): boolean =>
  value instanceof Callable ||
  value instanceof Macro ||
  value instanceof LoopContext ||
  value instanceof Joiner ||
  value instanceof Undefined;

export const tests: ReadonlyMap<string, Builtin> = new Map(
  Object.entries<Builtin>({
    odd: remainder('test_odd', 1n),
    even: remainder('test_even', 0n),
    divisibleby: define({ name: 'test_divisibleby', parameters: 'num' }, ({ budget }, value, num = null) =>
      equals(arithmetic('%', value, num, budget), 0n, budget),
    ),
    defined: one('test_defined', (value) => !(value instanceof Undefined)),
    undefined: one('test_undefined', (value) => value instanceof Undefined),
    filter: define({ name: 'test_filter', nHidden: 1 }, ({ filters }, value) => isName(value, filters)),
    test: define({ name: 'test_test', nHidden: 1 }, (_, value) => isName(value, tests)),
    none: one('test_none', (value) => value === null),
    boolean: one('test_boolean', (value) => typeof value === 'boolean'),
    false: one('test_false', (value) => value === false),
    true: one('test_true', (value) => value === true),
    integer: one('test_integer', (value) => typeof value === 'bigint'),
    float: one('test_float', (value) => typeof value === 'number'),
    lower: define({ name: 'test_lower' }, ({ budget }, value) => isLower(charged(value, budget))),
    upper: define({ name: 'test_upper' }, ({ budget }, value) => isUpper(charged(value, budget))),
    string: one('test_string', (value) => textOf(value) !== null),
    mapping: one('test_mapping', (value) => value instanceof Dict),
    number: one('test_number', (value) => ['bigint', 'number', 'boolean'].includes(typeof value)),
    sequence: one('test_sequence', isSequence),
    iterable: one('test_iterable', (value) => iterate(value) !== null),
    callable: defineOne('callable', (_, value) => isCallable(value)),
    sameas: define({ name: 'test_sameas', parameters: 'other' }, (_, value, other = null) => isSame(value, other)),
    escaped: one('test_escaped', (value) => value instanceof Markup),
    in: define({ name: 'test_in', parameters: 'seq' }, ({ budget }, value, seq = null) => contains(seq, value, budget)),
    '==': eq,
    eq,
    equalto: eq,
    '!=': ne,
    ne,
    '>': gt,
    gt,
    greaterthan: gt,
    '>=': ge,
    ge,
    '<': lt,
    lt,
    lessthan: lt,
    '<=': le,
    le,
  }),
);
