// Template text → tokens, with trim_blocks and lstrip_blocks on. Tokens come lazily, so that the first error in the
// text is the one that is reported. Token types, patterns and messages follow Jinja2's lexer.py.
import { escapePoint, spaceClass, strip } from './code-points.ts';
import { syntaxError } from './errors.ts';

export interface Token {
  /** 'data', 'name', 'string', 'integer', 'float', 'eof', the ends of tags, or an operator's name. */
  type: string;
  /** Text as it stands, or the unescaped text of a string. */
  value: string;
  /** Of an integer or a float. */
  number?: bigint | number;
  line: number;
}

export const operators: Record<string, string> = {
  '+': 'add',
  '-': 'sub',
  '/': 'div',
  '//': 'floordiv',
  '*': 'mul',
  '%': 'mod',
  '**': 'pow',
  '~': 'tilde',
  '[': 'lbracket',
  ']': 'rbracket',
  '(': 'lparen',
  ')': 'rparen',
  '{': 'lbrace',
  '}': 'rbrace',
  '==': 'eq',
  '!=': 'ne',
  '>': 'gt',
  '>=': 'gteq',
  '<': 'lt',
  '<=': 'lteq',
  '=': 'assign',
  '.': 'dot',
  ':': 'colon',
  '|': 'pipe',
  ',': 'comma',
  ';': 'semicolon',
};

const ws = `[${spaceClass}]`;
const patterns = {
  space: new RegExp(`${ws}+`, 'y'),
  float: /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy,
  integer: /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy,
  name: /[\p{L}\p{N}\p{M}_·\u2118\u212e\u309b\u309c]+/uy,
  string: /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy,
  operator: /\/\/|\*\*|[=!><]=|[-+/*%~[\](){}<>=.:|,;]/y,
  identifier: /^[\p{XIDS}_]\p{XIDC}*$/u,
  rawBegin: new RegExp(`\\{%([-+]?)${ws}*raw${ws}*(?:-%\\}${ws}*|%\\})`, 'y'),
  tag: /\{[{%#]([-+]?)/y,
  commentEnd: new RegExp(`\\+#\\}|-#\\}${ws}*|#\\}\\n?`, 'g'),
  blockEnd: new RegExp(`\\+%\\}|-%\\}${ws}*|%\\}\\n?`, 'y'),
  variableEnd: new RegExp(`-\\}\\}${ws}*|\\}\\}`, 'y'),
  rawEnd: new RegExp(`\\{%([-+]?)${ws}*endraw${ws}*(?:\\+%\\}|-%\\}${ws}*|%\\}\\n?)`, 'g'),
};

const countLines = (text: string): number => text.split('\n').length - 1;

export function* tokenize(template: string): Generator<Token, void> {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  let position = 0;
  let line = 1;
  /** Whether the text begins a line, so that blanks before a block tag can go. */
  let isLineStart = true;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position;
    return pattern.exec(source);
  };
  const advance = (text: string): void => {
    line += countLines(text);
    position += text.length;
    isLineStart = text.endsWith('\n');
  };
  /** Data before a tag: a minus strips all white space, a block or comment tag the blanks before it on its line. */
  const dataBefore = (text: string, sign: string, isVariable: boolean): string => {
    if (sign === '-') return strip(text, null, 'right');
    if (sign === '+' || isVariable) return text;
    const lineStart = text.lastIndexOf('\n') + 1;
    if (lineStart === 0 && !isLineStart) return text;
    return strip(text.slice(lineStart), null, 'both') === '' ? text.slice(0, lineStart) : text;
  };

  while (position < source.length) {
    const found = nextTag(source, position);
    if (!found) {
      yield { type: 'data', value: source.slice(position), line };
      return;
    }
    const text = source.slice(position, found.at);
    const data = dataBefore(text, found.sign, found.kind === '{{');
    if (data !== '') yield { type: 'data', value: data, line };
    advance(text);
    const tagLine = line;
    advance(found.text);
    if (found.kind === '{#') {
      const end = match(patterns.commentEnd);
      if (!end && position < source.length) throw syntaxError('Missing end of comment tag', line);
      advance(source.slice(position, end ? end.index + end[0].length : source.length));
    } else if (found.kind === 'raw') {
      const end = match(patterns.rawEnd);
      if (!end && position < source.length) throw syntaxError('Missing end of raw directive', line);
      const body = source.slice(position, end?.index);
      const kept = dataBefore(body, end?.[1] ?? '', false);
      if (kept !== '') yield { type: 'data', value: kept, line };
      advance(body + (end?.[0] ?? ''));
    } else {
      const name = found.kind === '{{' ? 'variable' : 'block';
      yield { type: `${name}_begin`, value: found.text, line: tagLine };
      yield* tagTokens(name);
    }
  }

  function* tagTokens(name: 'variable' | 'block'): Generator<Token, void> {
    const open: string[] = [];
    while (position < source.length) {
      const end = open.length === 0 ? match(name === 'block' ? patterns.blockEnd : patterns.variableEnd) : null;
      if (end) {
        yield { type: `${name}_end`, value: end[0], line };
        advance(end[0]);
        return;
      }
      const [kind, text] = oneOf(['space', 'float', 'integer', 'name', 'string', 'operator'], match);
      if (kind === null) {
        const char = String.fromCodePoint(source.codePointAt(position) ?? 0);
        const at = Array.from(source.slice(0, position)).length;
        throw syntaxError(
          `unexpected char ${char === "'" ? `"'"` : `'${char === '\\' ? '\\\\' : char}'`} at ${at}`,
          line,
        );
      }
      if (kind === 'operator') balance(text, open, line);
      if (kind !== 'space') yield token(kind, text, line);
      advance(text);
    }
  }
}

interface Tag {
  kind: '{{' | '{%' | '{#' | 'raw';
  at: number;
  text: string;
  sign: string;
}

function nextTag(source: string, from: number): Tag | null {
  for (let at = source.indexOf('{', from); at >= 0; at = source.indexOf('{', at + 1)) {
    patterns.rawBegin.lastIndex = at;
    const raw = patterns.rawBegin.exec(source);
    if (raw) return { kind: 'raw', at, text: raw[0], sign: raw[1] ?? '' };
    patterns.tag.lastIndex = at;
    const tag = patterns.tag.exec(source);
    if (tag) return { kind: tag[0].slice(0, 2) as Tag['kind'], at, text: tag[0], sign: tag[1] ?? '' };
  }
  return null;
}

type Kind = 'space' | 'float' | 'integer' | 'name' | 'string' | 'operator';

function oneOf(kinds: Kind[], match: (pattern: RegExp) => RegExpExecArray | null): [Kind, string] | [null, ''] {
  for (const kind of kinds) {
    const found = match(patterns[kind]);
    if (found) return [kind, found[0]];
  }
  return [null, ''];
}

const closing: Record<string, string> = { '{': '}', '(': ')', '[': ']' };

function balance(operator: string, open: string[], line: number): void {
  const end = closing[operator];
  if (end) open.push(end);
  if (!'})]'.includes(operator)) return;
  const expected = open.pop();
  if (expected === undefined) throw syntaxError(`unexpected '${operator}'`, line);
  if (expected !== operator) throw syntaxError(`unexpected '${operator}', expected '${expected}'`, line);
}

function token(kind: Exclude<Kind, 'space'>, text: string, line: number): Token {
  switch (kind) {
    case 'float':
      return { type: 'float', value: text, number: Number(text.replaceAll('_', '')), line };
    case 'integer':
      return { type: 'integer', value: text, number: BigInt(text.replaceAll('_', '')), line };
    case 'name':
      if (!patterns.identifier.test(text)) throw syntaxError('Invalid character in identifier', line);
      return { type: 'name', value: text, line };
    case 'string':
      return { type: 'string', value: decodeEscapes(text.slice(1, -1), line), line };
    case 'operator':
      return { type: operators[text] ?? text, value: text, line };
  }
}

const simpleEscapes: Record<string, string> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * Python's "unicode-escape" codec over the text in ASCII. Characters beyond ASCII are escapes themselves at that point,
 * so that a backslash right before one takes the backslash of its escape.
 */
function decodeEscapes(text: string, line: number): string {
  if (!text.includes('\\')) return text;
  const ascii = text.replace(/[^\0-\x7f]/gu, (char) => escapePoint(char.codePointAt(0) ?? 0));
  return ascii.replace(
    /\\(x[\da-fA-F]{0,2}|u[\da-fA-F]{0,4}|U[\da-fA-F]{0,8}|[0-7]{1,3}|[\s\S])/g,
    (whole, code: string) => {
      const simple = simpleEscapes[code];
      if (simple !== undefined) return simple;
      if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
      const width = { x: 2, u: 4, U: 8 }[code[0] ?? ''];
      if (code === 'N') throw syntaxError('malformed \\N character escape', line);
      if (width === undefined) return whole;
      if (code.length !== width + 1) {
        throw syntaxError(`truncated \\${code[0]}${'X'.repeat(width)} escape`, line);
      }
      const point = Number.parseInt(code.slice(1), 16);
      if (point > 0x10ffff) throw syntaxError('illegal Unicode character', line);
      return String.fromCodePoint(point);
    },
  );
}
