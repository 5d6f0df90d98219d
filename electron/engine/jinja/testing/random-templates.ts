// Random templates from pieces of the grammar, and random variables for them. The same seed gives the same ones, so
// that a failure can be repeated. Most are valid; some are cut or have a character too many.

/** mulberry32: small, fast, good enough to choose with. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
  chance(p: number): boolean {
    return this.next() < p;
  }
}

const names = ['a', 'b', 'c', 'messages', 'd', 'n', 's', 'u', 'x', 'ns', 'tools', 'missing', 'loop', 'm', 'caller'];
const constants = [
  '0',
  '1',
  '2',
  '-1',
  '7',
  '1.5',
  '0.1',
  '100',
  'none',
  'true',
  'false',
  "''",
  "'a'",
  '"b c"',
  "'é😀'",
  "'<|x|>'",
  "'a,b,c'",
  "'%s'",
  "'{}'",
  "'  x '",
  "'A\\nb'",
  '[]',
  '{}',
  '()',
];
const attributes = [
  'role',
  'content',
  'a',
  'b',
  'items',
  'x',
  'index',
  'index0',
  'first',
  'last',
  'length',
  'previtem',
];
const unsafeAttributes = [
  '__proto__',
  'constructor',
  '__class__',
  'prototype',
  'toString',
  '__init__',
  'append',
  'pop',
];
const binaries = [
  '+',
  '-',
  '*',
  '/',
  '//',
  '%',
  '**',
  '~',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  'in',
  'not in',
  'and',
  'or',
];
const filters = [
  'abs',
  'batch(2)',
  'capitalize',
  'center(7)',
  'count',
  "d('z')",
  "default('z', true)",
  'dictsort',
  'e',
  'first',
  'float',
  "format('x')",
  "groupby('role')",
  'indent',
  'indent(2, true)',
  'int',
  'items',
  'join',
  "join(', ')",
  'last',
  'length',
  'list',
  'lower',
  "map('upper')",
  "map(attribute='content')",
  "map('length')",
  'max',
  'min',
  "reject('none')",
  "rejectattr('content')",
  "replace('a', 'b')",
  'reverse',
  'reverse|list',
  'round',
  'round(1)',
  'safe',
  "select('string')",
  "selectattr('role', 'equalto', 'user')",
  "selectattr('content')",
  'slice(2)',
  'sort',
  'sort(reverse=true)',
  'string',
  'sum',
  'title',
  'tojson',
  'tojson(indent=2)',
  'trim',
  "trim('a')",
  'truncate(5)',
  'unique',
  'upper',
  'urlencode',
  'wordcount',
  'nope',
];
const tests = [
  'defined',
  'undefined',
  'none',
  'string',
  'mapping',
  'sequence',
  'iterable',
  'number',
  'integer',
  'float',
  'boolean',
  'true',
  'false',
  'odd',
  'even',
  'divisibleby 2',
  'lower',
  'upper',
  'callable',
  'sameas none',
  'in [1, 2]',
  "eq 'a'",
  'nope',
];
const methods = [
  'upper()',
  'strip()',
  "split(',')",
  'split()',
  "replace('a', 'bb')",
  "startswith('a')",
  "endswith(('c', 'b'))",
  "find('b')",
  "join(['x', 'y'])",
  'items()',
  'keys()',
  'values()',
  "get('a')",
  "get('zz', 3)",
  "format('q', 2)",
  'title()',
  'count(1)',
  'index(1)',
  'copy()',
  'splitlines()',
  "partition(',')",
  'isdigit()',
  'append(1)',
];
const texts = ['text', ' ', '\n', '  \n', ' a\n  b', '<|im_start|>', 'é😀', '}}', '%}', '{ {', '\t', 'x\r\ny', "it's"];

export class TemplateMaker {
  readonly #random: Random;
  constructor(random: Random) {
    this.#random = random;
  }

  template(): string {
    const template = this.#body(this.#random.below(4));
    return this.#random.chance(0.05) ? this.#damaged(template) : template;
  }

  #damaged(template: string): string {
    const at = this.#random.below(template.length + 1);
    if (this.#random.chance(0.3)) return template.slice(0, at);
    return (
      template.slice(0, at) + this.#random.pick(['{', '}', '%}', '{{', '(', "'", '|', '.', '\\']) + template.slice(at)
    );
  }

  #body(depth: number): string {
    return Array.from({ length: this.#random.below(3) + 1 }, () => this.#part(depth)).join('');
  }

  #open(tag: string): string {
    const start = this.#random.pick(['{% ', '{% ', '{%- ', '{%+ ']);
    return start + tag + this.#random.pick([' %}', ' %}', ' -%}', ' %}\n']);
  }

  #part(depth: number): string {
    const random = this.#random;
    const choice = random.below(depth > 0 ? 16 : 6);
    const body = () => this.#body(depth - 1);
    const inner = () => this.#expression(random.below(3));
    if (choice < 2) return random.pick(texts);
    if (choice < 5)
      return `${random.pick(['{{ ', '{{- '])}${this.#expression(random.below(4))}${random.pick([' }}', ' -}}'])}`;
    if (choice === 5) return random.pick([`{# note #}`, '{#- note -#}', '{% raw %}{{ x }}{% endraw %}']);
    if (choice < 8) {
      const otherwise = random.chance(0.5) ? this.#open('else') + body() : '';
      const elif = random.chance(0.3) ? this.#open(`elif ${inner()}`) + body() : '';
      return this.#open(`if ${inner()}`) + body() + elif + otherwise + this.#open('endif');
    }
    if (choice < 11) {
      const filter = random.chance(0.2) ? ` if ${inner()}` : '';
      const target = random.pick(['x', 'x', 'c', 'a, b', 'm']);
      const otherwise = random.chance(0.2) ? this.#open('else') + body() : '';
      const control = random.chance(0.2)
        ? this.#open(`if ${inner()}`) + this.#open(random.pick(['break', 'continue'])) + this.#open('endif')
        : '';
      return this.#open(`for ${target} in ${inner()}${filter}`) + control + body() + otherwise + this.#open('endfor');
    }
    if (choice === 11)
      return this.#open(`set ${random.pick(['a', 'x', 'ns.x', 'a, b', 'c'])} = ${this.#expression(3)}`);
    if (choice === 12)
      return (
        this.#open(`set ${random.pick(['a', 'x'])}${random.pick(['', ' | upper'])}`) + body() + this.#open('endset')
      );
    if (choice === 13) {
      const macro = this.#open(`macro m(${random.pick(['', 'a', 'a, b=1', 'x=a'])})`) + body() + this.#open('endmacro');
      const call = random.chance(0.3)
        ? this.#open('call m(1)') + body() + this.#open('endcall')
        : `{{ m(${inner()}) }}`;
      return macro + call;
    }
    if (choice === 14) return this.#open(`with a = ${inner()}`) + body() + this.#open('endwith');
    return (
      this.#open(`filter ${random.pick(['upper', 'trim', 'replace("a", "b")', 'indent'])}`) +
      body() +
      this.#open('endfilter')
    );
  }

  #expression(depth: number): string {
    const random = this.#random;
    const inner = () => this.#expression(depth - 1);
    if (depth <= 0) return random.chance(0.6) ? random.pick(names) : random.pick(constants);
    switch (random.below(15)) {
      case 0:
      case 1:
        return random.pick(names);
      case 2:
        return random.pick(constants);
      case 3:
      case 4:
        return `${inner()} ${random.pick(binaries)} ${inner()}`;
      case 5:
      case 6:
        return `${inner()}|${random.pick(filters)}`;
      case 7:
        return `${inner()} is ${random.pick(['', 'not '])}${random.pick(tests)}`;
      case 8:
      case 9:
        return `${random.pick(names)}.${random.pick(random.chance(0.1) ? unsafeAttributes : attributes)}`;
      case 10:
        // Jinja2 folds slices of constants when it compiles, with other rules than at run time (docs/templates.md).
        return random.chance(0.4)
          ? `${random.pick(names)}[${random.pick(['1:', ':-1', '::-1', '::2', '-2:', 'n:'])}]`
          : `(${inner()})[${random.pick(['0', '-1', "'a'", "'role'", inner(), "'__proto__'"])}]`;
      case 11:
        return `(${inner()}).${random.pick(methods)}`;
      case 12:
        return `(${inner()} if ${inner()}${random.chance(0.8) ? ` else ${inner()}` : ''})`;
      case 13:
        return random.pick([
          `[${inner()}, ${inner()}]`,
          `{'a': ${inner()}, 'b': ${inner()}}`,
          `(${inner()}, ${inner()})`,
          `range(${random.below(5)})`,
          `dict(a=${inner()})`,
          `namespace(x=${inner()})`,
        ]);
      default:
        return random.pick([
          `not ${inner()}`,
          `-${inner()}`,
          `(${inner()})`,
          `loop.cycle(${inner()})`,
          `m(${inner()})`,
        ]);
    }
  }

  variables(): Record<string, unknown> {
    const variables: Record<string, unknown> = { messages: this.#messages(), tools: null, s: 'Hello, a World' };
    for (const name of ['a', 'b', 'd', 'n', 'u']) if (this.#random.chance(0.8)) variables[name] = this.#data(3);
    return variables;
  }

  #messages(): unknown[] {
    return Array.from({ length: this.#random.below(4) }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: this.#random.pick(['Hi', '', ' spaced ', 'a\nb', '{{ x }}', null, '😀']),
    }));
  }

  #data(depth: number): unknown {
    const random = this.#random;
    const choice = random.below(depth > 0 ? 10 : 7);
    if (choice < 3) return random.pick(['', 'abc', 'a,b', 'é😀', ' x ', '12', 'True', '<b>']);
    if (choice < 5) return random.pick([0, 1, -3, 2.5, 10, 1.5e-7]);
    if (choice === 5) return random.pick([null, true, false]);
    if (choice === 6) return [];
    const length = random.below(4);
    if (choice < 9) return Array.from({ length }, () => this.#data(depth - 1));
    return Object.fromEntries(
      Array.from({ length }, () => [random.pick(['a', 'b', 'x', 'role', 'k 1']), this.#data(depth - 1)]),
    );
  }
}
