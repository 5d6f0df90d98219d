// How filters and tests are written down: a Python function's name and parameters, and what it does.
import { bind } from './arguments.ts';
import { typeError } from './errors.ts';
import type { Builtin, Runtime } from './runtime.ts';
import { typeName, type Value } from './values.ts';

type Given = Value | undefined;

interface Definition {
  /** Name of the Python function, for messages. */
  name: string;
  /** After the value itself; "?" marks what may be left out. */
  parameters?: string;
  /** Arguments that Jinja2 puts in front (environment, context). */
  nHidden?: number;
  /** Name of the first parameter. */
  first?: string;
}

/** A Python function with named parameters. */
export function define(
  { name, parameters = '', nHidden = 0, first = 'value' }: Definition,
  run: (runtime: Runtime, value: Value, ...args: Given[]) => Value,
): Builtin {
  const names = [first, ...parameters.split(' ').filter((parameter) => parameter !== '')];
  return (runtime, args, keywords) => {
    const [value = null, ...rest] = bind(name, names, args, keywords, nHidden);
    return run(runtime, value, ...rest);
  };
}

/** A built-in function of Python with one argument. */
export function defineOne(name: string, run: (runtime: Runtime, value: Value) => Value): Builtin {
  return (runtime, args, keywords) => {
    if (keywords.size > 0) throw typeError(`${name}() takes no keyword arguments`);
    if (args.length !== 1) throw typeError(`${name}() takes exactly one argument (${args.length} given)`);
    return run(runtime, args[0] ?? null);
  };
}

/** A function of Python's module `operator`. */
export function defineOperator(name: string, run: (runtime: Runtime, a: Value, b: Value) => Value): Builtin {
  return (runtime, args, keywords) => {
    if (keywords.size > 0) throw typeError(`_operator.${name}() takes no keyword arguments`);
    if (args.length !== 2) throw typeError(`${name} expected 2 arguments, got ${args.length}`);
    return run(runtime, args[0] ?? null, args[1] ?? null);
  };
}

/** An argument that has to be an int. */
export function intArgument(value: Given, otherwise: bigint): bigint {
  if (value === undefined) return otherwise;
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return BigInt(value);
  throw typeError(`'${typeName(value)}' object cannot be interpreted as an integer`);
}
