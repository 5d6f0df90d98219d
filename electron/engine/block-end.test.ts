// Where blocks that are filled in end.
import { describe, expect, it } from 'vitest';
import { blockEnd } from './block-end.ts';

const body = { prefix: 'function area() {\n  ', suffix: '\n}\n' };

/** What is left of a whole text. */
function cut(text: string, sides: { prefix: string; suffix: string }): string {
  const end = blockEnd(text, sides, true);
  return end === null ? text : text.slice(0, end);
}

describe('the end of a block', () => {
  it('is before the brackets that close it already', () => {
    expect(cut('a();\n  b();\n}\n\nc();', body)).toBe('a();\n  b();');
    expect(cut('if (a) {\n    b();\n  }\n}', body)).toBe('if (a) {\n    b();\n  }');
  });

  it('is before any line that is indented less, as in Python', () => {
    const sides = { prefix: 'def f(a):\n    ', suffix: '\n\nf(1)\n' };
    expect(cut('if a:\n        return 1\n    return 2\nprint(f(2))', sides)).toBe(
      'if a:\n        return 1\n    return 2',
    );
  });

  it('is before the line that stands behind it', () => {
    const sides = { prefix: '  {\n    ', suffix: '\n    c();\n  }' };
    expect(cut('a();\n    b();\n    c();\n    d();', sides)).toBe('a();\n    b();');
    expect(cut('a();\n    bc();', sides)).toBe('a();\n    bc();');
  });

  it('leaves nothing of a block that begins with that line', () => {
    expect(cut('c();\n    d();', { prefix: '  {\n    ', suffix: '\n    c();\n  }' })).toBe('');
  });

  it('takes a bracket that closes what the block has opened', () => {
    const sides = { prefix: 'f(\n  ', suffix: '\n  }\n);' };
    expect(cut('{\n    a: 1,\n  }', sides)).toBe('{\n    a: 1,\n  }');
    expect(cut('a: 1,\n  }', sides)).toBe('a: 1,');
  });

  it('takes the line that closes the block where nothing stands behind', () => {
    expect(cut('a();\n}\nb();', { prefix: 'f(() => {\n  ', suffix: '\n' })).toBe('a();\n}');
    expect(cut('a();\n});', { prefix: 'f(() => {\n  ', suffix: '' })).toBe('a();\n});');
    expect(cut('a();\nb();', { prefix: 'f(() => {\n  ', suffix: '' })).toBe('a();');
  });

  it('does not compare tabs with blanks, and knows none at the start of a line', () => {
    expect(cut('a();\n\tb();', { prefix: 'f() {\n    ', suffix: '\n}' })).toBe('a();\n\tb();');
    expect(cut('a,\nb,', { prefix: '[\n', suffix: '\n]' })).toBe('a,\nb,');
    expect(cut('a,\nb,\n]', { prefix: '[\n', suffix: '\n]' })).toBe('a,\nb,');
  });

  it('counts blank lines and line ends of Windows as nothing', () => {
    expect(cut('a();\r\n\r\n  b();\r\n}', { ...body, suffix: '\r\n}\r\n' })).toBe('a();\r\n\r\n  b();\r');
    expect(cut('a();\n  c();', { ...body, suffix: '\r\n\r\n  c();\r\n}\r\n' })).toBe('a();');
    expect(cut('a();\n  c();', { ...body, suffix: '\n  c();  \n}\n' })).toBe('a();');
  });
});

describe('a block that is still being said', () => {
  it('is over as soon as a line begins too early', () => {
    expect(blockEnd('a();\n', body, false)).toBeNull();
    expect(blockEnd('a();\n ', body, false)).toBeNull();
    expect(blockEnd('a();\n }', body, false)).toBe(4);
  });

  it('goes on while its last line may become another', () => {
    const sides = { prefix: '{\n  ', suffix: '\n  bb();' };
    expect(blockEnd('a();\n  bb();', sides, false)).toBeNull();
    expect(blockEnd('a();\n  bb();\n', sides, false)).toBe(4);
    expect(blockEnd('a();\n}', { prefix: '{\n  ', suffix: '' }, false)).toBeNull();
    expect(blockEnd('a();\n}\n', { prefix: '{\n  ', suffix: '' }, false)).toBe(6);
  });
});
