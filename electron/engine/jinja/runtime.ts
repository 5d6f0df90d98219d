// What a running template needs: its budget, its line for messages, its variables, and calling things.
import type { Budget } from './budget.ts';
import { TemplateError, typeError } from './errors.ts';
import { Joiner, LoopContext } from './objects.ts';
import { undefinedError } from './operators.ts';
import { Callable, Dict, type Keywords, PyObject, Tuple, typeName, Undefined, type Value } from './values.ts';

/** A filter or a test: the value comes first. */
export type Builtin = (runtime: Runtime, args: readonly Value[], keywords: Keywords) => Value;

export class Runtime {
  readonly budget: Budget;
  readonly now: Date;
  readonly filters: ReadonlyMap<string, Builtin>;
  readonly tests: ReadonlyMap<string, Builtin>;
  /** Of the statement that runs. */
  line = 1;
  autoescape = false;

  constructor(budget: Budget, now: Date, filters: Runtime['filters'], tests: Runtime['tests']) {
    this.budget = budget;
    this.now = now;
    this.filters = filters;
    this.tests = tests;
  }

  call(callee: Value, args: readonly Value[], keywords: Keywords): Value {
    this.budget.spend(1);
    if (callee instanceof Callable || callee instanceof Macro) return callee.call(args, keywords);
    if (callee instanceof LoopContext) return callee.call(args[0] ?? null);
    if (callee instanceof Joiner) return callee.call();
    if (callee instanceof Undefined) throw undefinedError(callee);
    throw typeError(`'${typeName(callee)}' object is not callable`);
  }
}

/** Names of the template's outermost scope that blocks can see, over what the application passed and globals. */
export class Context {
  readonly variables = new Map<string, Value>();
  readonly parent: ReadonlyMap<string, Value>;
  constructor(parent: ReadonlyMap<string, Value>) {
    this.parent = parent;
  }
  resolve(name: string): Value | undefined {
    const own = this.variables.get(name);
    return own === undefined ? this.parent.get(name) : own;
  }
  /** This context with more names on top, as a scoped block sees it. */
  derived(names: ReadonlyMap<string, Value>): Context {
    return new Context(new Map([...this.parent, ...this.variables, ...names]));
  }
}

/** One call of a function that a template was compiled to: its variables. */
export class Activation {
  readonly runtime: Runtime;
  readonly context: Context;
  readonly outer: Activation | null;
  /** By slot; undefined where nothing is set. */
  readonly slots: (Value | undefined)[] = [];
  constructor(runtime: Runtime, context: Context, outer: Activation | null) {
    this.runtime = runtime;
    this.context = context;
    this.outer = outer;
  }
}

/** Text that is being written: the result, or what a macro, a filter block or a set block collects. */
export class Output {
  text = '';
  readonly #budget: Budget;
  constructor(budget: Budget) {
    this.#budget = budget;
  }
  write(text: string): void {
    this.#budget.joined(this.text.length + text.length, text.length);
    this.text += text;
  }
}

export interface MacroInfo {
  name: string | null;
  parameters: readonly string[];
  usesCaller: boolean;
  usesKeywords: boolean;
  usesArgs: boolean;
}

/** A macro, or the body of a call block. The parameters arrive in order; undefined asks for the default. */
export class Macro extends PyObject {
  readonly typeName = 'Macro';
  override readonly module = 'jinja2.runtime';
  readonly info: MacroInfo;
  readonly #run: (args: (Value | undefined)[]) => Value;
  constructor(info: MacroInfo, run: (args: (Value | undefined)[]) => Value) {
    super();
    this.info = info;
    this.#run = run;
  }

  override attribute(name: string): Value | undefined {
    const { parameters, usesCaller, usesKeywords, usesArgs } = this.info;
    switch (name) {
      case 'name':
        return this.info.name;
      case 'arguments':
        return new Tuple(parameters);
      case 'catch_kwargs':
        return usesKeywords;
      case 'catch_varargs':
        return usesArgs;
      case 'caller':
        return usesCaller;
      case 'explicit_caller':
        return parameters.includes('caller');
      default:
        return undefined;
    }
  }

  repr(printer: (value: Value) => string): string {
    return `<Macro ${this.info.name === null ? 'anonymous' : printer(this.info.name)}>`;
  }

  /** Positional arguments first, then keywords, then what the body asks for: caller, kwargs, varargs. */
  call(args: readonly Value[], keywords: Keywords): Value {
    const { name, parameters, usesCaller, usesKeywords, usesArgs } = this.info;
    const rest = new Map(keywords);
    const take = (key: string): Value | undefined => {
      const value = rest.get(key);
      rest.delete(key);
      return value;
    };
    const bound = parameters.map((parameter, i) => (i < args.length ? args[i] : take(parameter)));
    if (usesCaller && !parameters.includes('caller')) {
      bound.push(take('caller') ?? new Undefined({ hint: 'No caller defined' }));
    }
    if (usesKeywords) bound.push(Dict.of(rest));
    else this.#refuse(rest);
    if (usesArgs) bound.push(new Tuple(args.slice(parameters.length)));
    else if (args.length > parameters.length) {
      throw typeError(`macro ${shown(name)} takes not more than ${parameters.length} argument(s)`);
    }
    return this.#run(bound);
  }

  #refuse(rest: ReadonlyMap<string, Value>): void {
    const [key] = rest.keys();
    if (key === undefined) return;
    const macro = `macro ${shown(this.info.name)}`;
    throw typeError(
      rest.has('caller')
        ? `${macro} was invoked with two values for the special caller argument. This is most likely a bug.`
        : `${macro} takes no keyword argument '${key}'`,
    );
  }
}

const shown = (name: string | null): string => (name === null ? 'None' : `'${name}'`);

export function runtimeError(message: string): TemplateError {
  return new TemplateError('TemplateRuntimeError', message);
}
