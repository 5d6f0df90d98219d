import { describe, expect, it } from 'vitest';
import { ancestors, baseName, dirName, extensionOf, invalidPathReason, joinPath, shownName } from './paths.ts';

describe('paths', () => {
  it('splits and joins around the root', () => {
    expect(baseName('src/a.ts')).toBe('a.ts');
    expect(dirName('src/a.ts')).toBe('src');
    expect(dirName('a.ts')).toBe('');
    expect(joinPath('', 'a.ts')).toBe('a.ts');
    expect(joinPath('src/x', 'a.ts')).toBe('src/x/a.ts');
  });

  it('shows what would turn a name around, or break it, as a mark of its own', () => {
    expect(shownName('a\u202egpj.exe')).toBe('a\ufffdgpj.exe');
    expect(shownName('a\u2067b\nc\td')).toBe('a\ufffdb\ufffdc\ufffdd');
    const others = 'grüße 日本 שלום 👩‍💻 می‌خواهم.ts';
    expect(shownName(others)).toBe(others);
  });

  it('lists ancestors outermost first', () => {
    expect(ancestors('a/b/c.ts')).toEqual(['a', 'a/b']);
    expect(ancestors('c.ts')).toEqual([]);
  });

  it('finds an extension, but not in a dot file', () => {
    expect(extensionOf('src/App.TSX')).toBe('tsx');
    expect(extensionOf('.gitignore')).toBe('');
    expect(extensionOf('v1.0/Makefile')).toBe('');
  });

  it.each(['', '  ', '/a', 'a/', 'a//b', '../a', 'a/./b', 'a\\b', 'a\nb', 'x'.repeat(256)])(
    'refuses %j as a name',
    (name) => {
      expect(invalidPathReason(name)).not.toBeNull();
    },
  );

  it.each(['a.ts', 'src/new file.ts', '..a', 'é/文件.md'])('accepts %j as a name', (name) => {
    expect(invalidPathReason(name)).toBeNull();
  });
});
