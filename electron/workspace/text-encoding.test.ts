import { expect, it } from 'vitest';
import { decodeText, detectEol, encodeText } from './text-encoding.ts';
import { foreignCharacter } from './windows-1252.ts';

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
  ['bytes that are not UTF-8, with a control', '61 e9 07 62'],
  ['a sequence that is not UTF-8 after its mark', 'efbbbf 61 e9'],
  ['NUL', '61 00 62'],
  ['NUL after a mark', 'efbbbf 00'],
  ['UTF-16 with half a character', 'fffe 6100 62'],
  ['UTF-16 with half a pair at the end', 'fffe 3dd8'],
  ['UTF-16 with the second half of a pair alone', 'feff de00 0061'],
  ['UTF-16 with NUL', 'fffe 0000'],
  ['UTF-32, whose mark begins like that of UTF-16', 'fffe0000 61000000'],
  ['UTF-16 without a mark', '6100 6200'],
])('refuses %s', (_name, bytes) => {
  expect(decodeText(hex(bytes))).toBeNull();
});

it('reads what is not UTF-8 as Windows-1252, and gives back every byte', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).filter((byte) =>
    byte >= 0x20 ? byte !== 0x7f : [9, 10, 11, 12, 13, 27].includes(byte),
  );
  const decoded = decodeText(all);
  expect(decoded?.encoding).toBe('windows1252');
  expect(decoded?.text).toContain('€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ\u00a0¡');
  expect(foreignCharacter(decoded?.text ?? '')).toBeNull();
  expect(encodeText(decoded?.text ?? '', 'windows1252')).toEqual(Buffer.from(all));
  expect(decodeText(hex('63 61 66 e9'))).toEqual({ text: 'café', encoding: 'windows1252' });
  // Bytes that look like UTF-8 and are not.
  for (const bytes of ['ff', '61 f09f98', 'c0 80', 'ed a0 80', 'fe']) {
    const text = decodeText(hex(bytes))?.text ?? '';
    expect(encodeText(text, 'windows1252'), bytes).toEqual(hex(bytes));
  }
});

it('names the first character that Windows-1252 does not have', () => {
  expect(foreignCharacter('a“b”→c😀')).toBe('→');
  expect(foreignCharacter('😀')).toBe('😀');
  expect(foreignCharacter('\ud83d')).toBe('\ud83d');
  expect(foreignCharacter('\u0080')).toBe('\u0080'); // the number is that of €'s byte, the character is another
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
