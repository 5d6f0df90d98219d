// {% for %}: with a filter, with else, recursive, and the variable `loop` where the body reads it.
import { compileExpression, type Evaluate, locate } from './compile-expression.ts';
import { compileBody } from './compile-statement.ts';
import { type Assign, compileTarget } from './compile-target.ts';
import { TemplateError } from './errors.ts';
import { captured, compileEntry, compileExit, type Execute, type Frame, type Signal, writeValue } from './frame.ts';
import { generator, iterateOrFail } from './iteration.ts';
import type { ForNode, Statement, Target } from './nodes.ts';
import { LoopContext, type Recurse } from './objects.ts';
import { isTrue } from './operators.ts';
import { Activation, Output } from './runtime.ts';
import { FunctionScope, Symbols, visitAll, visitExpression, visitTarget } from './symbols.ts';
import { undeclared } from './undeclared.ts';
import type { Value } from './values.ts';

export function compileFor(node: ForNode, frame: Frame): Execute {
  refuseLoopAsTarget(node);
  const items = compileExpression(node.items, frame);
  const filter = node.test ? compileFilter(node, node.test, frame) : (_: Activation, value: Value) => value;
  // A recursive loop is a function that the body can call; another one runs in place.
  const scope = node.isRecursive ? new FunctionScope(frame.symbols.scope) : frame.symbols.scope;
  const run = compileLoop(node, frame, scope);
  if (!node.isRecursive) return (a, output) => run(a, filter(a, items(a)), 0, null, output);
  return (a, output) => {
    const { runtime, context } = a;
    const render = (value: Value, depth0: number): Value =>
      runtime.budget.nested(() => {
        const inner = new Activation(runtime, context, a);
        const buffer = new Output(runtime.budget);
        run(inner, filter(a, value), depth0, render, buffer);
        return captured(a, buffer);
      });
    writeValue(render(items(a), 0), a, output);
    return undefined;
  };
}

type Run = (a: Activation, items: Value, depth0: number, recurse: Recurse | null, output: Output) => Signal;

function compileLoop(node: ForNode, frame: Frame, scope: FunctionScope): Run {
  const symbols = new Symbols(frame.symbols, scope);
  const usesLoop = node.isRecursive || undeclared(node.body, ['loop']).size > 0;
  if (usesLoop) symbols.parameter('loop');
  visitTarget(node.target, symbols, 'parameter');
  visitAll(node.body, symbols);
  const inner: Frame = { ...frame, symbols, isTopLevel: false, isConditional: false, isInLoop: true };
  const loopSlot = usesLoop ? locate(symbols, 'loop').slot : null;
  const assign = compileTarget(node.target, inner);
  const enter = compileEntry(symbols);
  const execute = compileBody(node.body, inner);
  const leave = compileExit(symbols);
  const otherwise = compileElse(node.otherwise, frame, scope);

  return (a, items, depth0, recurse, output) => {
    const { budget } = a.runtime;
    const loop = loopSlot === null ? null : new LoopContext(items, depth0, recurse, budget);
    const iterator = loop ? null : iterateOrFail(items, budget)[Symbol.iterator]();
    // Jinja2 takes a loop for empty until a round has come to its end.
    let isEmpty = true;
    for (;;) {
      const item = loop ? loop.next() : nextOf(iterator);
      if (item === undefined) break;
      budget.spend(1);
      assign(a, item);
      if (loopSlot !== null) a.slots[loopSlot] = loop ?? undefined;
      enter(a);
      const signal = execute(a, output);
      if (signal === 'break') break;
      if (!signal) isEmpty = false;
    }
    leave(a);
    return isEmpty ? otherwise(a, output) : undefined;
  };
}

function nextOf(iterator: Iterator<Value> | null): Value | undefined {
  const next = iterator?.next();
  return !next || next.done ? undefined : next.value;
}

/** What runs if there was nothing to loop over. It is no part of the loop: `break` here belongs to the one outside. */
function compileElse(body: Statement[], frame: Frame, scope: FunctionScope): Execute {
  if (body.length === 0) return () => undefined;
  const symbols = new Symbols(frame.symbols, scope);
  visitAll(body, symbols);
  const isInLoop = frame.isInLoop && scope === frame.symbols.scope;
  const inner: Frame = { ...frame, symbols, isTopLevel: false, isConditional: false, isInLoop };
  const enter = compileEntry(symbols);
  const execute = compileBody(body, inner);
  const leave = compileExit(symbols);
  return (a, output) => {
    enter(a);
    const signal = execute(a, output);
    if (!signal) leave(a);
    return signal;
  };
}

/** `for x in items if test`: a generator, so that items are tested one by one as the loop asks for them. */
function compileFilter(node: ForNode, test: Parameters<typeof compileExpression>[0], frame: Frame) {
  const scope = new FunctionScope(frame.symbols.scope);
  const symbols = new Symbols(frame.symbols, scope);
  visitTarget(node.target, symbols, 'parameter');
  visitExpression(test, symbols);
  const inner: Frame = { ...frame, symbols, isTopLevel: false, isConditional: false };
  const assign = compileTarget(node.target, inner);
  const enter = compileEntry(symbols);
  const holds = compileExpression(test, inner);
  return (outer: Activation, value: Value): Value => generator(filtered(outer, value, enter, assign, holds));
}

function* filtered(
  outer: Activation,
  value: Value,
  enter: (activation: Activation) => void,
  assign: Assign,
  holds: Evaluate,
): Generator<Value, void> {
  const a = new Activation(outer.runtime, outer.context, outer);
  enter(a);
  for (const item of iterateOrFail(value, outer.runtime.budget)) {
    outer.runtime.budget.spend(1);
    assign(a, item);
    if (isTrue(holds(a))) yield item;
  }
}

/** Jinja2 refuses `loop` as a name to set, in the target and anywhere in the loop. */
function refuseLoopAsTarget(node: ForNode): void {
  const check = (target: Target): void => {
    if (target.kind === 'targets') target.items.forEach(check);
    else if (target.kind === 'name' && target.name === 'loop') {
      throw new TemplateError(
        'TemplateAssertionError',
        "Can't assign to special loop variable in for-loop target",
        target.line,
      );
    }
  };
  const visit = (statement: Statement): void => {
    if ('target' in statement) check(statement.target);
    if (statement.kind === 'if') for (const branch of statement.branches) branch.body.forEach(visit);
    if ('otherwise' in statement) statement.otherwise.forEach(visit);
    if ('body' in statement) statement.body.forEach(visit);
  };
  visit(node);
}
