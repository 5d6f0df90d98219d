// Expressions: Jinja2's grammar by precedence, loosest first (parser.py).
import type { Arguments, BinaryNode, CompareOperator, Expression, FilterNode, TestNode } from './nodes.ts';
import { PrimaryParser } from './primary-parser.ts';

const comparisons: Record<string, CompareOperator> = { eq: '==', ne: '!=', lt: '<', lteq: '<=', gt: '>', gteq: '>=' };
const sums: Record<string, BinaryNode['operator']> = { add: '+', sub: '-' };
const products: Record<string, BinaryNode['operator']> = { mul: '*', div: '/', floordiv: '//', mod: '%' };

export class ExpressionParser extends PrimaryParser {
  /** @param withCondition whether "a if b else c" is one expression here */
  expression(withCondition = true): Expression {
    return this.nested(() => (withCondition ? this.#condition() : this.#or()));
  }

  #condition(): Expression {
    let { line } = this.stream.current;
    let then = this.#or();
    while (this.stream.skipIf('name:if')) {
      const test = this.#or();
      const otherwise = this.stream.skipIf('name:else') ? this.expression() : null;
      then = { kind: 'condition', test, then, otherwise, line };
      line = this.stream.current.line;
    }
    return then;
  }

  #or(): Expression {
    return this.#logical('or', () => this.#logical('and', () => this.#not()));
  }

  #logical(kind: 'and' | 'or', operand: () => Expression): Expression {
    let { line } = this.stream.current;
    let left = operand();
    while (this.stream.skipIf(`name:${kind}`)) {
      left = { kind, left, right: operand(), line };
      line = this.stream.current.line;
    }
    return left;
  }

  #not(): Expression {
    if (!this.stream.is('name:not')) return this.#compare();
    const { line } = this.stream.next();
    return this.nested(() => ({ kind: 'not', value: this.#not(), line }));
  }

  #compare(): Expression {
    const { line } = this.stream.current;
    const first = this.#sum();
    const rest: { operator: CompareOperator; value: Expression }[] = [];
    for (;;) {
      const operator = this.#comparison();
      if (operator === null) break;
      rest.push({ operator, value: this.#sum() });
    }
    return rest.length === 0 ? first : { kind: 'compare', first, rest, line };
  }

  #comparison(): CompareOperator | null {
    const operator = comparisons[this.stream.current.type];
    if (operator) {
      this.stream.next();
      return operator;
    }
    if (this.stream.skipIf('name:in')) return 'in';
    const next = this.stream.is('name:not') ? this.stream.look() : null;
    if (next?.type !== 'name' || next.value !== 'in') return null;
    this.stream.next();
    this.stream.next();
    return 'not in';
  }

  #sum(): Expression {
    return this.#binary(sums, () => this.#concat());
  }

  #concat(): Expression {
    const { line } = this.stream.current;
    const parts = [this.#product()];
    while (this.stream.skipIf('tilde')) parts.push(this.#product());
    return parts.length === 1 && parts[0] ? parts[0] : { kind: 'concat', parts, line };
  }

  #product(): Expression {
    return this.#binary(products, () => this.#binary({ pow: '**' }, () => this.#unary()));
  }

  /** Left to right, the power too. */
  #binary(table: Record<string, BinaryNode['operator']>, operand: () => Expression): Expression {
    let { line } = this.stream.current;
    let left = operand();
    for (;;) {
      const operator = table[this.stream.current.type];
      if (!operator) return left;
      this.stream.next();
      left = { kind: 'binary', operator, left, right: operand(), line };
      line = this.stream.current.line;
    }
  }

  #unary(withFilter = true): Expression {
    const { type, line } = this.stream.current;
    let node: Expression;
    if (type === 'sub' || type === 'add') {
      this.stream.next();
      node = this.nested(() => ({
        kind: 'sign',
        operator: type === 'sub' ? '-' : '+',
        value: this.#unary(false),
        line,
      }));
    } else node = this.primary();
    node = this.postfix(node);
    return withFilter ? this.#filters(node) : node;
  }

  #filters(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.stream.is('pipe')) node = this.filter(node);
      else if (this.stream.is('name:is')) node = this.#test(node);
      else if (this.stream.is('lparen')) node = this.call(node);
      else return node;
    }
  }

  /** Filters in a row. @param isInline the first one comes without a bar, as in a filter block */
  protected filter(start: Expression): Expression;
  protected filter(start: Expression | null, isInline: boolean): FilterNode | null;
  protected filter(start: Expression | null, isInline = false): Expression | null {
    let node = start;
    let isFirst = isInline;
    while (isFirst || this.stream.is('pipe')) {
      if (!isFirst) this.stream.next();
      isFirst = false;
      const { line } = this.stream.current;
      const name = this.dottedName();
      node = { kind: 'filter', value: node, name, ...this.optionalArguments(), line };
    }
    return node;
  }

  #test(value: Expression): Expression {
    const { line } = this.stream.next();
    const isNegated = this.stream.skipIf('name:not');
    const name = this.dottedName();
    const test: TestNode = { kind: 'test', value, name, ...this.#testArguments(), line };
    return isNegated ? { kind: 'not', value: test, line } : test;
  }

  /** A test takes one argument without brackets: "x is divisibleby 3". */
  #testArguments(): Arguments {
    const startsArgument =
      this.stream.is('name', 'string', 'integer', 'float', 'lbracket', 'lbrace') &&
      !this.stream.is('name:else', 'name:or', 'name:and');
    if (!startsArgument) return this.optionalArguments();
    if (this.stream.is('name:is')) this.fail('You cannot chain multiple tests with is');
    const argument = this.postfix(this.primary());
    return { args: [argument], keywords: [], dynamicArgs: null, dynamicKeywords: null };
  }
}
