// A model file cut into several, as gguf-split does it: the first describes the model and holds no tensors.
const alignment = 32;

/** The offset behind a string. @param {Buffer} file @param {number} at */
const behindString = (file, at) => at + 8 + Number(file.readBigUInt64LE(at));
const scalarBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** @param {Buffer} file @param {number} at @param {number} type @returns {number} */
function behindValue(file, at, type) {
  if (type === 8) return behindString(file, at);
  if (type !== 9) return at + (scalarBytes[type] ?? 0);
  const element = file.readUInt32LE(at);
  const n = Number(file.readBigUInt64LE(at + 4));
  let end = at + 12;
  if (element !== 8) return end + n * (scalarBytes[element] ?? 0);
  for (let i = 0; i < n; i++) end = behindString(file, end);
  return end;
}

/** @param {bigint[]} numbers */
function u64(...numbers) {
  const bytes = Buffer.alloc(8 * numbers.length);
  for (const [i, n] of numbers.entries()) bytes.writeBigUInt64LE(n, 8 * i);
  return bytes;
}

/** @param {string} key @param {number} type @param {Buffer} value */
function entry(key, type, value) {
  const id = Buffer.alloc(4);
  id.writeUInt32LE(type);
  return Buffer.concat([u64(BigInt(key.length)), Buffer.from(key), id, value]);
}

/** @param {string} key @param {number} n as gguf-split writes it, in 16 bits */
function u16Entry(key, n) {
  const value = Buffer.alloc(2);
  value.writeUInt16LE(n);
  return entry(key, 2, value);
}

/** @param {string} key @param {number} n */
function i32Entry(key, n) {
  const value = Buffer.alloc(4);
  value.writeInt32LE(n);
  return entry(key, 5, value);
}

/**
 * @param {Buffer} file a whole GGUF file, version 3, aligned to 32 bytes
 * @param {number} count
 * @returns {Buffer[]}
 */
export function splitModel(file, count) {
  const nTensors = Number(file.readBigUInt64LE(8));
  const nMetadata = Number(file.readBigUInt64LE(16));
  let at = 24;
  for (let i = 0; i < nMetadata; i++) {
    const type = behindString(file, at);
    at = behindValue(file, type + 4, file.readUInt32LE(type));
  }
  const metadata = file.subarray(24, at);
  const infos = [];
  for (let i = 0; i < nTensors; i++) {
    const begin = at;
    at = behindString(file, at);
    at += 4 + 8 * file.readUInt32LE(at) + 4;
    infos.push({ head: file.subarray(begin, at), offset: Number(file.readBigUInt64LE(at)) });
    at += 8;
  }
  const data = Math.ceil(at / alignment) * alignment;
  const ends = [...infos.slice(1).map(({ offset }) => offset), file.length - data];
  const perPart = Math.ceil(nTensors / (count - 1));
  return Array.from({ length: count }, (_, no) => {
    const own = no === 0 ? [] : infos.slice((no - 1) * perPart, no * perPart);
    const first = own[0]?.offset ?? 0;
    const last = own.length > 0 ? (ends[infos.indexOf(/** @type {typeof infos[0]} */ (own.at(-1)))] ?? 0) : 0;
    const split = [u16Entry('split.no', no), u16Entry('split.count', count), i32Entry('split.tensors.count', nTensors)];
    const head = Buffer.concat([
      file.subarray(0, 8),
      u64(BigInt(own.length), BigInt(no === 0 ? nMetadata + 3 : 3)),
      ...(no === 0 ? [metadata] : []),
      ...split,
      ...own.flatMap((info) => [info.head, u64(BigInt(info.offset - first))]),
    ]);
    const padding = Buffer.alloc(Math.ceil(head.length / alignment) * alignment - head.length);
    return Buffer.concat([head, padding, file.subarray(data + first, data + last)]);
  });
}
