// Writes GGUF files, version 3 (ggml-org/ggml, docs/gguf.md).

const alignment = 32;
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 };

/** @typedef {{ name: string, shape: number[], typeId: number, bytes: Uint8Array }} GgufTensor shape: outermost first */

class ByteSink {
  /** @type {Uint8Array[]} */
  #parts = [];
  length = 0;

  /** @param {Uint8Array} bytes */
  bytes(bytes) {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }
  /** @param {number} n @param {(view: DataView) => void} write */
  #number(n, write) {
    const bytes = new Uint8Array(n);
    write(new DataView(bytes.buffer));
    this.bytes(bytes);
  }
  /** @param {number} value */
  uint32(value) {
    this.#number(4, (view) => view.setUint32(0, value, true));
  }
  /** @param {number} value */
  int32(value) {
    this.#number(4, (view) => view.setInt32(0, value, true));
  }
  /** @param {number} value */
  uint64(value) {
    this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  /** @param {number} value */
  float32(value) {
    this.#number(4, (view) => view.setFloat32(0, value, true));
  }
  /** @param {boolean} value */
  bool(value) {
    this.bytes(Uint8Array.of(value ? 1 : 0));
  }
  /** @param {string} text */
  string(text) {
    const bytes = new TextEncoder().encode(text);
    this.uint64(bytes.length);
    this.bytes(bytes);
  }
  pad() {
    const rest = this.length % alignment;
    if (rest > 0) this.bytes(new Uint8Array(alignment - rest));
  }
  /** @returns {Uint8Array} */
  joined() {
    return Buffer.concat(this.#parts);
  }
}

export class GgufWriter {
  #metadata = new ByteSink();
  #nMetadata = 0;
  /** @type {GgufTensor[]} */
  #tensors = [];

  /** @param {string} key @param {number} type */
  #key(key, type) {
    this.#metadata.string(key);
    this.#metadata.uint32(type);
    this.#nMetadata += 1;
  }
  /** @param {string} key @param {number} value */
  uint32(key, value) {
    this.#key(key, valueTypes.uint32);
    this.#metadata.uint32(value);
  }
  /** @param {string} key @param {number} value */
  float32(key, value) {
    this.#key(key, valueTypes.float32);
    this.#metadata.float32(value);
  }
  /** @param {string} key @param {boolean} value */
  bool(key, value) {
    this.#key(key, valueTypes.bool);
    this.#metadata.bool(value);
  }
  /** @param {string} key @param {string} value */
  string(key, value) {
    this.#key(key, valueTypes.string);
    this.#metadata.string(value);
  }
  /** @param {string} key @param {string[]} values */
  strings(key, values) {
    this.#array(key, valueTypes.string, values.length);
    for (const value of values) this.#metadata.string(value);
  }
  /** @param {string} key @param {number[]} values */
  float32s(key, values) {
    this.#array(key, valueTypes.float32, values.length);
    for (const value of values) this.#metadata.float32(value);
  }
  /** @param {string} key @param {number[]} values */
  int32s(key, values) {
    this.#array(key, valueTypes.int32, values.length);
    for (const value of values) this.#metadata.int32(value);
  }
  /** @param {string} key @param {number} type @param {number} n */
  #array(key, type, n) {
    this.#key(key, valueTypes.array);
    this.#metadata.uint32(type);
    this.#metadata.uint64(n);
  }
  /** Key, type and value as they lie in another file. @param {Uint8Array} bytes */
  entry(bytes) {
    this.#metadata.bytes(bytes);
    this.#nMetadata += 1;
  }
  /** @param {GgufTensor} tensor */
  tensor(tensor) {
    this.#tensors.push(tensor);
  }

  /** The file. */
  bytes() {
    const file = new ByteSink();
    file.bytes(new TextEncoder().encode('GGUF'));
    file.uint32(3);
    file.uint64(this.#tensors.length);
    file.uint64(this.#nMetadata);
    file.bytes(this.#metadata.joined());
    let offset = 0;
    for (const { name, shape, typeId, bytes } of this.#tensors) {
      file.string(name);
      file.uint32(shape.length);
      for (const n of shape.toReversed()) file.uint64(n);
      file.uint32(typeId);
      file.uint64(offset);
      offset += Math.ceil(bytes.length / alignment) * alignment;
    }
    for (const { bytes } of this.#tensors) {
      file.pad();
      file.bytes(bytes);
    }
    file.pad();
    return file.joined();
  }
}
