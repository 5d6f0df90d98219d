import { describe, expect, it } from 'vitest';
import { proposeText } from './propose-text.ts';
import { random } from './testing/random.ts';

const file = `import { a } from './a.ts';

/** Adds. */
export function add(x: number, y: number): number {
  return x + y;
}

export function sub(x: number, y: number): number {
  return x - y;
}

const kLimit = 10;
`;

const propose = (piece: string, text = file, cursorLine = 0) => proposeText(text, piece, 'typescript', cursorLine);

describe('where a piece of code goes', () => {
  it('is the whole of an empty file', () => {
    expect(propose('a\nb\n', '')).toEqual({ text: 'a\nb\n', how: 'whole' });
  });

  it('is the whole file when it repeats most of it', () => {
    const piece = file.replace('x + y', 'y + x').replace('kLimit = 10', 'kLimit = 20').trimEnd();
    expect(propose(piece)).toEqual({ text: `${piece}\n`, how: 'whole' });
  });

  it('is in place of the declaration of its name, and nowhere else', () => {
    const piece = 'export function sub(x: bigint, y: bigint): bigint {\n  // exact\n  return x - y;\n}\n';
    const { text, how } = propose(piece);
    expect(how).toBe('declaration');
    expect(text).toBe(file.replace('export function sub(x: number, y: number): number {\n  return x - y;\n}\n', piece));
  });

  it('puts a new declaration beside the known one, and new imports at the top', () => {
    const piece = `import { b } from './b.ts';\n\nexport function add(x: number): number {\n  return b(x);\n}\n\nexport function mul(x: number): number {\n  return x * x;\n}`;
    const { text } = propose(piece);
    expect(text.startsWith("import { b } from './b.ts';\nimport { a }")).toBe(true);
    expect(text).toContain('return b(x);');
    expect(text).toContain('export function mul');
    expect(text).toContain('export function sub(x: number, y: number)');
    expect(text).not.toContain('return x + y;');
    expect(text).toContain('const kLimit = 10;');
  });

  it('brings a new method after the one before it, into the class', () => {
    const old = 'class Q {\n  get size() {\n    return 1;\n  }\n}\nnew Q();\n';
    const piece = '  get size() {\n    return 1;\n  }\n\n  get isEmpty() {\n    return false;\n  }\n}';
    const { text } = propose(piece, old);
    expect(text).toBe(old.replace('  }\n}', '  }\n\n  get isEmpty() {\n    return false;\n  }\n}'));
  });

  it('is in place of a method, indented as the old one', () => {
    const python = 'class A:\n    def one(self):\n        return 1\n\n    def two(self):\n        return 2\n';
    const { text } = proposeText(python, 'def one(self):\n    return 11', 'python', 0);
    expect(text).toBe('class A:\n    def one(self):\n        return 11\n\n    def two(self):\n        return 2\n');
  });

  it('is between the lines that it shares with the file, and "..." keeps what is there', () => {
    const list = 'const a = 1;\nconst b = 2;\nconst c = 3;\nconst d = 4;\nconst e = 5;\n';
    expect(propose('const b = 2;\nconst b2 = 2.5;\nconst c = 3;', list)).toEqual({
      text: list.replace('const b = 2;\n', 'const b = 2;\nconst b2 = 2.5;\n'),
      how: 'lines',
    });
    expect(propose('const a = 1;\n// ... existing code ...\nconst d = 44;\nconst e = 5;', list).text).toContain(
      'const b = 2;\nconst c = 3;\n',
    );
  });

  it('is at the cursor if nothing in the file is like it', () => {
    expect(propose('something else', file, 2)).toEqual({
      text: file.replace('/** Adds. */', 'something else\n/** Adds. */'),
      how: 'cursor',
    });
  });

  it('keeps the line endings of the file', () => {
    const { text } = propose('export function sub() {\n  return 0;\n}', file.replaceAll('\n', '\r\n'));
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
  });
});

it('changes nothing when the file itself is proposed, and always ends', () => {
  const { int, pick } = random(5);
  for (let round = 0; round < 500; round++) {
    const line = () =>
      pick(['function a() {', '  x();', '}', '', '// ...', 'class B {', '  m() {', '  }', 'const z = 1;']);
    const text = `${Array.from({ length: 1 + int(20) }, line).join('\n')}\n`;
    const piece = Array.from({ length: 1 + int(8) }, line).join('\n');
    expect(proposeText(text, piece, 'typescript', int(20)).text).toBeTypeOf('string');
    if (!text.includes('...')) expect(proposeText(text, text, 'typescript', 0).text.trimEnd()).toBe(text.trimEnd());
  }
});
