// Functions that every template can call: Jinja2's, and the two that transformers adds.
import { bind } from './arguments.ts';
import { TemplateError, typeError, unsupported, valueError } from './errors.ts';
import { Cycler, Joiner, makeDict, Namespace } from './objects.ts';
import { str } from './printing.ts';
import type { Runtime } from './runtime.ts';
import { strftime } from './strftime.ts';
import { Callable, intOf, Range, textOf, typeName, type Value } from './values.ts';

const maxRange = 100_000;

/** As transformers names the functions it adds; messages of Python hold this. */
const added = '_compile_jinja_template.<locals>';

export function globals(runtime: Runtime): [string, Value][] {
  const { budget } = runtime;
  const functions: Record<string, Callable['call']> = {
    range: makeRange,
    lipsum: () => {
      throw unsupported('lipsum()');
    },
    raise_exception: (args, keywords) => {
      const [message = null] = bind(`${added}.raise_exception`, ['message'], args, keywords);
      throw new TemplateError('TemplateError', str(message, budget));
    },
    strftime_now: (args, keywords) => {
      const [format = null] = bind(`${added}.strftime_now`, ['format'], args, keywords);
      const text = textOf(format);
      if (text === null) throw typeError(`strftime() argument 1 must be str, not ${typeName(format)}`);
      const result = strftime(runtime.now, text);
      budget.text(result.length);
      return result;
    },
  };
  const classes: Record<string, [name: string, call: Callable['call']]> = {
    dict: ['dict', (args, keywords) => makeDict(args, keywords, budget)],
    cycler: ['jinja2.utils.Cycler', (args) => new Cycler(args)],
    joiner: [
      'jinja2.utils.Joiner',
      (args, keywords) => {
        const [separator = ', '] = bind('Joiner.__init__', ['sep?'], args, keywords, 1);
        return new Joiner(separator);
      },
    ],
    namespace: [
      'jinja2.utils.Namespace',
      (args, keywords) => {
        const namespace = new Namespace();
        for (const [key, value] of makeDict(args, keywords, budget).entries()) namespace.attributes.set(key, value);
        return namespace;
      },
    ],
  };
  return [
    ...Object.entries(functions).map(([name, call]): [string, Value] => [name, new Callable(name, call, 'function')]),
    ...Object.entries(classes).map(([key, [name, call]]): [string, Value] => [key, new Callable(name, call, 'type')]),
  ];
}

function makeRange(args: readonly Value[]): Range {
  const numbers = args.map((arg) => {
    const int = intOf(arg);
    if (int === null) throw typeError(`'${typeName(arg)}' object cannot be interpreted as an integer`);
    return int;
  });
  if (numbers.length === 0) throw typeError('range expected at least 1 argument, got 0');
  if (numbers.length > 3) throw typeError(`range expected at most 3 arguments, got ${numbers.length}`);
  const [a = 0n, b, step = 1n] = numbers;
  if (step === 0n) throw valueError('range() arg 3 must not be zero');
  const range = b === undefined ? new Range(0n, a, 1n) : new Range(a, b, step);
  if (range.length > maxRange) {
    throw new TemplateError(
      'OverflowError',
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${maxRange}).`,
    );
  }
  return range;
}
