import { describe, expect, it } from 'vitest';
import { filterCompletion, isLoop, trimDuplicateClosers, trimSuffixOverlap, typeThrough } from './completion-filter.ts';

const filter = (raw: string, prefix = '', suffix = '') => filterCompletion(raw, { prefix, suffix });

describe('filterCompletion', () => {
  it('passes an ordinary suggestion without its trailing blanks', () => {
    expect(filter('return a + b;  \n', 'function add(a, b) {\n  ')).toEqual({ text: 'return a + b;' });
  });

  it.each(['', '   ', '\n\n', '\t'])('drops %j as empty', (raw) => {
    expect(filter(raw)).toEqual({ reason: 'empty' });
  });

  it.each(['</s>', '<|im_end|>', '<|fim_middle|>foo', '<fim_prefix>', '[INST] hi', '<｜fim▁hole｜>'])(
    'drops %j as a special token',
    (raw) => {
      expect(filter(raw)).toEqual({ reason: 'special-token' });
    },
  );

  it('cuts at a special token and keeps what came before', () => {
    expect(filter('x = 1</s> and then')).toEqual({ text: 'x = 1' });
  });

  it('does not take generics or HTML for special tokens', () => {
    expect(filter('new Map<string, number>()')).toEqual({ text: 'new Map<string, number>()' });
    expect(filter('<strong>a</strong>')).toEqual({ text: '<strong>a</strong>' });
  });

  it('drops what the model was not sure of, and trusts it where it says nothing', () => {
    const sure = (confidence: number | null) => filterCompletion('x + y', { prefix: 'a = ', suffix: '', confidence });
    expect(sure(0.05)).toEqual({ reason: 'low-confidence' });
    expect(sure(0.9)).toEqual({ text: 'x + y' });
    expect(sure(null)).toEqual({ text: 'x + y' });
    expect(filter('x + y', 'a = ')).toEqual({ text: 'x + y' });
  });

  it('drops a copy of the line above, also across the part already typed', () => {
    expect(filter('log(1);', 'log(1);\n')).toEqual({ reason: 'repeats-above' });
    expect(filter('g(1);', 'log(1);\n\nlo')).toEqual({ reason: 'repeats-above' });
  });

  it('keeps a closing bracket below a closing bracket', () => {
    expect(filter('}', '  }\n')).toEqual({ text: '}' });
  });

  it('drops what already stands below', () => {
    expect(filter('return total;', 'a\n', '\n  return total;\n}')).toEqual({ reason: 'repeats-below' });
  });

  it('drops a suggestion that only repeats the rest of the line', () => {
    expect(filter(');', 'f(a', ');')).toEqual({ reason: 'repeats-below' });
  });

  it('drops a loop', () => {
    expect(filter('a = 1\na = 1\na = 1\na = 1')).toEqual({ reason: 'repetition' });
  });
});

it('drops what would bring back the text that the user just deleted', () => {
  const context = { prefix: 'x = ', suffix: '' };
  expect(filterCompletion('foo(bar)', { ...context, deleted: 'foo(b' })).toEqual({ reason: 'reverses' });
  expect(filterCompletion('baz', { ...context, deleted: 'foo' })).toEqual({ text: 'baz' });
  expect(filterCompletion('foo', { ...context, deleted: 'f' })).toEqual({ text: 'foo' });
});

describe('trimSuffixOverlap', () => {
  it('cuts the part that follows the cursor', () => {
    expect(trimSuffixOverlap('a, b)', ')')).toBe('a, b');
    expect(trimSuffixOverlap('name: string) {', ') {\n')).toBe('name: string');
  });

  it('does not cut letters that match by chance', () => {
    expect(trimSuffixOverlap('value', 'else')).toBe('value');
  });

  it('cuts a whole word that follows', () => {
    expect(trimSuffixOverlap('if (x) else', 'else')).toBe('if (x) ');
  });
});

describe('trimDuplicateClosers', () => {
  it('drops closers that the suffix has', () => {
    expect(trimDuplicateClosers('x)]', ']);')).toBe('x');
  });

  it('keeps closers of brackets opened in the suggestion', () => {
    expect(trimDuplicateClosers('g(x)', ')')).toBe('g(x)');
  });
});

describe('isLoop', () => {
  it('sees a repeated unit', () => {
    expect(isLoop('ab'.repeat(10))).toBe(true);
    expect(isLoop('foo(), '.repeat(9))).toBe(true);
  });

  it('allows rules and closing brackets', () => {
    expect(isLoop('// -----------------------------------')).toBe(false);
    expect(isLoop('}\n}\n}\n}\n}')).toBe(false);
  });
});

describe('typeThrough', () => {
  const shown = { prefix: 'con', suffix: '\n', text: 'sole.log(x)' };

  it('keeps the rest while the user types what is suggested', () => {
    expect(typeThrough(shown, { prefix: 'cons', suffix: '\n' })).toBe('ole.log(x)');
    expect(typeThrough(shown, { prefix: 'con', suffix: '\n' })).toBe('sole.log(x)');
  });

  it('leaves out the closing marks that came by themselves', () => {
    const call = { prefix: 'x = ', suffix: '\n', text: 'f(a, [b])' };
    expect(typeThrough(call, { prefix: 'x = f(', suffix: ')\n' })).toBe('a, [b]');
    expect(typeThrough(call, { prefix: 'x = f(a, [', suffix: '])\n' })).toBe('b');
    expect(typeThrough(call, { prefix: 'x = f(', suffix: 'y)\n' })).toBeNull();
    expect(typeThrough(call, { prefix: 'x = f', suffix: ']\n' })).toBeNull();
  });

  it('gives up on any other key, a deletion, a changed suffix and at the end', () => {
    expect(typeThrough(shown, { prefix: 'cont', suffix: '\n' })).toBeNull();
    expect(typeThrough(shown, { prefix: 'co', suffix: '\n' })).toBeNull();
    expect(typeThrough(shown, { prefix: 'cons', suffix: ')\n' })).toBeNull();
    expect(typeThrough(shown, { prefix: 'console.log(x)', suffix: '\n' })).toBeNull();
  });
});
