// str.format() and str.format_map(), as string.Formatter does them, with attributes looked up through the sandbox.
import { getAttribute, getItem } from './access.ts';
import type { Budget } from './budget.ts';
import { escapePoint } from './code-points.ts';
import { TemplateError, typeError, valueError } from './errors.ts';
import { format } from './format-spec.ts';
import { escapeText } from './markup.ts';
import { repr, str } from './printing.ts';
import { Dict, type Keywords, Markup, type Value } from './values.ts';

interface Field {
  name: string;
  conversion: string | null;
  spec: string;
}

/** @param template a Markup escapes what is put into it */
export function strFormat(template: Value, args: readonly Value[], keywords: Keywords, budget: Budget): Value {
  const formatter = new Formatter(args, (name) => keywords.get(name), template instanceof Markup, budget);
  return formatter.run(template);
}

export function strFormatMap(template: Value, mapping: Value, budget: Budget): Value {
  const lookUp = (name: string) => (mapping instanceof Dict ? mapping.get(name) : undefined);
  return new Formatter([], lookUp, template instanceof Markup, budget).run(template);
}

class Formatter {
  #nAutomatic: number | 'manual' = 0;
  readonly #args: readonly Value[];
  readonly #keyword: (name: string) => Value | undefined;
  readonly #isMarkup: boolean;
  readonly #budget: Budget;

  constructor(args: readonly Value[], keyword: (name: string) => Value | undefined, isMarkup: boolean, budget: Budget) {
    this.#args = args;
    this.#keyword = keyword;
    this.#isMarkup = isMarkup;
    this.#budget = budget;
  }

  run(template: Value): Value {
    const text = this.#format(str(template, this.#budget), 2);
    return this.#isMarkup ? new Markup(text) : text;
  }

  #format(text: string, depth: number): string {
    if (depth < 0) throw valueError('Max string recursion exceeded');
    this.#budget.text(text.length);
    let result = '';
    for (const part of parse(text)) {
      if (typeof part === 'string') result += part;
      else result += this.#field(part, depth);
      this.#budget.text(result.length);
    }
    return result;
  }

  #field({ name, conversion, spec }: Field, depth: number): string {
    const value = this.#convert(this.#lookUp(name), conversion);
    const inner = this.#format(spec, depth - 1);
    if (!this.#isMarkup) return format(value, inner, this.#budget);
    if (!(value instanceof Markup)) return escapeText(format(value, inner, this.#budget));
    if (inner !== '') throw valueError('Unsupported format specification for Markup.');
    return value.text;
  }

  #convert(value: Value, conversion: string | null): Value {
    if (conversion === null) return value;
    if (conversion === 's') return str(value, this.#budget);
    if (conversion === 'r') return repr(value, this.#budget);
    if (conversion === 'a') {
      return repr(value, this.#budget).replace(/[^\0-\x7f]/gu, (char) => escapePoint(char.codePointAt(0) ?? 0));
    }
    throw valueError(`Unknown conversion specifier ${conversion}`);
  }

  #lookUp(name: string): Value {
    const first = /^[^.[]*/.exec(name)?.[0] ?? '';
    let value = this.#first(first);
    let rest = name.slice(first.length);
    while (rest !== '') {
      const match = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest);
      if (!match) throw valueError('Empty attribute in format string');
      const [whole, attribute, key = ''] = match;
      if (attribute !== undefined) value = getAttribute(value, attribute, this.#budget);
      else value = getItem(value, /^\d+$/.test(key) ? BigInt(key) : key, this.#budget);
      rest = rest.slice(whole.length);
    }
    return value;
  }

  #first(name: string): Value {
    const isNumber = /^\d+$/.test(name);
    if (name === '' || isNumber) {
      if ((name === '') !== (this.#nAutomatic !== 'manual') && this.#nAutomatic !== 0) {
        throw valueError('cannot switch from manual field specification to automatic field numbering');
      }
      const index = name === '' ? Number(this.#nAutomatic) : Number(name);
      this.#nAutomatic = name === '' ? index + 1 : 'manual';
      const value = this.#args[index];
      if (value === undefined) {
        throw new TemplateError('IndexError', 'tuple index out of range');
      }
      return value;
    }
    const value = this.#keyword(name);
    if (value === undefined) throw new TemplateError('KeyError', repr(name, this.#budget));
    return value;
  }
}

/** Literal text and the fields between braces. */
function* parse(text: string): Generator<string | Field> {
  let at = 0;
  while (at < text.length) {
    const brace = text.slice(at).search(/[{}]/);
    if (brace < 0) {
      yield text.slice(at);
      return;
    }
    yield text.slice(at, at + brace);
    at += brace;
    if (text[at] === text[at + 1]) {
      yield text[at] ?? '';
      at += 2;
    } else if (text[at] === '}') {
      throw valueError("Single '}' encountered in format string");
    } else {
      const end = fieldEnd(text, at + 1);
      yield parseField(text.slice(at + 1, end));
      at = end + 1;
    }
  }
}

/** Position of the brace that closes a field; braces nest, and those in [brackets] count for nothing. */
function fieldEnd(text: string, start: number): number {
  if (start >= text.length) throw valueError("Single '{' encountered in format string");
  let depth = 1;
  let isInBrackets = false;
  for (let i = start; i < text.length; i++) {
    const char = text[i];
    if (char === '[' && depth === 1) isInBrackets = true;
    else if (char === ']') isInBrackets = false;
    else if (isInBrackets) continue;
    else if (char === '{') depth++;
    else if (char === '}' && --depth === 0) return i;
  }
  throw valueError("expected '}' before end of string");
}

function parseField(text: string): Field {
  const [, name = '', conversion, , spec = ''] =
    /^((?:\[[^\]]*\]?|[^!:[])*)(?:!([^:]*))?(:([\s\S]*))?$/.exec(text) ?? [];
  if (conversion === undefined) return { name, conversion: null, spec };
  if (conversion === '') throw valueError("unmatched '{' in format spec");
  if (conversion.length > 1) throw valueError("expected ':' after conversion specifier");
  return { name, conversion, spec };
}

export function formatMapArguments(args: readonly Value[], keywords: Keywords): Value {
  if (keywords.size > 0) throw typeError('format_map() takes no keyword arguments');
  if (args.length !== 1) throw typeError(`format_map() takes exactly one argument (${args.length} given)`);
  return args[0] ?? null;
}
