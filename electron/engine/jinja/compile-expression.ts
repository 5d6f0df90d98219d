// Expressions → closures over the variables of a running template.
import { getAttribute, getItem, slice } from './access.ts';
import { TemplateError, typeError } from './errors.ts';
import { iterate } from './iteration.ts';
import { toMarkup } from './markup.ts';
import type { Arguments, CallNode, CompareOperator, Expression, FilterNode, TestNode } from './nodes.ts';
import { arithmetic, chargeKey, compare, contains, equals, isTrue, negate } from './operators.ts';
import { str } from './printing.ts';
import { type Activation, type Builtin, runtimeError } from './runtime.ts';
import type { Symbols } from './symbols.ts';
import { Dict, type Keywords, Markup, noKeywords, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

export type Evaluate = (activation: Activation) => Value;

/** Where an expression stands. */
export interface Scope {
  symbols: Symbols;
  /** In a condition an unknown filter or test is an error only when it is used. */
  isConditional: boolean;
  autoescape: boolean;
  /** In a filter block: the slot of the text that the innermost filter takes. */
  collectedSlot: number | null;
  filters: ReadonlyMap<string, Builtin>;
  tests: ReadonlyMap<string, Builtin>;
}

/** How many functions further out a variable lives, and its slot there. */
export function locate(symbols: Symbols, name: string): { nHops: number; slot: number } {
  const found = symbols.find(name);
  if (!found) throw new Error(`The name ${name} was not analysed.`); // a bug of ours
  let nHops = 0;
  for (let scope = symbols.scope; scope !== found.symbols.scope; nHops++) {
    if (!scope.outer) throw new Error(`The name ${name} is out of reach.`); // a bug of ours
    scope = scope.outer;
  }
  return { nHops, slot: found.symbols.scope.slotOf(found.ident) };
}

/** The call `nHops` functions further out. */
export function outward(activation: Activation, nHops: number): Activation {
  let at = activation;
  for (let i = 0; i < nHops && at.outer; i++) at = at.outer;
  return at;
}

export function compileExpression(node: Expression, scope: Scope): Evaluate {
  const compile = (child: Expression) => compileExpression(child, scope);
  switch (node.kind) {
    case 'const': {
      const { value } = node;
      return () => value;
    }
    case 'name':
      return compileName(node.name, scope.symbols);
    case 'list': {
      const items = node.items.map(compile);
      return (a) => items.map((item) => item(a));
    }
    case 'tuple': {
      const items = node.items.map(compile);
      return (a) => new Tuple(items.map((item) => item(a)));
    }
    case 'dict': {
      const pairs = node.pairs.map(({ key, value }) => [compile(key), compile(value)] as const);
      return (a) => {
        const dict = new Dict();
        for (const [key, value] of pairs) {
          const name = key(a);
          chargeKey(name, a.runtime.budget);
          dict.set(name, value(a));
        }
        return dict;
      };
    }
    case 'binary': {
      const [left, right, { operator }] = [compile(node.left), compile(node.right), node];
      return (a) => arithmetic(operator, left(a), right(a), a.runtime.budget);
    }
    case 'and': {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (a) => {
        const value = left(a);
        return isTrue(value) ? right(a) : value;
      };
    }
    case 'or': {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (a) => {
        const value = left(a);
        return isTrue(value) ? value : right(a);
      };
    }
    case 'not': {
      const value = compile(node.value);
      return (a) => !isTrue(value(a));
    }
    case 'sign': {
      const [value, { operator }] = [compile(node.value), node];
      return (a) => negate(operator, value(a));
    }
    case 'compare':
      return compileComparison(node, compile);
    case 'concat':
      return compileConcat(node.parts.map(compile), scope.autoescape);
    case 'condition':
      return compileCondition(node, { ...scope, isConditional: true });
    case 'attribute': {
      const [value, { name }] = [compile(node.value), node];
      return (a) => getAttribute(value(a), name, a.runtime.budget);
    }
    case 'item': {
      const [value, key] = [compile(node.value), compile(node.key)];
      return (a) => getItem(value(a), key(a), a.runtime.budget);
    }
    case 'slice': {
      const part = (child: Expression | null): Evaluate => (child ? compile(child) : () => null);
      const [value, start, stop, step] = [compile(node.value), part(node.start), part(node.stop), part(node.step)];
      return (a) => slice(value(a), start(a), stop(a), step(a), a.runtime.budget);
    }
    case 'call':
      return compileCall(node, scope);
    case 'filter':
      return compileBuiltin(node, scope, 'filter');
    case 'test':
      return compileBuiltin(node, scope, 'test');
  }
}

const collected =
  ({ collectedSlot }: Scope): Evaluate =>
  ({ slots }) =>
    slots[collectedSlot ?? -1] ?? '';

function compileName(name: string, symbols: Symbols): Evaluate {
  const { nHops, slot } = locate(symbols, name);
  const undefinedValue = new Undefined({ name });
  if (nHops === 0) {
    return (a) => {
      const value = a.slots[slot];
      return value === undefined ? undefinedValue : value;
    };
  }
  return (a) => {
    const value = outward(a, nHops).slots[slot];
    return value === undefined ? undefinedValue : value;
  };
}

type Node<Kind> = Extract<Expression, { kind: Kind }>;

function compileComparison(node: Node<'compare'>, compile: (child: Expression) => Evaluate): Evaluate {
  const first = compile(node.first);
  const rest = node.rest.map(({ operator, value }) => ({ holds: comparison(operator), value: compile(value) }));
  return (a) => {
    let left = first(a);
    for (const { holds, value } of rest) {
      const right = value(a);
      if (!holds(left, right, a)) return false;
      left = right;
    }
    return true;
  };
}

function comparison(operator: CompareOperator): (left: Value, right: Value, activation: Activation) => boolean {
  switch (operator) {
    case '==':
      return (left, right, a) => equals(left, right, a.runtime.budget);
    case '!=':
      return (left, right, a) => !equals(left, right, a.runtime.budget);
    case 'in':
      return (left, right, a) => contains(right, left, a.runtime.budget);
    case 'not in':
      return (left, right, a) => !contains(right, left, a.runtime.budget);
    default:
      return (left, right, a) => compare(operator, left, right, a.runtime.budget);
  }
}

function compileConcat(parts: Evaluate[], autoescape: boolean): Evaluate {
  return (a) => {
    const { budget } = a.runtime;
    const values = parts.map((part) => part(a));
    const isMarkup = autoescape && values.some((value) => value instanceof Markup);
    let text = '';
    for (const value of values) {
      const part = isMarkup ? toMarkup(value, budget).text : str(value, budget);
      budget.joined(text.length + part.length, Math.min(text.length, part.length));
      text += part;
    }
    return isMarkup ? new Markup(text) : text;
  };
}

function compileCondition(node: Node<'condition'>, scope: Scope): Evaluate {
  const test = compileExpression(node.test, scope);
  const then = compileExpression(node.then, scope);
  const hint = `the inline if-expression on line ${node.line} evaluated to false and no else section was defined.`;
  const otherwise = node.otherwise ? compileExpression(node.otherwise, scope) : () => new Undefined({ hint });
  return (a) => (isTrue(test(a)) ? then(a) : otherwise(a));
}

interface CompiledArguments {
  args(activation: Activation, first?: Value): Value[];
  keywords(activation: Activation): Keywords;
}

function compileArguments(node: Arguments, scope: Scope): CompiledArguments {
  const args = node.args.map((arg) => compileExpression(arg, scope));
  const dynamicArgs = node.dynamicArgs ? compileExpression(node.dynamicArgs, scope) : null;
  const keywords = node.keywords.map(({ key, value }) => [key, compileExpression(value, scope)] as const);
  const dynamicKeywords = node.dynamicKeywords ? compileExpression(node.dynamicKeywords, scope) : null;
  const hasKeywords = keywords.length > 0 || dynamicKeywords !== null;
  return {
    args: (a, first) => {
      const values = first === undefined ? [] : [first];
      for (const arg of args) values.push(arg(a));
      return dynamicArgs ? values.concat(spread(dynamicArgs(a), a)) : values;
    },
    keywords: (a) => {
      if (!hasKeywords) return noKeywords;
      const result = new Map(keywords.map(([key, value]) => [key, value(a)]));
      if (dynamicKeywords) spreadKeywords(dynamicKeywords(a), result, a);
      return result;
    },
  };
}

function spread(value: Value, { runtime }: Activation): Value[] {
  const items = iterate(value);
  if (items === null) throw typeError(`Value after * must be an iterable, not ${typeName(value)}`);
  const spread: Value[] = [];
  for (const item of items) {
    runtime.budget.spend(1);
    spread.push(item);
  }
  return spread;
}

/** Jinja2 passes arguments through this function, and Python's messages name it. */
const caller = 'jinja2.sandbox.SandboxedEnvironment.call()';

function spreadKeywords(value: Value, into: Map<string, Value>, { runtime }: Activation): void {
  if (!(value instanceof Dict))
    throw typeError(`${caller} argument after ** must be a mapping, not ${typeName(value)}`);
  runtime.budget.spend(value.size);
  for (const [key, item] of value.entries()) {
    const name = textOf(key);
    if (name === null) throw typeError('keywords must be strings');
    if (into.has(name)) throw typeError(`${caller} got multiple values for keyword argument '${name}'`);
    into.set(name, item);
  }
}

/** @param extra keywords that come on top: the caller of a call block */
export function compileCall(
  node: CallNode,
  scope: Scope,
  extra?: (activation: Activation) => [string, Value],
): Evaluate {
  const callee = compileExpression(node.callee, scope);
  const { args, keywords } = compileArguments(node, scope);
  const { line } = node;
  return (a) => {
    const { runtime } = a;
    const target = callee(a);
    const positional = args(a);
    const named = extra ? new Map([...keywords(a), extra(a)]) : keywords(a);
    const before = runtime.line;
    runtime.line = line;
    const result = runtime.call(target, positional, named);
    runtime.line = before;
    return result;
  };
}

function compileBuiltin(node: FilterNode | TestNode, scope: Scope, kind: 'filter' | 'test'): Evaluate {
  const builtin = (kind === 'filter' ? scope.filters : scope.tests).get(node.name);
  if (!builtin && !scope.isConditional) {
    throw new TemplateError('TemplateAssertionError', `No ${kind} named '${node.name}'.`, node.line);
  }
  const value = node.value ? compileExpression(node.value, scope) : collected(scope);
  const { args, keywords } = compileArguments(node, scope);
  const { name, line } = node;
  return (a) => {
    const { runtime } = a;
    const before = runtime.line;
    const positional = args(a, value(a));
    const named = keywords(a);
    runtime.line = line;
    runtime.budget.spend(1);
    if (!builtin) throw runtimeError(`No ${kind} named '${name}' found.`);
    const result = builtin(runtime, positional, named);
    runtime.line = before;
    return result;
  };
}
