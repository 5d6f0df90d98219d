import { describe, expect, it } from 'vitest';
import { defaultLimits, type Limits } from './budget.ts';
import { Template } from './template.ts';
import { attempt, isSame, type Result, readLines, recordedNow, renderAsRecorded } from './testing/vectors.ts';

type Case = { template: string; context?: Record<string, unknown> } & Result;

const render = (source: string, variables: Record<string, unknown> = {}, limits: Partial<Limits> = {}) =>
  new Template(source).render(variables, { now: recordedNow, limits: { ...defaultLimits, ...limits } });

function differences(cases: readonly Case[], context: Record<string, unknown> = {}) {
  return cases
    .map((recorded) => {
      const variables = recorded.context ?? context;
      return { recorded, got: attempt(() => renderAsRecorded(new Template(recorded.template), variables)) };
    })
    .filter(({ recorded, got }) => !isSame(recorded, got));
}

describe('the language', () => {
  const [shared, ...cases] = readLines<Case>(new URL('testdata/language.jsonl', import.meta.url));

  it('is that of Jinja2, statement by statement and filter by filter', () => {
    expect(cases.length).toBeGreaterThan(650);
    expect(differences(cases, shared?.context)).toEqual([]);
  });

  it('is that of Jinja2 in random combinations', () => {
    const random = readLines<Case>(new URL('testdata/random.jsonl', import.meta.url));
    expect(random.filter((recorded) => 'text' in recorded).length).toBeGreaterThan(150);
    expect(differences(random)).toEqual([]);
  });
});

describe('an error', () => {
  it.each([
    ['a\n{{ b c }}', 2],
    ['{% if x %}\n\n{% nope %}', 3],
    ['\n{{ none.x.y }}', 2],
    ['{% for i in [1] %}\n{{ i }}\n{{ i.x.y }}\n{% endfor %}', 3],
    ['{% macro m(a) %}\n{{ a.b }}\n{% endmacro %}\n\n{{ m() }}', 2],
    ["{% set x = 1 %}\n{{ raise_exception('no') }}", 2],
    ['\n\n{{ 1|nope }}', 3],
    ['{% macro m() %}\nx\n{% endmacro %}\n{{ m() + 1 }}', 4],
  ])('in %j names line %i', (source, line) => {
    expect(() => render(source)).toThrow(expect.objectContaining({ name: 'TemplateError', line }));
  });

  it('keeps the words of a template that refuses', () => {
    expect(() => render("{{ raise_exception('Only ' ~ 2) }}")).toThrow(
      expect.objectContaining({ type: 'TemplateError', message: 'Only 2' }),
    );
  });
});

describe('variables', () => {
  it('are absent where they are undefined, and None where they are null', () => {
    expect(render('{{ a is defined }} {{ b is none }} {{ c.d is defined }}', { a: undefined, b: null, c: {} })).toBe(
      'False True False',
    );
  });

  it('hide no part of JavaScript', () => {
    const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__class__', '__dict__'];
    for (const name of names) {
      const shown = `{{ o.${name} }}{{ o['${name}'] }}{{ s.${name} }}{{ l.${name} }}{{ n.${name} }}{{ f.${name} }}{{ ns.${name} }}`;
      const context = { o: {}, s: 'text', l: [], n: 1, f: 1.5 };
      expect(render(`{% set ns = namespace() %}${shown}{{ ${name} }}`, context), name).toBe('');
    }
  });

  it('can have any name of their own', () => {
    const o = JSON.parse('{"__proto__": {"x": 1}, "constructor": "c"}');
    expect(render("{{ o['__proto__'].x }} {{ o.constructor }} {{ o|tojson }}", { o })).toBe(
      '1 c {"__proto__": {"x": 1}, "constructor": "c"}',
    );
    expect(render('{% set ns = namespace() %}{% set ns.__proto__ = 5 %}{{ ns }}{{ {}.x }}')).toBe(
      "<Namespace {'__proto__': 5}>",
    );
  });

  it('are left as they are', () => {
    const messages = [{ role: 'user', tags: ['a'] }];
    expect(() => render("{{ messages.append(1) }}{{ messages[0].update({'a': 1}) }}", { messages })).toThrow(
      expect.objectContaining({ type: 'SecurityError' }),
    );
    expect(messages).toEqual([{ role: 'user', tags: ['a'] }]);
  });

  it('nested too deeply are refused', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 5000; i++) deep = [deep];
    expect(() => render('{{ deep }}', { deep })).toThrow(expect.objectContaining({ name: 'TemplateError' }));
  });
});

describe('a hostile template', () => {
  const small = { nSteps: 300_000, nText: 2 ** 22, nTextTotal: 2 ** 24 };
  const loops = '{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}';
  const double = '{% set ns.x = ns.x ~ ns.x %}'.repeat(60);
  const nest = '{% set ns.x = [ns.x, ns.x] %}'.repeat(60);

  it.each([
    ['loops', `${loops}{% endfor %}{% endfor %}{% endfor %}`],
    ['loops with a body', `${loops}{% set x = a + b %}{{ c }}{% endfor %}{% endfor %}{% endfor %}`],
    ['a filter that goes through loops', '{{ range(100000)|map("string")|map("length")|list if 1 }}'.repeat(200)],
    ['a text that doubles', `{% set ns = namespace(x='ab') %}${double}{{ ns.x|length }}`],
    ['text times a number', "{{ ('ab' * 1000000000)|length }}"],
    ['a list times a number', '{{ ([1] * 1000000000)|length }}'],
    ['padding', "{{ 'a'|center(1000000000) }}"],
    ['padding by format', "{{ '{:1000000000}'.format(1) }}"],
    ['padding by per cent', "{{ '%1000000000d' % 1 }}"],
    ['padding with zeros', "{{ 'a'.zfill(1000000000) }}"],
    ['tabs', "{{ '\t\t'.expandtabs(1000000000) }}"],
    ['indentation', "{{ 'a\\nb'|indent(1000000000) }}"],
    ['replacement', "{% set x = 'a' * 100000 %}{{ x|replace('a', x) }}"],
    ['joining', "{% set x = 'a' * 100000 %}{{ x|join(x)|length }}"],
    ['powers', '{{ 9 ** 9 ** 9 ** 9 ** 9 ** 9 }}'],
    ['factors', `{% set ns = namespace(x=3) %}${'{% set ns.x = ns.x * ns.x %}'.repeat(60)}{{ ns.x > 1 }}`],
    ['slices', '{{ [1]|slice(1000000000)|list|length }}'],
    ['batches', "{{ [1]|batch(1000000000, 'x')|list|length }}"],
    ['a value that contains itself twice, printed', `{% set ns = namespace(x=[1]) %}${nest}{{ ns.x }}`],
    ['a value that contains itself twice, as JSON', `{% set ns = namespace(x=[1]) %}${nest}{{ ns.x|tojson }}`],
    [
      'a value that contains itself twice, compared',
      `{% set ns = namespace(x=[1], y=[1]) %}${nest}${nest.replaceAll('x', 'y')}{{ ns.x == ns.y }}`,
    ],
    [
      'a deep value',
      '{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}',
    ],
    [
      'a deep value, as JSON',
      '{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}',
    ],
    [
      'a deep value, compared',
      '{% set ns = namespace(x=[], y=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}',
    ],
    [
      'a deep key',
      '{% set ns = namespace(x=()) %}{% for i in range(100000) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ {ns.x: 1} }}',
    ],
    ['a macro that calls itself', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'],
    [
      'a macro that calls itself twice',
      '{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(150) }}',
    ],
    ['a loop that calls itself', '{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}'],
    ['a block that calls itself', '{% block a %}{{ self.a() }}{% endblock %}'],
    ['brackets', `{{ ${'('.repeat(100000)}1${')'.repeat(100000)} }}`],
    ['signs', `{{ ${'-'.repeat(100000)}1 }}`],
    ['negations', `{{ ${'not '.repeat(100000)}1 }}`],
    ['lists in lists', `{{ ${'['.repeat(100000)}${']'.repeat(100000)} }}`],
    ['conditions', `${'{% if 1 %}'.repeat(50000)}${'{% endif %}'.repeat(50000)}`],
    ['inline conditions', `{{ ${'1 if 1 else '.repeat(50000)}1 }}`],
    ['searching', "{% set x = 'a' * 400000 %}{{ (x ~ 'b' ~ x) in x * 4 }}"],
    ['splitting', "{% set x = 'a' * 400000 %}{{ (x * 4).split(x ~ 'b' ~ x)|length }}"],
    ['long keys', "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ {}[x ~ i] }}{% endfor %}"],
    [
      'long texts that are equal',
      "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x ~ 'b' == x ~ 'c' }}{% endfor %}",
    ],
    [
      'long lists that are equal',
      '{% set x = [none] * 100000 %}{% for i in range(100000) %}{{ x == x + [] }}{% endfor %}',
    ],
    ['lengths', "{% set x = '😀' * 1000000 %}{% for i in range(100000) %}{{ x|length }}{{ x[-1] }}{% endfor %}"],
    ['letter case', "{{ (['a' * 1000000] * 100000)|sort|length }}"],
    ['digits', "{% set x = '1' * 1000000 ~ 'x' %}{% for i in range(1000) %}{{ x|float }}{% endfor %}"],
    [
      'copies',
      '{% set d = {}.fromkeys(range(100000)) %}{% for i in range(100000) %}{{ d.copy() is none }}{% endfor %}',
    ],
    ['its length', 'x'.repeat(2_000_000)],
  ])('that is endless by %s ends with an error', (_, source) => {
    expect(() => render(source, {}, small)).toThrow(
      expect.objectContaining({ name: 'TemplateError', type: expect.stringMatching(/^(BudgetError|RecursionError)$/) }),
    );
  });

  it.each([
    ['sums', `{{ ${'1 + '.repeat(20000)}1 }}`, '20001'],
    ['joined parts', `{{ ${"'a' ~ ".repeat(20000)}'b' }}`, `${'a'.repeat(20000)}b`],
    ['filters', `{{ 'a'${'|upper'.repeat(20000)} }}`, 'A'],
    ['attributes', `{{ a${"['a']".repeat(3)} }}`, ''],
  ])('with very many %s renders, or says that it is too much', (_, source, wanted) => {
    const result = attempt(() => render(source, { a: { a: { a: null } } }, small));
    if ('text' in result) expect(result.text === wanted || result.text === 'None').toBe(true);
    else expect(result.error.type).toBe('RecursionError');
  });

  it('of many names and conditions compiles all the same', () => {
    const names = Array.from({ length: 5000 }, (_, i) => `{% set v${i} = ${i} %}`).join('');
    expect(render(`${names}${'{% if 1 %}{% endif %}'.repeat(5000)}{{ v4999 }}`)).toBe('4999');
  });

  it('may not search long texts for long texts again and again', () => {
    const source = "{% for i in range(100000) %}{{ 'b' in s }}{{ s.split('c')|length }}{% endfor %}";
    expect(() => render(source, { s: 'a'.repeat(1_000_000) }, small)).toThrow(
      expect.objectContaining({ type: 'BudgetError' }),
    );
  });
});

describe('a budget', () => {
  it('counts statements, text and depth', () => {
    const loop = '{% for i in range(100) %}x{% endfor %}';
    expect(render(loop, {}, { nSteps: 1000 })).toBe('x'.repeat(100));
    expect(() => render(loop, {}, { nSteps: 100 })).toThrow(expect.objectContaining({ type: 'BudgetError' }));
    expect(() => render(loop, {}, { nText: 99 })).toThrow(expect.objectContaining({ type: 'BudgetError' }));
    expect(render(loop, {}, { nText: 100 })).toBe('x'.repeat(100));
    expect(() => render(loop, {}, { nTextTotal: 99 })).toThrow(expect.objectContaining({ type: 'BudgetError' }));
    const macro = '{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}';
    expect(render(macro, {}, { nDepth: 6 })).toBe('');
    expect(() => render(macro, {}, { nDepth: 5 })).toThrow(expect.objectContaining({ type: 'RecursionError' }));
  });

  it('leaves room for what templates do with a long conversation', () => {
    const messages = Array.from({ length: 2000 }, (_, i) => ({
      role: i % 2 ? 'assistant' : 'user',
      content: 'word '.repeat(200),
    }));
    const source =
      "{% for m in messages %}{% if m.role == 'user' %}U{% else %}{{ m.content.split('</think>')[-1]|trim }}{% endif %}{% endfor %}";
    expect(render(source, { messages })).toContain('U');
  });
});
