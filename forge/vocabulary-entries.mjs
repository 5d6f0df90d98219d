// The metadata of a GGUF file (version 3, little-endian) as it lies there, to be copied into another one.
import { SetupError } from '../scripts/lib/process.mjs';

/** Bytes of each type of value, by its number (ggml-org/ggml, docs/gguf.md); strings and arrays have none. */
const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const stringType = 8;
const arrayType = 9;

/** @param {Buffer} file @returns {{ key: string, bytes: Uint8Array }[]} bytes: key, type and value */
export function metadataEntries(file) {
  if (file.toString('latin1', 0, 4) !== 'GGUF' || file.readUInt32LE(4) !== 3)
    throw new SetupError('This vocabulary is no GGUF file of version 3.');
  const nEntries = Number(file.readBigUInt64LE(16));
  let at = 24;
  const size = () => {
    const value = Number(file.readBigUInt64LE(at));
    at += 8;
    return value;
  };
  const skipString = () => {
    const n = size();
    at += n;
  };
  /** @param {number} type */
  const skipValue = (type) => {
    if (type === stringType) return skipString();
    if (type !== arrayType) {
      at += sizes[type] ?? Infinity;
      return;
    }
    const elementType = file.readUInt32LE(at);
    at += 4;
    for (let n = size(); n > 0; --n) skipValue(elementType);
  };
  const entries = [];
  for (let i = 0; i < nEntries; ++i) {
    const start = at;
    const n = size();
    const key = file.toString('utf8', at, at + n);
    at += n;
    const type = file.readUInt32LE(at);
    at += 4;
    skipValue(type);
    if (at > file.length) throw new SetupError(`The vocabulary's file ends inside of ${key}.`);
    entries.push({ key, bytes: file.subarray(start, at) });
  }
  return entries;
}
