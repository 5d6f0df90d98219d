import { describe, expect, it } from 'vitest';
import { restoreLineEndings } from './line-endings.ts';

/** What the editor would return for `text`: one kind of line ending. */
const normalized = (text: string) => text.replace(/\r\n|\r/g, '\n');

describe('restoreLineEndings', () => {
  it.each(['a\r\nb\nc', 'a\rb\nc\r\n', '', '\n', '\r\n\n\r', 'one line'])(
    'gives %j back when nothing was edited',
    (text) => {
      expect(restoreLineEndings(text, normalized(text))).toBe(text);
    },
  );

  it('keeps the endings around an edited line', () => {
    expect(restoreLineEndings('a\r\nb\nc\r\nd\n', 'a\nB\nc\nd\n')).toBe('a\r\nB\r\nc\r\nd\n');
  });

  it('keeps endings between two edits', () => {
    expect(restoreLineEndings('a\nkeep\r\nb\nz', 'A\nkeep\nB\nz')).toBe('A\nkeep\r\nB\r\nz');
  });

  it('gives inserted lines the ending of the line before', () => {
    expect(restoreLineEndings('a\r\nb\n', 'a\nnew\nb\n')).toBe('a\r\nnew\r\nb\n');
  });

  it('ends a line that used to be the last one', () => {
    expect(restoreLineEndings('a\r\nb', 'a\nb\nc')).toBe('a\r\nb\r\nc');
  });

  it('never changes the text of a line', () => {
    const original = 'x\r\ny\nx\r\ny\nx\n';
    const edited = 'y\nx\nx\ny\ny\nx';
    expect(normalized(restoreLineEndings(original, edited))).toBe(edited);
  });
});
