// find(), startswith() and their kin, which look at a part of a text.
import type { Budget } from './budget.ts';
import { lengthOf, slicePoints, toPoint } from './code-points.ts';
import { typeError } from './errors.ts';
import { indexArgument } from './numbers.ts';
import { Tuple, textOf, typeName, type Value } from './values.ts';

/** The part of a text between the arguments `start` and `end`, and where it begins, in UTF-16 units. */
function range(text: string, [start = null, end = null]: readonly Value[]): { part: string; offset: number } | null {
  if (start === null && end === null) return { part: text, offset: 0 };
  const length = lengthOf(text);
  const at = (value: Value, otherwise: number) => {
    if (value === null) return otherwise;
    if (typeof value !== 'bigint' && typeof value !== 'boolean') {
      throw typeError('slice indices must be integers or None or have an __index__ method');
    }
    const index = indexArgument(value);
    return index < 0 ? Math.max(0, index + length) : index;
  };
  const from = at(start, 0);
  const to = Math.min(length, at(end, length));
  if (from > to) return null;
  return { part: slicePoints(text, from, to), offset: slicePoints(text, 0, from).length };
}

/** What find() and its kin look for. */
function soughtText(name: string, [sought]: readonly Value[]): string {
  if (sought === undefined) throw typeError(`${name}() takes at least 1 argument (0 given)`);
  const part = textOf(sought);
  if (part === null) throw typeError(`must be str, not ${typeName(sought)}`);
  return part;
}

/** Position in code points, or -1. */
export function find(text: string, name: string, args: readonly Value[], fromRight: boolean, budget: Budget): number {
  const part = soughtText(name, args);
  budget.search(text.length, part.length);
  const within = range(text, args.slice(1));
  if (!within) return -1;
  const at = fromRight ? within.part.lastIndexOf(part) : within.part.indexOf(part);
  return at < 0 ? -1 : toPoint(text, at + within.offset);
}

export function count(text: string, args: readonly Value[], budget: Budget): number {
  const part = soughtText('count', args);
  const within = range(text, args.slice(1));
  budget.search(text.length, part.length);
  if (!within) return 0;
  return part === '' ? lengthOf(within.part) + 1 : within.part.split(part).length - 1;
}

/** startswith() and endswith(), which take several candidates as a tuple. */
export function hasAffix(text: string, name: 'startswith' | 'endswith', args: readonly Value[]): boolean {
  const [affixes] = args;
  if (affixes === undefined) throw typeError(`${name}() takes at least 1 argument (0 given)`);
  const candidates = affixes instanceof Tuple ? affixes.items : [affixes];
  const within = range(text, args.slice(1));
  return candidates.some((candidate) => {
    const part = textOf(candidate);
    if (part === null) {
      throw typeError(
        affixes instanceof Tuple
          ? `tuple for ${name} must only contain str, not ${typeName(candidate)}`
          : `${name} first arg must be str or a tuple of str, not ${typeName(candidate)}`,
      );
    }
    return within !== null && (name === 'startswith' ? within.part.startsWith(part) : within.part.endsWith(part));
  });
}
