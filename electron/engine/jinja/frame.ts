// Where statements stand while they are compiled, and how a scope's variables come and go while they run.
import { outward, type Scope } from './compile-expression.ts';
import { toMarkup } from './markup.ts';
import { str } from './printing.ts';
import type { Activation, Context, Output, Runtime } from './runtime.ts';
import type { Load, Symbols } from './symbols.ts';
import { Markup, type Value } from './values.ts';

/** How a statement ends: it goes on, or a loop takes over. */
export type Signal = undefined | 'break' | 'continue';
export type Execute = (activation: Activation, output: Output) => Signal;

/** Where a statement stands. */
export interface Frame extends Scope {
  template: TemplateScope;
  /** At the top level, conditions included: what is set here can be seen by blocks. */
  isTopLevel: boolean;
  /** Whether `break` and `continue` have a loop in this function. */
  isInLoop: boolean;
}

/** Shared by all functions of a template. */
export interface TemplateScope {
  blocks: Map<string, (runtime: Runtime, context: Context, output: Output) => void>;
}

/** Fills a scope's variables when it is entered. */
export function compileEntry(symbols: Symbols): (activation: Activation) => void {
  const loads = Array.from(symbols.loads, ([ident, load]) => ({ slot: symbols.scope.slotOf(ident), load }))
    .filter(({ load }) => load.from !== 'parameter')
    .map(({ slot, load }) => ({ slot, read: compileLoad(symbols, load) }));
  return (activation) => {
    for (const { slot, read } of loads) activation.slots[slot] = read(activation);
  };
}

function compileLoad(symbols: Symbols, load: Load): (activation: Activation) => Value | undefined {
  if (load.from === 'context') return (a) => a.context.resolve(load.name);
  if (load.from !== 'outer') return () => undefined;
  let nHops = 0;
  for (let scope = symbols.scope; scope !== load.symbols.scope && scope.outer; scope = scope.outer) nHops++;
  const slot = load.symbols.scope.slotOf(load.ident);
  return (a) => outward(a, nHops).slots[slot];
}

/** Empties a scope's variables when it is left. */
export function compileExit(symbols: Symbols): (activation: Activation) => void {
  const slots = Array.from(symbols.loads.keys(), (ident) => symbols.scope.slotOf(ident));
  return ({ slots: variables }) => {
    for (const slot of slots) variables[slot] = undefined;
  };
}

export function writeValue(value: Value, { runtime }: Activation, output: Output): void {
  output.write(runtime.autoescape ? toMarkup(value, runtime.budget).text : str(value, runtime.budget));
}

/** What a macro, a filter block or a set block collected. */
export const captured = ({ runtime }: Activation, { text }: Output): Value =>
  runtime.autoescape ? new Markup(text) : text;
