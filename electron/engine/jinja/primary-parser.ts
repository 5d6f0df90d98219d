// The innermost part of the expression grammar: names, literals, subscripts and calls.
import { syntaxError, TemplateError } from './errors.ts';
import type { Arguments, Expression } from './nodes.ts';
import { describeToken, type TokenStream } from './token-stream.ts';

/** Deepest nesting of expressions; Python's recursion limit comes to about 60 brackets. */
const maxDepth = 150;

const constants = new Map<string, boolean | null>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

export const isConstantName = (name: string): boolean => constants.has(name);

export abstract class PrimaryParser {
  protected readonly stream: TokenStream;
  #depth = 0;

  constructor(stream: TokenStream) {
    this.stream = stream;
  }

  abstract expression(withCondition?: boolean): Expression;

  protected fail(message: string, line = this.stream.current.line): never {
    throw syntaxError(message, line);
  }

  protected nested<T>(parse: () => T): T {
    if (++this.#depth > maxDepth) {
      throw new TemplateError('RecursionError', 'maximum recursion depth exceeded', this.stream.current.line);
    }
    const parsed = parse();
    this.#depth--;
    return parsed;
  }

  protected isTupleEnd(): boolean {
    return this.stream.is('variable_end', 'block_end', 'rparen');
  }

  /** One expression, or several with commas between them as a tuple. */
  tuple(options: { withCondition?: boolean; isBracketed?: boolean } = {}): Expression {
    let { line } = this.stream.current;
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.stream.expect('comma');
      if (this.isTupleEnd()) break;
      items.push(this.expression(options.withCondition));
      if (!this.stream.is('comma')) break;
      isTuple = true;
      line = this.stream.current.line;
    }
    const [first] = items;
    if (!isTuple && first) return first;
    if (!isTuple && !options.isBracketed) {
      this.fail(`Expected an expression, got '${describeToken(this.stream.current)}'`);
    }
    return { kind: 'tuple', items, line };
  }

  protected primary(): Expression {
    const token = this.stream.current;
    const { line } = token;
    switch (token.type) {
      case 'name': {
        this.stream.next();
        const value = constants.get(token.value);
        return value === undefined ? { kind: 'name', name: token.value, line } : { kind: 'const', value, line };
      }
      case 'string': {
        let value = '';
        while (this.stream.is('string')) value += this.stream.next().value;
        return { kind: 'const', value, line };
      }
      case 'integer':
      case 'float':
        this.stream.next();
        return { kind: 'const', value: token.number ?? null, line };
      case 'lparen': {
        this.stream.next();
        const inner = this.tuple({ isBracketed: true });
        this.stream.expect('rparen');
        return inner;
      }
      case 'lbracket':
        return { kind: 'list', items: this.#listItems(), line };
      case 'lbrace':
        return { kind: 'dict', pairs: this.#pairs(), line };
      default:
        return this.fail(`unexpected '${describeToken(token)}'`, line);
    }
  }

  #listItems(): Expression[] {
    this.stream.expect('lbracket');
    const items: Expression[] = [];
    while (!this.stream.is('rbracket')) {
      if (items.length > 0) this.stream.expect('comma');
      if (this.stream.is('rbracket')) break;
      items.push(this.expression());
    }
    this.stream.expect('rbracket');
    return items;
  }

  #pairs(): { key: Expression; value: Expression }[] {
    this.stream.expect('lbrace');
    const pairs: { key: Expression; value: Expression }[] = [];
    while (!this.stream.is('rbrace')) {
      if (pairs.length > 0) this.stream.expect('comma');
      if (this.stream.is('rbrace')) break;
      const key = this.expression();
      this.stream.expect('colon');
      pairs.push({ key, value: this.expression() });
    }
    this.stream.expect('rbrace');
    return pairs;
  }

  protected postfix(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.stream.is('dot', 'lbracket')) node = this.#subscript(node);
      else if (this.stream.is('lparen')) node = this.call(node);
      else return node;
    }
  }

  #subscript(value: Expression): Expression {
    const { type, line } = this.stream.next();
    if (type === 'dot') {
      const token = this.stream.next();
      if (token.type === 'name') return { kind: 'attribute', value, name: token.value, line };
      if (token.type !== 'integer') this.fail('expected name or number', token.line);
      return { kind: 'item', value, key: { kind: 'const', value: token.number ?? null, line: token.line }, line };
    }
    const keys: (Expression | SliceParts)[] = [];
    while (!this.stream.is('rbracket')) {
      if (keys.length > 0) this.stream.expect('comma');
      keys.push(this.#subscribed());
    }
    this.stream.expect('rbracket');
    const [key] = keys;
    if (keys.length === 1 && key)
      return 'kind' in key ? { kind: 'item', value, key, line } : { kind: 'slice', value, ...key, line };
    const items = keys.map((part) => ('kind' in part ? part : this.fail('a slice among several keys', line)));
    return { kind: 'item', value, key: { kind: 'tuple', items, line }, line };
  }

  #subscribed(): Expression | SliceParts {
    let start: Expression | null = null;
    if (!this.stream.is('colon')) {
      start = this.expression();
      if (!this.stream.is('colon')) return start;
    }
    this.stream.next();
    const isEnd = () => this.stream.is('rbracket', 'comma');
    const stop = this.stream.is('colon') || isEnd() ? null : this.expression();
    const step = this.stream.skipIf('colon') && !isEnd() ? this.expression() : null;
    return { start, stop, step };
  }

  protected call(callee: Expression): Expression {
    const { line } = this.stream.current;
    return { kind: 'call', callee, ...this.#arguments(), line };
  }

  #arguments(): Arguments {
    const { line } = this.stream.expect('lparen');
    const result: Arguments = { args: [], keywords: [], dynamicArgs: null, dynamicKeywords: null };
    const ensure = (isValid: boolean) => {
      if (!isValid) this.fail('invalid syntax for function call expression', line);
    };
    let needsComma = false;
    while (!this.stream.is('rparen')) {
      if (needsComma) {
        this.stream.expect('comma');
        if (this.stream.is('rparen')) break;
      }
      if (this.stream.is('mul')) {
        ensure(!result.dynamicArgs && !result.dynamicKeywords);
        this.stream.next();
        result.dynamicArgs = this.expression();
      } else if (this.stream.is('pow')) {
        ensure(!result.dynamicKeywords);
        this.stream.next();
        result.dynamicKeywords = this.expression();
      } else if (this.stream.is('name') && this.stream.look().type === 'assign') {
        ensure(!result.dynamicKeywords);
        const key = this.stream.next().value;
        this.stream.next();
        result.keywords.push({ key, value: this.expression() });
      } else {
        ensure(!result.dynamicArgs && !result.dynamicKeywords && result.keywords.length === 0);
        result.args.push(this.expression());
      }
      needsComma = true;
    }
    this.stream.expect('rparen');
    return result;
  }

  protected optionalArguments(): Arguments {
    if (this.stream.is('lparen')) return this.#arguments();
    return { args: [], keywords: [], dynamicArgs: null, dynamicKeywords: null };
  }

  protected dottedName(): string {
    let name = this.stream.expect('name').value;
    while (this.stream.skipIf('dot')) name += `.${this.stream.expect('name').value}`;
    return name;
  }
}

interface SliceParts {
  start: Expression | null;
  stop: Expression | null;
  step: Expression | null;
}
