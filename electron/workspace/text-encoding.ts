// Bytes to text and back, without loss: what cannot be decoded exactly is refused, never replaced.
import type { WorkspaceFile } from '../common/workspace-contract.ts';
import { decodeWindows1252, encodeWindows1252 } from './windows-1252.ts';

type Encoding = WorkspaceFile['encoding'];

type Unicode = Exclude<Encoding, 'windows1252'>;

const boms: Record<Unicode, readonly number[]> = {
  utf8: [],
  utf8bom: [0xef, 0xbb, 0xbf],
  utf16le: [0xff, 0xfe],
  utf16be: [0xfe, 0xff],
};

const labels: Record<Unicode, string> = {
  utf8: 'utf-8',
  utf8bom: 'utf-8',
  utf16le: 'utf-16le',
  utf16be: 'utf-16be',
};

/** What no text has, and nearly every other file: controls that are neither white space nor an escape sequence. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const noText = /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]/;

function detect(bytes: Uint8Array): Unicode {
  const marked = (['utf8bom', 'utf16le', 'utf16be'] as const).find((encoding) =>
    boms[encoding].every((byte, i) => bytes[i] === byte),
  );
  return marked ?? 'utf8';
}

/**
 * Null if the bytes are not text: a NUL, a sequence that is not valid in the encoding its mark announces. Without a mark
 * it is UTF-8, or else Windows-1252.
 */
export function decodeText(bytes: Uint8Array): { text: string; encoding: Encoding } | null {
  const encoding = detect(bytes);
  try {
    const decoder = new TextDecoder(labels[encoding], { fatal: true, ignoreBOM: true });
    const text = decoder.decode(bytes.subarray(boms[encoding].length));
    return text.includes('\0') ? null : { text, encoding };
  } catch {
    if (encoding !== 'utf8') return null;
    const text = decodeWindows1252(bytes);
    return noText.test(text) ? null : { text, encoding: 'windows1252' };
  }
}

/**
 * UTF-16 in either byte order, UTF-8 with or without its mark; half of a surrogate pair becomes U+FFFD.
 * @pre for Windows-1252, it has all characters of the text
 */
export function encodeText(text: string, encoding: Encoding): Buffer {
  if (encoding === 'windows1252') return encodeWindows1252(text);
  const isWide = encoding === 'utf16le' || encoding === 'utf16be';
  const body = Buffer.from(text.toWellFormed(), isWide ? 'utf16le' : 'utf8');
  if (encoding === 'utf16be') body.swap16();
  return Buffer.concat([Buffer.from(boms[encoding]), body]);
}

export function detectEol(text: string): WorkspaceFile['eol'] {
  const nLf = text.split('\n').length - 1;
  if (nLf === 0) return 'none';
  const nCrlf = text.split('\r\n').length - 1;
  if (nCrlf === 0) return 'lf';
  return nCrlf === nLf ? 'crlf' : 'mixed';
}
