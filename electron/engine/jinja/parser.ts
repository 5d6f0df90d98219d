// Statements: tags and the text between them (Jinja2's parser.py, with the extensions that transformers turns on).
import { TemplateError } from './errors.ts';
import { ExpressionParser } from './expression-parser.ts';
import { misplaced } from './misplaced.ts';
import type { CallBlockNode, Expression, FilterNode, IfNode, NameNode, Statement, Target } from './nodes.ts';
import { isConstantName } from './primary-parser.ts';
import { describeToken, type Pattern, TokenStream } from './token-stream.ts';

/** Blocks inside each other; Python allows 20 loops. */
const maxBlocks = 100;

/** @throws TemplateError */
export function parse(template: string): Statement[] {
  return new Parser(new TokenStream(template)).template();
}

class Parser extends ExpressionParser {
  readonly #openTags: string[] = [];
  readonly #endings: Pattern[][] = [];

  template(): Statement[] {
    return this.#statements(null);
  }

  /** Up to one of the tags of `endings`, which stays current, or to the end of the template. */
  #statements(endings: Pattern[] | null): Statement[] {
    const statements: Statement[] = [];
    let parts: (string | Expression)[] = [];
    let outputLine = 0;
    const add = (part: string | Expression, line: number) => {
      if (parts.length === 0) outputLine = line;
      parts.push(part);
    };
    const flush = () => {
      if (parts.length > 0) statements.push({ kind: 'output', parts, line: outputLine });
      parts = [];
    };
    if (endings) this.#endings.push(endings);
    while (!this.stream.is('eof')) {
      const { type, value, line } = this.stream.current;
      this.stream.next();
      if (type === 'data') add(value, line);
      else if (type === 'variable_begin') {
        add(this.tuple(), line);
        this.stream.expect('variable_end');
      } else {
        flush();
        if (endings && this.stream.is(...endings)) {
          this.#endings.pop();
          return statements;
        }
        statements.push(this.#statement());
        this.stream.expect('block_end');
      }
    }
    flush();
    if (endings) this.#endings.pop();
    return statements;
  }

  /** A tag's end and its body; the ending tag's name is consumed. */
  #body(...endings: Pattern[]): { body: Statement[]; ending: string } {
    this.stream.skipIf('colon');
    this.stream.expect('block_end');
    const body = this.#statements(endings);
    if (this.stream.is('eof')) this.#failAtEnd([...this.#endings, endings]);
    return { body, ending: this.stream.next().value };
  }

  #statement(): Statement {
    const { type, value: tag, line } = this.stream.current;
    if (type !== 'name') this.fail('tag name expected', line);
    if (this.#openTags.length >= maxBlocks) {
      throw new TemplateError('RecursionError', 'too many statically nested blocks', line);
    }
    const parse = Object.hasOwn(this.#tags, tag) ? this.#tags[tag] : undefined;
    if (!parse) return this.#failAtTag(tag, line);
    this.#openTags.push(tag);
    this.stream.next();
    const statement = parse(line);
    this.#openTags.pop();
    return statement;
  }

  readonly #tags: Record<string, (line: number) => Statement> = {
    for: (line) => this.#for(line),
    if: (line) => this.#if(line),
    set: (line) => this.#set(line),
    with: (line) => this.#with(line),
    macro: (line) => {
      const { name } = this.#nameTarget();
      const signature = this.#signature();
      return { kind: 'macro', name, ...signature, body: this.#body('name:endmacro').body, line };
    },
    call: (line) => this.#callBlock(line),
    filter: (line) => {
      const filter = this.filter(null, true) as FilterNode;
      return { kind: 'filterBlock', filter, body: this.#body('name:endfilter').body, line };
    },
    print: (line) => {
      const parts: Expression[] = [];
      while (!this.stream.is('block_end')) {
        if (parts.length > 0) this.stream.expect('comma');
        parts.push(this.expression());
      }
      return { kind: 'output', parts, line };
    },
    autoescape: (line) => {
      const value = this.expression();
      return { kind: 'autoescape', value, body: this.#body('name:endautoescape').body, line };
    },
    block: (line) => this.#block(line),
    generation: (line) => ({ kind: 'generation', body: this.#body('name:endgeneration').body, line }),
    break: (line) => ({ kind: 'break', line }),
    continue: (line) => ({ kind: 'continue', line }),
    extends: (line) => ({ kind: 'load', template: this.expression(), stores: [], line }),
    include: (line) => {
      const template = this.expression();
      if (this.stream.is('name:ignore')) {
        this.stream.next();
        this.stream.expect('name:missing');
      }
      this.#importContext();
      return { kind: 'load', template, stores: [], line };
    },
    import: (line) => {
      const template = this.expression();
      this.stream.expect('name:as');
      const { name } = this.#nameTarget();
      this.#importContext();
      return { kind: 'load', template, stores: [name], line };
    },
    from: (line) => this.#from(line),
  };

  #importContext(): boolean {
    if (!this.stream.is('name:with', 'name:without') || this.stream.look().value !== 'context') return false;
    this.stream.next();
    this.stream.next();
    return true;
  }

  #from(line: number): Statement {
    const template = this.expression();
    this.stream.expect('name:import');
    const stores: string[] = [];
    for (;;) {
      if (stores.length > 0) this.stream.expect('comma');
      if (!this.stream.is('name')) this.stream.expect('name');
      if (this.#importContext()) break;
      const target = this.#nameTarget();
      if (target.name.startsWith('_')) {
        throw new TemplateError(
          'TemplateAssertionError',
          'names starting with an underline can not be imported',
          target.line,
        );
      }
      stores.push(this.stream.skipIf('name:as') ? this.#nameTarget().name : target.name);
      if (this.#importContext() || !this.stream.is('comma')) break;
    }
    return { kind: 'load', template, stores, line };
  }

  #for(line: number): Statement {
    const target = this.#target();
    this.stream.expect('name:in');
    const items = this.tuple({ withCondition: false });
    const test = this.stream.skipIf('name:if') ? this.expression() : null;
    const isRecursive = this.stream.skipIf('name:recursive');
    const { body, ending } = this.#body('name:endfor', 'name:else');
    const otherwise = ending === 'else' ? this.#body('name:endfor').body : [];
    return { kind: 'for', target, items, body, otherwise, test, isRecursive, line };
  }

  #if(line: number): Statement {
    const branches: IfNode['branches'] = [];
    for (;;) {
      const test = this.tuple({ withCondition: false });
      const { body, ending } = this.#body('name:elif', 'name:else', 'name:endif');
      branches.push({ test, body });
      if (ending === 'elif') continue;
      return { kind: 'if', branches, otherwise: ending === 'else' ? this.#body('name:endif').body : [], line };
    }
  }

  #set(line: number): Statement {
    const target = this.#target(true);
    if (this.stream.skipIf('assign')) return { kind: 'set', target, value: this.tuple(), line };
    const filter = this.filter(null, false);
    return { kind: 'setBlock', target, filter, body: this.#body('name:endset').body, line };
  }

  #with(line: number): Statement {
    const targets: Target[] = [];
    const values: Expression[] = [];
    while (!this.stream.is('block_end')) {
      if (targets.length > 0) this.stream.expect('comma');
      targets.push(this.#target());
      this.stream.expect('assign');
      values.push(this.expression());
    }
    return { kind: 'with', targets, values, body: this.#body('name:endwith').body, line };
  }

  #callBlock(line: number): Statement {
    const signature = this.stream.is('lparen') ? this.#signature() : { parameters: [], defaults: [] };
    const call = this.expression();
    if (call.kind !== 'call') return this.fail('expected call', line);
    const node: CallBlockNode = { kind: 'callBlock', call, ...signature, body: [], line };
    node.body = this.#body('name:endcall').body;
    return node;
  }

  #block(line: number): Statement {
    const name = this.stream.expect('name').value;
    const isScoped = this.stream.skipIf('name:scoped');
    const isRequired = this.stream.skipIf('name:required');
    if (this.stream.is('sub')) {
      this.fail(
        'Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.',
      );
    }
    const { body } = this.#body('name:endblock');
    const isBlank = (part: string | Expression) => typeof part === 'string' && part.trim() === '';
    if (isRequired && !body.every((node) => node.kind === 'output' && node.parts.every(isBlank))) {
      this.fail('Required blocks can only contain comments or whitespace');
    }
    this.stream.skipIf(`name:${name}`);
    return { kind: 'block', name, isScoped, isRequired, body, line };
  }

  #signature(): { parameters: NameNode[]; defaults: Expression[] } {
    const parameters: NameNode[] = [];
    const defaults: Expression[] = [];
    this.stream.expect('lparen');
    while (!this.stream.is('rparen')) {
      if (parameters.length > 0) this.stream.expect('comma');
      const parameter = this.#nameTarget();
      if (this.stream.skipIf('assign')) defaults.push(this.expression());
      else if (defaults.length > 0) this.fail('non-default argument follows default argument');
      parameters.push(parameter);
    }
    this.stream.expect('rparen');
    return { parameters, defaults };
  }

  #nameTarget(): NameNode {
    const { value: name, line } = this.stream.expect('name');
    if (isConstantName(name)) this.fail("can't assign to 'name'", line);
    return { kind: 'name', name, line };
  }

  /** Names with commas between them. */
  #target(withNamespace = false): Target {
    const { line } = this.stream.current;
    const items: (Target | null)[] = [];
    let isTuple = false;
    let kind = '';
    for (;;) {
      if (items.length > 0) this.stream.expect('comma');
      if (this.isTupleEnd()) break;
      const item = this.#targetItem(withNamespace);
      kind = item.kind;
      items.push(asTarget(item));
      if (!this.stream.is('comma')) break;
      isTuple = true;
    }
    const targets = items.filter((item) => item !== null);
    if (!isTuple && items.length === 0)
      this.fail(`Expected an expression, got '${describeToken(this.stream.current)}'`);
    if (targets.length < items.length) this.fail(`can't assign to '${isTuple ? 'tuple' : kind}'`, line);
    const [first] = targets;
    return first && !isTuple ? first : { kind: 'targets', items: targets, line };
  }

  #targetItem(withNamespace: boolean): Expression | NamespaceTarget {
    const { type, value, line } = this.stream.current;
    if (type === 'name' && withNamespace && !isConstantName(value) && this.stream.look().type === 'dot') {
      this.stream.next();
      this.stream.next();
      return { kind: 'namespace', name: value, attribute: this.stream.expect('name').value, line };
    }
    return this.primary();
  }

  #failAtTag(tag: string, line: number): never {
    throw misplaced(`Encountered unknown tag '${tag}'.`, tag, this.#endings, this.#openTags, line);
  }

  #failAtEnd(endings: Pattern[][]): never {
    const { line } = this.stream.current;
    throw misplaced('Unexpected end of template.', null, endings, this.#openTags, line);
  }
}

type NamespaceTarget = Extract<Target, { kind: 'namespace' }>;

/** A tuple in brackets can be a target, too; null for what cannot be assigned to. */
function asTarget(node: Expression | NamespaceTarget): Target | null {
  if (node.kind === 'name' || node.kind === 'namespace') return node;
  if (node.kind !== 'tuple') return null;
  const items = node.items.map(asTarget);
  return items.includes(null) ? null : { kind: 'targets', items: items.filter((i) => i !== null), line: node.line };
}
