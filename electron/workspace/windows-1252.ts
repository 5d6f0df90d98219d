// Windows-1252, the encoding of texts from before UTF-8 in western Europe, as https://encoding.spec.whatwg.org has it:
// every byte is a character, and so every file comes back byte for byte. ISO 8859-1 is a part of it for all printable
// characters. Not left to TextDecoder: some versions of Node read it as ISO 8859-1.

/** The characters of 0x80 to 0x9f; all others have the number of their byte. */
const upper =
  '\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f' +
  '\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178';

const bytes = new Map([...upper].map((character, i) => [character, 0x80 + i]));

function byteOf(character: string): number | undefined {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x80 || (code >= 0xa0 && code <= 0xff) ? code : bytes.get(character);
}

export function decodeWindows1252(encoded: Uint8Array): string {
  const text = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength).toString('latin1');
  return text.replace(/[\u0080-\u009f]/g, (character) => upper[character.charCodeAt(0) - 0x80] ?? character);
}

/** @pre there is no `foreignCharacter` in the text */
export function encodeWindows1252(text: string): Buffer {
  return Buffer.from(Array.from(text, (character) => byteOf(character) ?? 0x3f));
}

/** The first character that the encoding does not have; null if it has all. */
export function foreignCharacter(text: string): string | null {
  for (const [character] of text.matchAll(/[^\0-\x7f\xa0-\xff]/gu)) {
    if (byteOf(character) === undefined) return character;
  }
  return null;
}
