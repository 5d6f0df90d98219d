// Tokens with one of look-ahead, and how messages name them.
import { syntaxError } from './errors.ts';
import { operators, type Token, tokenize } from './lexer.ts';

const symbols: Record<string, string> = Object.fromEntries(
  Object.entries(operators).map(([text, type]) => [type, text]),
);

const descriptions: Record<string, string> = {
  ...symbols,
  block_begin: 'begin of statement block',
  block_end: 'end of statement block',
  variable_begin: 'begin of print statement',
  variable_end: 'end of print statement',
  data: 'template data / text',
  eof: 'end of template',
};

const describeType = (type: string): string => descriptions[type] ?? type;

export const describeToken = (token: Token): string => (token.type === 'name' ? token.value : describeType(token.type));

/** A token type, or "name:word" for a certain word. */
export type Pattern = string;

export const describePattern = (pattern: Pattern): string =>
  pattern.startsWith('name:') ? pattern.slice(5) : describeType(pattern);

function matches(token: Token, pattern: Pattern): boolean {
  return (
    token.type === pattern || (pattern.startsWith('name:') && token.type === 'name' && token.value === pattern.slice(5))
  );
}

export class TokenStream {
  current: Token = { type: 'initial', value: '', line: 1 };
  #ahead: Token | null = null;
  readonly #tokens: Generator<Token, void>;

  constructor(template: string) {
    this.#tokens = tokenize(template);
    this.next();
  }

  /** Goes on and returns the token that was current. */
  next(): Token {
    const token = this.current;
    if (this.#ahead) {
      this.current = this.#ahead;
      this.#ahead = null;
    } else if (token.type !== 'eof') {
      this.current = this.#tokens.next().value ?? { type: 'eof', value: '', line: token.line };
    }
    return token;
  }

  /** The token after the current one. */
  look(): Token {
    if (!this.#ahead) {
      const current = this.next();
      this.#ahead = this.current;
      this.current = current;
    }
    return this.#ahead;
  }

  is(...patterns: Pattern[]): boolean {
    return patterns.some((pattern) => matches(this.current, pattern));
  }

  skipIf(pattern: Pattern): boolean {
    if (!this.is(pattern)) return false;
    this.next();
    return true;
  }

  expect(pattern: Pattern): Token {
    if (this.is(pattern)) return this.next();
    const expected = describePattern(pattern);
    const { current } = this;
    if (current.type === 'eof') throw syntaxError(`unexpected end of template, expected '${expected}'.`, current.line);
    throw syntaxError(`expected token '${expected}', got '${describeToken(current)}'`, current.line);
  }
}
