import { describe, expect, it } from 'vitest';
import { changedPiece, EditTrail, type NextEdit } from './edit-trail.ts';
import { random } from './testing/random.ts';

/** A text that is typed into; `|` marks the cursor where one is given. */
class Typed {
  readonly trail = new EditTrail();
  text: string;
  cursor = 0;

  constructor(text: string) {
    this.text = text;
  }

  replace(offset: number, nRemoved: number, inserted: string): void {
    const before = this.text;
    this.text = before.slice(0, offset) + inserted + before.slice(offset + nRemoved);
    this.trail.changed(before, this.text, { offset, nRemoved, inserted });
    this.cursor = offset + inserted.length;
  }

  /** Puts a word in the place of another, letter by letter, as somebody types. */
  retype(from: string, to: string, nth = 0): void {
    let at = -1;
    for (let i = 0; i <= nth; i++) at = this.text.indexOf(from, at + 1);
    for (let i = from.length; i > 0; i--) this.replace(at + i - 1, 1, '');
    for (let i = 0; i < to.length; i++) this.replace(at + i, 0, to.charAt(i));
  }

  get next(): NextEdit | null {
    return this.trail.next(this.text, this.cursor);
  }

  accept(): boolean {
    const { next } = this;
    if (next === null) return false;
    this.replace(next.offset, next.from.length, next.to);
    return true;
  }

  acceptAll(): string {
    for (let i = 0; i < 50 && this.accept(); i++);
    return this.text;
  }
}

describe('after a name was changed where it is declared', () => {
  it.each([
    [
      'a variable',
      'function f() {\n  const count = 1;\n  return count + g.count;\n}\nlet count = 2;\n',
      'function f() {\n  const total = 1;\n  return total + g.count;\n}\nlet count = 2;\n',
    ],
    ['a function', 'count();\nfunction count() {}\nx.count();\n', 'total();\nfunction total() {}\nx.total();\n', 1],
    [
      'a parameter in Python',
      'def f(count, b):\n    return count * b\n\n\ndef g(count):\n    return count\n',
      'def f(total, b):\n    return total * b\n\n\ndef g(count):\n    return count\n',
    ],
    [
      'a parameter on a line of its own',
      'export function f(\n  count: number,\n  b: string,\n): number {\n  return count;\n}\nconst count = 1;\n',
      'export function f(\n  total: number,\n  b: string,\n): number {\n  return total;\n}\nconst count = 1;\n',
    ],
    [
      'a variable with a type in front',
      'int f(int a) {\n  int count = a;\n  return count;\n}\n',
      'int f(int a) {\n  int total = a;\n  return total;\n}\n',
    ],
    [
      'a short variable in Go',
      'func f() int {\n\tcount := 1\n\treturn count\n}\n',
      'func f() int {\n\ttotal := 1\n\treturn total\n}\n',
    ],
    ['a class', 'class count {}\nnew count();\n', 'class total {}\nnew total();\n'],
    [
      'keys and strings are left alone',
      'const count = 1;\nf({ count: count }, "count", other.count);\n',
      'const total = 1;\nf({ count: total }, "count", other.count);\n',
    ],
  ])('%s: every use is proposed', (_name, before, after, nth = 0) => {
    const typed = new Typed(before);
    typed.retype('count', 'total', nth);
    expect(typed.trail.isFresh).toBe(true);
    expect(typed.acceptAll()).toBe(after);
  });

  it('the uses below the cursor come first, then those above', () => {
    const typed = new Typed('count();\nfunction count() {}\ncount();\n');
    typed.retype('count', 'total', 1);
    expect(typed.next?.offset).toBe(typed.text.lastIndexOf('count'));
    typed.accept();
    expect(typed.next?.offset).toBe(0);
  });

  it('letters that are added change the name as well', () => {
    const typed = new Typed('let count = 1;\nf(count);\n');
    typed.replace(9, 0, 's');
    expect(typed.next).toEqual({ offset: 18, from: 'count', to: 'counts' });
  });

  it('nothing is proposed where the name is only used, is new, or is a word of the language', () => {
    const used = new Typed('const count = 1;\nf(count);\ng(count);\n');
    used.retype('count', 'total', 1);
    expect(used.next).toBeNull();

    const fresh = new Typed('let \nf(c, co);\n');
    for (const [i, letter] of [...'count = 1;'].entries()) {
      fresh.replace(4 + i, 0, letter);
      expect(fresh.next).toBeNull();
    }

    const keyword = new Typed('const a = 1;\nconst b = 2;\n');
    keyword.retype('const', 'let');
    expect(keyword.next).toBeNull();
  });

  it('what was dismissed does not come back; another name is another proposal', () => {
    const typed = new Typed('let count = 1;\nf(count);\n');
    typed.retype('count', 'total');
    const { next } = typed;
    if (next) typed.trail.dismiss(next);
    expect(typed.next).toBeNull();
    typed.retype('total', 'sum');
    expect(typed.next).toEqual({ offset: 15, from: 'count', to: 'sum' });
  });
});

describe('after the same change was made twice', () => {
  it('the third place is proposed', () => {
    const typed = new Typed('console.log(a);\nconsole.log(b);\nconsole.log(c);\n');
    typed.retype('console.log', 'logger.info');
    typed.retype('console.log', 'logger.info');
    expect(typed.next).toEqual({ offset: 32, from: 'console.log', to: 'logger.info' });
    expect(typed.acceptAll()).toBe('logger.info(a);\nlogger.info(b);\nlogger.info(c);\n');
  });

  it('a change that holds what it replaced ends', () => {
    const typed = new Typed('use(alpha);\nuse(alpha);\nuse(alpha);\n');
    for (const line of [0, 1]) {
      const at = typed.text.split('\n').slice(0, line).join('\n').length + (line ? 1 : 0) + 4;
      for (const [i, letter] of [...'copy('].entries()) typed.replace(at + i, 0, letter);
      typed.replace(at + 10, 0, ')');
    }
    expect(typed.acceptAll()).toBe('use(copy(alpha));\nuse(copy(alpha));\nuse(copy(alpha));\n');
  });

  it('one change is not a habit', () => {
    const typed = new Typed('console.log(a);\nconsole.log(b);\n');
    typed.retype('console.log', 'logger.info');
    expect(typed.next).toBeNull();
  });
});

it('what changed is told in whole words', () => {
  expect(changedPiece('  return counter;', '  return country;')).toEqual({ from: 'counter', to: 'country' });
  expect(changedPiece('f(a)', 'f(b)')).toBeNull();
});

it('after any typing, a proposal replaces what stands at its place, and taking all of them ends', () => {
  const { int, pick } = random(7);
  const pieces = [
    'let ',
    'count',
    ' = ',
    'total',
    '(',
    ')',
    ';\n',
    '  ',
    '.',
    '"',
    'f',
    '\n',
    'def ',
    ':',
    '{',
    '}',
    ',',
  ] as const;
  for (let run = 0; run < 300; run++) {
    const typed = new Typed(Array.from({ length: 40 }, () => pick(pieces)).join(''));
    for (let i = 0; i < 12; i++) {
      const offset = int(typed.text.length);
      typed.replace(offset, int(Math.min(6, typed.text.length - offset)), pick([...pieces, '', 'x']));
      const { next } = typed;
      if (next) expect(typed.text.startsWith(next.from, next.offset)).toBe(true);
    }
    const length = typed.text.length;
    let n = 0;
    while (n < 100 && typed.accept()) n += 1;
    expect(n).toBeLessThan(100);
    expect(typed.text.length).toBeLessThan(length + 100 * 40);
  }
});
