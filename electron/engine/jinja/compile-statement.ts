// Statements → closures that write text.
import { compileCall, compileExpression, locate, outward } from './compile-expression.ts';
import { compileFor } from './compile-for.ts';
import { compileCallBlock, compileMacro } from './compile-macro.ts';
import { compileNamespaceCheck, compileTarget } from './compile-target.ts';
import { TemplateError } from './errors.ts';
import { captured, compileEntry, compileExit, type Execute, type Frame, type Signal, writeValue } from './frame.ts';
import type { BlockNode, Expression, FilterNode, IfNode, Statement } from './nodes.ts';
import { isTrue } from './operators.ts';
import { str } from './printing.ts';
import { type Activation, Output, runtimeError } from './runtime.ts';
import { childrenOf, Symbols, visitAll, visitExpression, visitTarget } from './symbols.ts';
import { Markup, type Value } from './values.ts';

export function compileBody(body: readonly Statement[], frame: Frame): Execute {
  const statements = body.map((node) => {
    const execute = compileStatement(node, frame);
    const { line } = node;
    const cost = 1 + costOf(node);
    return (a: Activation, output: Output): Signal => {
      a.runtime.budget.spend(cost);
      a.runtime.line = line;
      return execute(a, output);
    };
  });
  return (a, output) => {
    for (const statement of statements) {
      const signal = statement(a, output);
      if (signal) return signal;
    }
    return undefined;
  };
}

/** Expressions that a statement evaluates at most once each time. */
function costOf(node: Statement): number {
  const count = (expression: Expression): number =>
    childrenOf(expression).reduce((sum, child) => sum + count(child), 1);
  switch (node.kind) {
    case 'output':
      return node.parts.reduce((sum, part) => sum + (typeof part === 'string' ? 1 : count(part)), 0);
    case 'set':
      return count(node.value);
    case 'if':
      return node.branches.reduce((sum, { test }) => sum + count(test), 0);
    case 'with':
      return node.values.reduce((sum, value) => sum + count(value), 0);
    case 'for':
      return count(node.items);
    case 'callBlock':
      return count(node.call);
    case 'filterBlock':
      return count(node.filter);
    default:
      return 1;
  }
}

function compileStatement(node: Statement, frame: Frame): Execute {
  switch (node.kind) {
    case 'output':
      return compileOutput(node.parts, frame);
    case 'set': {
      const value = compileExpression(node.value, frame);
      const assign = compileTarget(node.target, frame);
      const check = compileNamespaceCheck(node.target, frame);
      return (a) => {
        check(a);
        assign(a, value(a));
        return undefined;
      };
    }
    case 'setBlock':
      return compileSetBlock(node, frame);
    case 'filterBlock': {
      const { enter, execute, inner } = compileInner(node.body, frame, (symbols) => {
        visitAll(node.body, symbols);
        visitExpression(node.filter, symbols);
      });
      const filtered = compileFiltered(node.filter, inner);
      return (a, output) => {
        enter(a);
        const buffer = new Output(a.runtime.budget);
        const signal = execute(a, buffer);
        if (!signal) writeValue(filtered(a, captured(a, buffer)), a, output);
        return signal;
      };
    }
    case 'with':
      return compileWith(node, frame);
    case 'if':
      return compileIf(node, frame);
    case 'for':
      return compileFor(node, frame);
    case 'macro':
      return compileMacro(node, frame, compileTarget({ kind: 'name', name: node.name, line: node.line }, frame));
    case 'callBlock':
      return compileCallBlock(node, frame, compileCall);
    case 'generation': {
      const { enter, execute } = compileInner(node.body, { ...frame, isInLoop: false });
      return (a, output) => {
        enter(a);
        execute(a, output);
        return undefined;
      };
    }
    case 'autoescape':
      return compileAutoescape(node, frame);
    case 'block':
      return compileBlock(node, frame);
    case 'load':
      return () => {
        throw new TemplateError('TypeError', 'no loader for this environment specified');
      };
    case 'break':
    case 'continue': {
      const { kind, line } = node;
      if (!frame.isInLoop) {
        const message = kind === 'break' ? "'break' outside loop" : "'continue' not properly in loop";
        throw new TemplateError('SyntaxError', message, line);
      }
      return () => kind;
    }
  }
}

/** A body in a scope of its own, in the same function. */
function compileInner(
  body: readonly Statement[],
  frame: Frame,
  analyse: (symbols: Symbols) => void = (symbols) => visitAll(body, symbols),
): { enter(activation: Activation): void; execute: Execute; leave(activation: Activation): void; inner: Frame } {
  const symbols = new Symbols(frame.symbols, frame.symbols.scope);
  analyse(symbols);
  const inner = { ...frame, symbols, isTopLevel: false, isConditional: false };
  return { enter: compileEntry(symbols), execute: compileBody(body, inner), leave: compileExit(symbols), inner };
}

function compileOutput(parts: (string | Expression)[], frame: Frame): Execute {
  const writers = parts.map((part) => {
    if (typeof part === 'string') return (_: Activation, output: Output) => output.write(part);
    const value = compileExpression(part, frame);
    const { line } = part;
    return (a: Activation, output: Output) => {
      a.runtime.line = line;
      writeValue(value(a), a, output);
    };
  });
  return (a, output) => {
    for (const write of writers) write(a, output);
    return undefined;
  };
}

/** Filters that are applied to collected text; the innermost one takes it from a slot. */
function compileFiltered(filter: FilterNode, frame: Frame): (activation: Activation, text: Value) => Value {
  const collectedSlot = frame.symbols.scope.slotOf(`${frame.symbols.level}#collected`);
  const evaluate = compileExpression(filter, { ...frame, collectedSlot });
  return (a, text) => {
    a.slots[collectedSlot] = text;
    return evaluate(a);
  };
}

function compileSetBlock(node: Extract<Statement, { kind: 'setBlock' }>, frame: Frame): Execute {
  const { enter, execute, leave, inner } = compileInner(node.body, frame);
  const assign = compileTarget(node.target, frame);
  const filtered = node.filter ? compileFiltered(node.filter, inner) : (_: Activation, text: Value) => text;
  return (a) => {
    enter(a);
    const buffer = new Output(a.runtime.budget);
    const signal = execute(a, buffer);
    if (signal) return signal;
    const value = filtered(a, buffer.text);
    assign(a, a.runtime.autoescape ? new Markup(str(value, a.runtime.budget)) : value);
    leave(a);
    return undefined;
  };
}

function compileWith(node: Extract<Statement, { kind: 'with' }>, frame: Frame): Execute {
  const values = node.values.map((value) => compileExpression(value, frame));
  const { enter, execute, leave, inner } = compileInner(node.body, frame, (symbols) => {
    for (const target of node.targets) visitTarget(target, symbols, 'parameter');
    visitAll(node.body, symbols);
  });
  const targets = node.targets.map((target) => compileTarget(target, inner));
  return (a, output) => {
    enter(a);
    targets.forEach((assign, i) => {
      assign(a, values[i]?.(a) ?? null);
    });
    const signal = execute(a, output);
    if (!signal) leave(a);
    return signal;
  };
}

function compileIf(node: IfNode, frame: Frame): Execute {
  const soft = { ...frame, isConditional: true };
  const branches = node.branches.map(({ test, body }) => ({
    test: compileExpression(test, soft),
    execute: compileBody(body, soft),
  }));
  const otherwise = compileBody(node.otherwise, soft);
  return (a, output) => {
    for (const { test, execute } of branches) if (isTrue(test(a))) return execute(a, output);
    return otherwise(a, output);
  };
}

function compileAutoescape({ value, body }: Extract<Statement, { kind: 'autoescape' }>, frame: Frame): Execute {
  const isOn = value.kind === 'const' && value.value === true;
  const { enter, execute, leave, inner } = compileInner(body, { ...frame, autoescape: isOn }, (symbols) => {
    visitExpression(value, symbols);
    visitAll(body, symbols);
  });
  const flag = compileExpression(value, inner);
  return (a, output) => {
    enter(a);
    const before = a.runtime.autoescape;
    a.runtime.autoescape = isTrue(flag(a));
    const signal = execute(a, output);
    a.runtime.autoescape = before;
    if (!signal) leave(a);
    return signal;
  };
}

function compileBlock({ name, isScoped, isRequired }: BlockNode, frame: Frame): Execute {
  const visible = (isScoped ? storedNames(frame.symbols) : []).map((local) => ({
    local,
    ...locate(frame.symbols, local),
  }));
  return (a, output) => {
    if (isRequired) throw runtimeError(`Required block '${name}' not found`);
    const locals = new Map<string, Value>();
    for (const { local, nHops, slot } of visible) {
      const value = outward(a, nHops).slots[slot];
      if (value !== undefined) locals.set(local, value);
    }
    const context = isScoped ? a.context.derived(locals) : a.context;
    frame.template.blocks.get(name)?.(a.runtime, context, output);
    return undefined;
  };
}

function storedNames(symbols: Symbols | null): string[] {
  return symbols ? [...new Set([...symbols.stores, ...storedNames(symbols.parent)])] : [];
}
