// str() and repr() of values.
import type { Budget } from './budget.ts';
import { escapePoint } from './code-points.ts';
import { TemplateError } from './errors.ts';
import { floatRepr, intText } from './numbers.ts';
import {
  Callable,
  Dict,
  DictView,
  Markup,
  PyIterator,
  type PyObject,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Classes with a repr of their own. */
interface Printable {
  repr(printer: (value: Value) => string): string;
}

const isPrintableObject = (value: object): value is Printable => 'repr' in value;

export function str(value: Value, budget: Budget): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return '';
  return repr(value, budget);
}

export function repr(value: Value, budget: Budget): string {
  return print(value, budget, []);
}

/** Deepest nesting that is printed; Python's recursion limit comes to about as much. */
const maxDepth = 190;

function print(value: Value, budget: Budget, inside: object[]): string {
  budget.spend(1);
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return intText(value);
  if (typeof value === 'number') return floatRepr(value);
  if (typeof value === 'string') return stringRepr(value, budget);
  if (Array.isArray(value) && inside.includes(value)) return '[...]';
  if (value instanceof Dict && inside.includes(value)) return '{...}';
  if (inside.length > maxDepth) {
    throw new TemplateError('RecursionError', 'maximum recursion depth exceeded while getting the repr of an object');
  }
  inside.push(value);
  const text = printObject(value, (child) => print(child, budget, inside), budget);
  budget.text(text.length);
  inside.pop();
  return text;
}

function printObject(value: Value[] | PyObject, item: (value: Value) => string, budget: Budget): string {
  if (Array.isArray(value)) return `[${value.map(item).join(', ')}]`;
  if (value instanceof Tuple) {
    return value.items.length === 1 ? `(${value.items.map(item).join()},)` : `(${value.items.map(item).join(', ')})`;
  }
  if (value instanceof Dict) {
    return `{${Array.from(value.entries(), ([key, child]) => `${item(key)}: ${item(child)}`).join(', ')}}`;
  }
  if (value instanceof DictView) return `${value.typeName}([${Array.from(value, item).join(', ')}])`;
  if (value instanceof Markup) return `Markup(${stringRepr(value.text, budget)})`;
  if (value instanceof Range) {
    const ends = `${value.start}, ${value.stop}`;
    return value.step === 1n ? `range(${ends})` : `range(${ends}, ${value.step})`;
  }
  if (value instanceof Undefined) return 'Undefined';
  if (isPrintableObject(value)) return value.repr(item);
  // Python adds the address in memory, which no two runs share.
  if (value instanceof Callable && value.typeName === 'type') return `<class '${value.name}'>`;
  if (value instanceof PyIterator || value instanceof Callable) return `<${typeName(value)} object>`;
  return `<${value.module}.${value.typeName} object>`;
}

const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const quotedInside = /[\\'"]|[^ \P{Z}]|\p{C}/gu;

function stringRepr(text: string, budget: Budget): string {
  budget.text(text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(quotedInside, (char) => {
    if (char === "'" || char === '"') return char === quote ? `\\${char}` : char;
    return escapes[char] ?? escapePoint(char.codePointAt(0) ?? 0);
  });
  return quote + body + quote;
}
