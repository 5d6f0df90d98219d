// {% macro %} and {% call %}: bodies that run as functions of their own, with their parameters.
import { type compileCall, compileExpression, locate } from './compile-expression.ts';
import { compileBody } from './compile-statement.ts';
import type { Assign } from './compile-target.ts';
import { TemplateError } from './errors.ts';
import { captured, compileEntry, type Execute, type Frame, writeValue } from './frame.ts';
import type { CallBlockNode, MacroNode } from './nodes.ts';
import { Activation, Macro, type MacroInfo, Output } from './runtime.ts';
import { FunctionScope, Symbols, visitAll, visitExpression } from './symbols.ts';
import { undeclared } from './undeclared.ts';
import { Undefined } from './values.ts';

export function compileMacro(node: MacroNode, frame: Frame, assign: Assign): Execute {
  const make = compileFunction(node, node.name, frame);
  return (a) => {
    assign(a, make(a));
    return undefined;
  };
}

/** Calls a macro with the body as `caller`. */
export function compileCallBlock(node: CallBlockNode, frame: Frame, compile: typeof compileCall): Execute {
  const make = compileFunction(node, null, frame);
  const call = compile(node.call, frame, (a) => ['caller', make(a)]);
  return (a, output) => {
    writeValue(call(a), a, output);
    return undefined;
  };
}

function compileFunction(
  node: MacroNode | CallBlockNode,
  name: string | null,
  outer: Frame,
): (activation: Activation) => Macro {
  const scope = new FunctionScope(outer.symbols.scope);
  const symbols = new Symbols(outer.symbols, scope);
  const parameters = node.parameters.map((parameter) => parameter.name);
  for (const parameter of parameters) symbols.parameter(parameter);
  for (const value of node.defaults) visitExpression(value, symbols);
  visitAll(node.body, symbols);

  const special = undeclared(node.body, ['caller', 'kwargs', 'varargs']);
  const nRequired = parameters.length - node.defaults.length;
  const at = parameters.indexOf('caller');
  if (special.has('caller') && at >= 0 && at < nRequired) {
    throw new TemplateError(
      'TemplateAssertionError',
      'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.',
      node.line,
    );
  }
  const info: MacroInfo = {
    name,
    parameters,
    usesCaller: special.has('caller'),
    usesKeywords: special.has('kwargs') && !parameters.includes('kwargs'),
    usesArgs: special.has('varargs') && !parameters.includes('varargs'),
  };
  const extra = [
    ...(info.usesCaller && at < 0 ? ['caller'] : []),
    ...(info.usesKeywords ? ['kwargs'] : []),
    ...(info.usesArgs ? ['varargs'] : []),
  ];
  for (const parameter of extra) symbols.parameter(parameter);

  const frame: Frame = { ...outer, symbols, isTopLevel: false, isInLoop: false, isConditional: false };
  const slots = [...parameters, ...extra].map((parameter) => locate(symbols, parameter).slot);
  const defaults = parameters.map((parameter, i) => {
    const value = node.defaults[i - nRequired];
    if (value) return compileExpression(value, frame);
    const missing = new Undefined({ hint: `parameter '${parameter}' was not provided` });
    return () => missing;
  });
  const enter = compileEntry(symbols);
  const execute = compileBody(node.body, frame);

  return (definition) =>
    new Macro(info, (args) => {
      const { runtime, context } = definition;
      return runtime.budget.nested(() => {
        const a = new Activation(runtime, context, definition);
        slots.forEach((slot, i) => {
          a.slots[slot] = args[i];
        });
        enter(a);
        defaults.forEach((value, i) => {
          const slot = slots[i] ?? 0;
          if (a.slots[slot] === undefined) a.slots[slot] = value(a);
        });
        const output = new Output(runtime.budget);
        execute(a, output);
        return captured(a, output);
      });
    });
}
