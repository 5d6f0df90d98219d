// Filters that make text. https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters
import { define } from './builtin.ts';
import { capitalize } from './case-mapping.ts';
import { slicePoints, splitLines } from './code-points.ts';
import { toFloat } from './conversions.ts';
import { TemplateError, typeError, unsupported, valueError } from './errors.ts';
import { percentFormat } from './format-percent.ts';
import { attributeGetter } from './getters.ts';
import { iterate, iterateOrFail, unpack } from './iteration.ts';
import { jsonOptions, toJson } from './json.ts';
import { escapeText, toMarkup } from './markup.ts';
import { formatFloat } from './number-format.ts';
import { indexArgument } from './numbers.ts';
import { arithmetic, chargeKey, isTrue, lengthOfValue, undefinedError } from './operators.ts';
import { repr, str } from './printing.ts';
import type { Builtin, Runtime } from './runtime.ts';
import { splitText } from './splitting.ts';
import { callStrMethod, joinText, replaceText } from './str-methods.ts';
import { Dict, Markup, noKeywords, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

/** soft_str: text stays what it is, Markup too. */
const soft = (value: Value, { budget }: Runtime): string | Markup =>
  typeof value === 'string' || value instanceof Markup ? value : str(value, budget);

const strMethod = (name: string, method: string, first = 's'): Builtin =>
  define({ name, first }, (runtime, value) =>
    callStrMethod(soft(value, runtime), method, [], noKeywords, runtime.budget),
  );

const trim = define({ name: 'do_trim', parameters: 'chars?' }, (runtime, value, chars = null) =>
  callStrMethod(soft(value, runtime), 'strip', chars === null ? [] : [chars], noKeywords, runtime.budget),
);

const center = define({ name: 'do_center', parameters: 'width?' }, (runtime, value, width = 80n) =>
  callStrMethod(soft(value, runtime), 'center', [width], noKeywords, runtime.budget),
);

const replace = define(
  { name: 'do_replace', first: 's', parameters: 'old new count?', nHidden: 1 },
  ({ budget, autoescape }, value, from = null, to = null, count = null) => {
    const n = count === null ? -1 : indexArgument(count);
    const old = str(from, budget);
    if (!autoescape) return replaceText(str(value, budget), old, str(to, budget), n, budget);
    const isMarkup = from instanceof Markup || value instanceof Markup || to instanceof Markup;
    if (!isMarkup) return replaceText(str(value, budget), old, str(to, budget), n, budget);
    return new Markup(replaceText(toMarkup(value, budget).text, old, toMarkup(to, budget).text, n, budget));
  },
);

const join = define(
  { name: 'sync_do_join', parameters: 'd? attribute?', nHidden: 1 },
  ({ budget, autoescape }, value, separator = '', attribute = null) => {
    const getter = attribute === null ? (item: Value) => item : attributeGetter(attribute, budget);
    const items = Array.from(iterateOrFail(value, budget), (item) => {
      budget.spend(1);
      return getter(item);
    });
    const isMarkup = autoescape && [separator, ...items].some((item) => item instanceof Markup);
    const text = (item: Value) => (isMarkup ? toMarkup(item, budget).text : str(item, budget));
    const joined = joinText(text(separator), items, text, budget);
    return isMarkup ? new Markup(joined) : joined;
  },
);

const attributeError = (value: Value, name: string) =>
  new TemplateError('AttributeError', `'${typeName(value)}' object has no attribute '${name}'`);

/** `s += "\n"` */
function withNewline(value: Value): string {
  const text = textOf(value);
  if (text !== null) return `${text}\n`;
  if (value instanceof Undefined) throw undefinedError(value);
  // Python adds the newline to the list, which then has no lines to split.
  if (Array.isArray(value)) throw attributeError(value, 'splitlines');
  throw typeError(`unsupported operand type(s) for +=: '${typeName(value)}' and 'str'`);
}

const indent = define(
  { name: 'do_indent', first: 's', parameters: 'width? first? blank?' },
  ({ budget }, value, width = 4n, first = false, blank = false) => {
    const indention = textOf(width) ?? str(arithmetic('*', ' ', width, budget), budget);
    const text = withNewline(value);
    const lines = splitLines(text, false);
    budget.text(text.length + lines.length * indention.length);
    const indented = lines.map((line, i) => (i > 0 && (line !== '' || isTrue(blank)) ? indention + line : line));
    const result = (isTrue(first) ? indention : '') + indented.join('\n');
    return value instanceof Markup ? new Markup(result) : result;
  },
);

const truncate = define(
  { name: 'do_truncate', first: 's', parameters: 'length? killwords? end? leeway?', nHidden: 1 },
  ({ budget }, value, length = 255n, killWords = false, end = '...', leeway = null) => {
    const nTail = indexArgument(lengthOfValue(end));
    const tail = str(end, budget);
    const nLength = indexArgument(length);
    const nLeeway = leeway === null ? 5 : indexArgument(leeway);
    if (nLength < nTail) throw new TemplateError('AssertionError', `expected length >= ${nTail}, got ${nLength}`);
    if (nLeeway < 0) throw new TemplateError('AssertionError', `expected leeway >= 0, got ${nLeeway}`);
    chargeKey(value, budget);
    if (lengthOfValue(value) <= nLength + nLeeway) return value;
    const text = textOf(value);
    if (text === null) throw attributeError(value, 'rsplit');
    const head = slicePoints(text, 0, nLength - nTail);
    return isTrue(killWords) ? head + tail : (splitText(head, ' ', 1, true, budget)[0] ?? '') + tail;
  },
);

const titleWords = /([-\s({[<]+)/u;

const title = define({ name: 'do_title', first: 's' }, (runtime, value) => {
  const text = textOf(soft(value, runtime)) ?? '';
  runtime.budget.text(text.length);
  const words = text.split(titleWords).filter((part) => part !== '');
  return words
    .map((word) => {
      const first = String.fromCodePoint(word.codePointAt(0) ?? 0);
      return first.toUpperCase() + word.slice(first.length).toLowerCase();
    })
    .join('');
});

const wordCount = define({ name: 'do_wordcount', first: 's' }, (runtime, value) => {
  const text = textOf(soft(value, runtime)) ?? '';
  runtime.budget.text(text.length);
  return BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
});

/** What transformers puts in place of Jinja2's own `tojson`. */
const tojson = define(
  {
    name: '_compile_jinja_template.<locals>.tojson',
    first: 'x',
    parameters: 'ensure_ascii? indent? separators? sort_keys?',
  },
  ({ budget }, value, ensureAscii = false, indentation = null, separators = null, sortKeys = false) =>
    // Python looks at the indentation only where there may be something to indent.
    toJson(
      value,
      jsonOptions(
        isTrue(ensureAscii),
        textOf(value) === null ? indentation : null,
        separators,
        isTrue(sortKeys),
        budget,
      ),
      budget,
    ),
);

const format: Builtin = ({ budget }, args, keywords) => {
  const [template, ...values] = args;
  if (template === undefined) throw typeError("do_format() missing 1 required positional argument: 'value'");
  if (values.length > 0 && keywords.size > 0) {
    throw new TemplateError('FilterArgumentError', "can't handle positional and keyword arguments at the same time");
  }
  const text = typeof template === 'string' || template instanceof Markup ? template : str(template, budget);
  return percentFormat(text, keywords.size > 0 ? Dict.of(keywords) : new Tuple(values), budget);
};

const unreserved = /[^A-Za-z0-9_.~-]/gu;

function quoteUrl(value: Value, { budget }: Runtime, isQuery: boolean): string {
  const text = str(value, budget);
  budget.text(text.length * 3);
  const quoted = text.replace(unreserved, (char) => {
    if (char === '/' && !isQuery) return char;
    return Array.from(
      new TextEncoder().encode(char),
      (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    ).join('');
  });
  return isQuery ? quoted.replaceAll('%20', '+') : quoted;
}

const urlencode = define({ name: 'do_urlencode' }, (runtime, value) => {
  const isText = textOf(value) !== null;
  const items = value instanceof Dict ? Array.from(value.entries()) : null;
  if (items)
    return items.map(([key, item]) => `${quoteUrl(key, runtime, true)}=${quoteUrl(item, runtime, true)}`).join('&');
  if (isText || iterate(value) === null) return quoteUrl(value, runtime, false);
  return Array.from(iterateOrFail(value, runtime.budget), (pair) => {
    const [key = null, item = null] = unpack(pair, 2);
    return `${quoteUrl(key, runtime, true)}=${quoteUrl(item, runtime, true)}`;
  }).join('&');
});

const xmlattr = define(
  { name: 'do_xmlattr', first: 'd', parameters: 'autospace?', nHidden: 1 },
  ({ budget, autoescape }, value, autospace = true) => {
    if (value instanceof Undefined) throw undefinedError(value);
    if (!(value instanceof Dict)) throw attributeError(value, 'items');
    const items: string[] = [];
    for (const [key, item] of value.entries()) {
      if (item === null || item instanceof Undefined) continue;
      const name = textOf(key);
      if (name === null) throw typeError('expected string or bytes-like object');
      if (/[ \t-\r/>=]/.test(name)) throw valueError(`Invalid character in attribute name: ${repr(key, budget)}`);
      items.push(`${escapeText(name)}="${toMarkup(item, budget).text}"`);
    }
    const text = (isTrue(autospace) && items.length > 0 ? ' ' : '') + items.join(' ');
    return autoescape ? new Markup(text) : text;
  },
);

const prefixes = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];

const fileSize = define({ name: 'do_filesizeformat', parameters: 'binary?' }, ({ budget }, value, binary = false) => {
  const nBytes = toFloat(value, budget);
  const base = isTrue(binary) ? 1024 : 1000;
  if (nBytes === 1) return '1 Byte';
  if (nBytes < base) return `${Math.trunc(nBytes)} Bytes`;
  let power = 1;
  while (power < prefixes.length && nBytes >= base ** (power + 1)) power++;
  const prefix = prefixes[power - 1] ?? '';
  const unit = isTrue(binary) ? `${prefix.toUpperCase()}iB` : `${prefix}B`;
  return `${formatFloat((base * nBytes) / base ** (power + 1), 'f', 1, false, budget)} ${unit}`;
});

const missing =
  (name: string): Builtin =>
  () => {
    throw unsupported(`The filter '${name}'`);
  };

export const textFilters: Record<string, Builtin> = {
  capitalize: define({ name: 'do_capitalize', first: 's' }, (runtime, value) => {
    const text = soft(value, runtime);
    runtime.budget.text(textOf(text)?.length ?? 0);
    return text instanceof Markup ? new Markup(capitalize(text.text)) : capitalize(text);
  }),
  center,
  e: define({ name: 'escape', first: 's' }, ({ budget }, value) => toMarkup(value, budget)),
  escape: define({ name: 'escape', first: 's' }, ({ budget }, value) => toMarkup(value, budget)),
  filesizeformat: fileSize,
  forceescape: define({ name: 'do_forceescape' }, ({ budget }, value) => new Markup(escapeText(str(value, budget)))),
  format,
  indent,
  join,
  lower: strMethod('do_lower', 'lower'),
  replace,
  safe: define({ name: 'do_mark_safe' }, ({ budget }, value) => new Markup(str(value, budget))),
  string: define({ name: 'soft_str', first: 's' }, (runtime, value) => soft(value, runtime)),
  title,
  tojson,
  trim,
  truncate,
  upper: strMethod('do_upper', 'upper'),
  urlencode,
  wordcount: wordCount,
  xmlattr,
  pprint: missing('pprint'),
  striptags: missing('striptags'),
  urlize: missing('urlize'),
  wordwrap: missing('wordwrap'),
};
