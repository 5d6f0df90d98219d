import { expect, it } from 'vitest';
import { decodeText, detectEol, encodeText } from './text-encoding.ts';

const encodings = ['utf8', 'utf8bom', 'utf16le', 'utf16be'] as const;
const hex = (bytes: string) => Buffer.from(bytes.replaceAll(' ', ''), 'hex');

it.each(encodings)('gives back every text that it wrote as %s', (encoding) => {
  const texts = [
    '',
    'a',
    'ab\n',
    'ab\r\ncd\r',
    'ü€😀',
    '\u2028\u2029',
    '\uFEFF',
    'x\uFEFFy',
    '\uFFFD',
    '\uFFFF',
    'é'.normalize('NFD'),
  ];
  for (const text of texts) {
    // Without a mark, a text that starts with one is indistinguishable from a marked file.
    if (encoding === 'utf8' && text.startsWith('\uFEFF')) continue;
    expect(decodeText(encodeText(text, encoding)), JSON.stringify(text)).toEqual({ text, encoding });
  }
});

it.each(encodings)('can read every text again that it writes as %s, even halves of a pair', (encoding) => {
  for (const text of ['a\uD83D', '\uDE00b', '\uDE00\uD83D']) {
    expect(decodeText(encodeText(text, encoding))?.text).toBe(text.toWellFormed());
  }
});

it('writes the bytes of each encoding', () => {
  expect(encodeText('a😀', 'utf8')).toEqual(hex('61 f09f9880'));
  expect(encodeText('a😀', 'utf8bom')).toEqual(hex('efbbbf 61 f09f9880'));
  expect(encodeText('a😀', 'utf16le')).toEqual(hex('fffe 6100 3dd8 00de'));
  expect(encodeText('a😀', 'utf16be')).toEqual(hex('feff 0061 d83d de00'));
});

it.each([
  ['a byte that never occurs in UTF-8', 'ff'],
  ['Latin-1', '61 e9 62'],
  ['a sequence that is cut off', '61 f09f98'],
  ['a sequence that is longer than needed', 'c0 80'],
  ['a surrogate in UTF-8', 'ed a0 80'],
  ['NUL', '61 00 62'],
  ['NUL after a mark', 'efbbbf 00'],
  ['UTF-16 with half a character', 'fffe 6100 62'],
  ['UTF-16 with half a mark', 'fe'],
  ['UTF-16 with half a pair at the end', 'fffe 3dd8'],
  ['UTF-16 with the second half of a pair alone', 'feff de00 0061'],
  ['UTF-16 with NUL', 'fffe 0000'],
  ['UTF-32, whose mark begins like that of UTF-16', 'fffe0000 61000000'],
  ['UTF-16 without a mark', '6100 6200'],
])('refuses %s', (_name, bytes) => {
  expect(decodeText(hex(bytes))).toBeNull();
});

it('keeps a second byte order mark as text', () => {
  expect(decodeText(hex('efbbbf efbbbf 61'))).toEqual({ text: '\uFEFFa', encoding: 'utf8bom' });
});

it('knows the line endings', () => {
  expect(['', 'a', 'a\r', 'a\nb', 'a\r\nb\r\n', 'a\r\nb\n', '\n\r\n', '\n', '\r\n'].map(detectEol)).toEqual([
    'none',
    'none',
    'none',
    'lf',
    'crlf',
    'mixed',
    'mixed',
    'lf',
    'crlf',
  ]);
});
