// Vocabulary-only GGUF files, written for tests.

const types = { uint32: 4, float32: 6, bool: 7, string: 8, array: 9 };
const elementTypes = { uint8: 0, int32: 5, float32: 6, string: 8 };

/**
 * @typedef {string | boolean | number | { float: number }} Scalar numbers are written as uint32
 * @typedef {{ strings: string[] } | { int32s: number[] } | { floats: number[] } | { bytes: Uint8Array }} List
 */

/** @param {Record<string, Scalar | List>} metadata @returns {Buffer} a file of version 3 without tensors */
export function vocabularyFile(metadata) {
  const entries = Object.entries(metadata);
  const parts = [Buffer.from('GGUF'), uint32(3), uint64(0), uint64(entries.length)];
  for (const [key, value] of entries) parts.push(text(key), encoded(value));
  return Buffer.concat(parts);
}

/**
 * The file with another pre-tokenizer: what llama.cpp does with any of them on a vocabulary that there is.
 * @param {Buffer} file
 * @param {string} name
 */
export function withPreTokenizer(file, name) {
  const key = Buffer.from('tokenizer.ggml.pre');
  const type = file.indexOf(key) + key.length;
  const length = Number(file.readBigUInt64LE(type + 4));
  return Buffer.concat([file.subarray(0, type + 4), text(name), file.subarray(type + 12 + length)]);
}

/** @param {Scalar | List} value */
function encoded(value) {
  if (typeof value === 'string') return Buffer.concat([uint32(types.string), text(value)]);
  if (typeof value === 'boolean') return Buffer.concat([uint32(types.bool), Buffer.from([value ? 1 : 0])]);
  if (typeof value === 'number') return Buffer.concat([uint32(types.uint32), uint32(value)]);
  if ('float' in value) return Buffer.concat([uint32(types.float32), Buffer.from(Float32Array.of(value.float).buffer)]);
  if ('strings' in value) return list(elementTypes.string, value.strings.length, value.strings.map(text));
  if ('bytes' in value) return list(elementTypes.uint8, value.bytes.length, [Buffer.from(value.bytes)]);
  if ('floats' in value)
    return list(elementTypes.float32, value.floats.length, [Buffer.from(Float32Array.from(value.floats).buffer)]);
  return list(elementTypes.int32, value.int32s.length, [Buffer.from(Int32Array.from(value.int32s).buffer)]);
}

/** @param {number} elementType @param {number} n @param {Buffer[]} parts */
function list(elementType, n, parts) {
  return Buffer.concat([uint32(types.array), uint32(elementType), uint64(n), ...parts]);
}

/** @param {string} value */
function text(value) {
  return Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
}

/** @param {number} value */
function uint32(value) {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

/** @param {number} value */
function uint64(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

/**
 * SentencePiece's precompiled_charsmap: a double array of the sequences (see native/tokenizer/charsmap.h), then the
 * replacements.
 * @param {Record<string, string>} replacements by sequence
 * @returns {Uint8Array}
 */
export function charsmap(replacements) {
  /** @typedef {{ children: Map<number, Node>, value?: number }} Node */
  /** @type {Node} */
  const root = { children: new Map() };
  let texts = Buffer.alloc(0);
  for (const [sequence, replacement] of Object.entries(replacements)) {
    let node = root;
    for (const byte of Buffer.from(sequence)) {
      const next = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, next);
      node = next;
    }
    node.value = texts.length;
    texts = Buffer.concat([texts, Buffer.from(replacement), Buffer.from([0])]);
  }

  const units = new Uint32Array(1 << 14);
  const isTaken = new Uint8Array(units.length);
  isTaken[0] = 1;
  let nUsed = 1;
  /** @param {Node} node @param {number} at @param {number} label */
  const place = (node, at, label) => {
    const bytes = [...node.children.keys()];
    const slots = node.value === undefined ? bytes : [0, ...bytes];
    let base = 1;
    while (slots.some((byte) => isTaken[base ^ byte] === 1)) ++base;
    for (const byte of slots) {
      isTaken[base ^ byte] = 1;
      nUsed = Math.max(nUsed, (base ^ byte) + 1);
    }
    units[at] = (((at ^ base) << 10) | (node.value === undefined ? 0 : 1 << 8) | label) >>> 0;
    if (node.value !== undefined) units[base] = (node.value | (1 << 31)) >>> 0;
    for (const [byte, child] of node.children) place(child, base ^ byte, byte);
  };
  place(root, 0, 0);
  // Whole blocks: readers look for children at any of 256 places without asking whether the array goes on.
  const array = Buffer.from(units.slice(0, Math.ceil(nUsed / 256) * 256).buffer);
  return Buffer.concat([uint32(array.length), array, texts]);
}
