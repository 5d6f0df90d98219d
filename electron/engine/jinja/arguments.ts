// How Python passes arguments: to functions with named parameters, and to built-in methods without.
import { typeError } from './errors.ts';
import { type Keywords, textOf, typeName, type Value } from './values.ts';

/** Parameters in order; those that end in "?" are optional, the absent ones come as undefined. */
export type Parameters = readonly string[];

const quoteList = (names: readonly string[]): string => {
  const quoted = names.map((name) => `'${name}'`);
  if (quoted.length <= 2) return quoted.join(' and ');
  return `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;
};

const plural = (n: number): string => (n === 1 ? '' : 's');

/**
 * The arguments of a Python function by parameter.
 * @param nHidden arguments that Jinja2 adds in front; messages count them
 * @throws TypeError in Python's words
 */
export function bind(
  name: string,
  parameters: Parameters,
  args: readonly Value[],
  keywords: Keywords,
  nHidden = 0,
): (Value | undefined)[] {
  const names = parameters.map((parameter) => parameter.replace('?', ''));
  const bound: (Value | undefined)[] = names.map((_, i) => args[i]);
  for (const [key, value] of keywords) {
    const at = names.indexOf(key);
    if (at < 0) throw typeError(`${name}() got an unexpected keyword argument '${key}'`);
    if (bound[at] !== undefined) throw typeError(`${name}() got multiple values for argument '${key}'`);
    bound[at] = value;
  }
  const nRequired = parameters.filter((parameter) => !parameter.endsWith('?')).length;
  if (args.length > names.length) {
    const [least, most, given] = [nRequired + nHidden, names.length + nHidden, args.length + nHidden];
    const takes =
      least === most ? `${most} positional argument${plural(most)}` : `from ${least} to ${most} positional arguments`;
    throw typeError(`${name}() takes ${takes} but ${given} ${given === 1 ? 'was' : 'were'} given`);
  }
  const missing = names.filter((_, i) => i < nRequired && bound[i] === undefined);
  if (missing.length > 0) {
    const what = `${missing.length} required positional argument${plural(missing.length)}`;
    throw typeError(`${name}() missing ${what}: ${quoteList(missing)}`);
  }
  return bound;
}

/** A built-in method takes between `least` and `most` arguments, by position. @throws TypeError */
export function checkCount(name: string, args: readonly Value[], least: number, most: number): void {
  const n = args.length;
  if (n >= least && n <= most) return;
  const short = name.split('.').at(-1);
  if (most === 0) throw typeError(`${name}() takes no arguments (${n} given)`);
  if (least === most && most === 1) throw typeError(`${name}() takes exactly one argument (${n} given)`);
  const bound = n < least ? least : most;
  const limit = least === most ? '' : n < least ? 'at least ' : 'at most ';
  throw typeError(`${short} expected ${limit}${bound} argument${plural(bound)}, got ${n}`);
}

export function refuseKeywords(name: string, keywords: Keywords): void {
  if (keywords.size > 0) throw typeError(`${name}() takes no keyword arguments`);
}

/** An argument that must be text. @throws TypeError */
export function textArgument(name: string, value: Value | undefined, position?: number): string {
  const text = value === undefined ? null : textOf(value);
  if (text !== null) return text;
  const which = position === undefined ? 'argument' : `argument ${position}`;
  throw typeError(`${name}() ${which} must be str, not ${typeName(value ?? null)}`);
}
