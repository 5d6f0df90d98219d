// The head of a GGUF file: its metadata and the list of its tensors, from the first bytes of a file that may be on
// another machine. The engine reads whole files by itself (native/gguf/); this is what can be known before one is here.
// The bytes are untrusted: every length is compared with what is there before it is used.
import { createHash } from 'node:crypto';
import { appError } from '../../common/app-error.ts';

/** Reads bytes that are there; fewer only at the end of the file. */
export type ReadBytes = (offset: number, bytes: number) => Promise<Uint8Array>;

export interface GgufTensor {
  name: string;
  /** Outermost first, as everywhere in Outpost. */
  shape: readonly number[];
  type: string;
  bytes: number;
}

export interface GgufHeader {
  /** Numbers, texts and truths; of arrays only how long they are. */
  values: ReadonlyMap<string, string | number | boolean>;
  arrayLengths: ReadonlyMap<string, number>;
  /** Of `tokenizer.ggml.tokens` those that look special, for what can be filled in. */
  specialTokens: readonly string[];
  /** A hash of the kind of tokenizer, of all tokens and of their kinds. */
  vocabulary: string;
  tensors: readonly GgufTensor[];
  /** Where the tensors' bytes begin. */
  dataOffset: number;
  /** The least length of a file with these tensors. */
  fileBytes: number;
}

const firstBytes = 1 << 20;
/** The largest known header, of a vocabulary of 260,000 tokens, has 12 MB. */
const mostHeaderBytes = 96 << 20;
const mostEntries = 1 << 20;
const mostKeptText = 1 << 20;
const mostSpecialTokens = 4096;

/** Name, elements and bytes of a block by the type's number (kernels/common/tensor_type.cpp). */
const tensorTypes: Readonly<Record<number, readonly [name: string, elements: number, bytes: number]>> = {
  0: ['f32', 1, 4],
  1: ['f16', 1, 2],
  2: ['q4_0', 32, 18],
  3: ['q4_1', 32, 20],
  6: ['q5_0', 32, 22],
  7: ['q5_1', 32, 24],
  8: ['q8_0', 32, 34],
  9: ['q8_1', 32, 36],
  10: ['q2_K', 256, 84],
  11: ['q3_K', 256, 110],
  12: ['q4_K', 256, 144],
  13: ['q5_K', 256, 176],
  14: ['q6_K', 256, 210],
  15: ['q8_K', 256, 292],
  16: ['iq2_xxs', 256, 66],
  17: ['iq2_xs', 256, 74],
  18: ['iq3_xxs', 256, 98],
  19: ['iq1_s', 256, 50],
  20: ['iq4_nl', 32, 18],
  21: ['iq3_s', 256, 110],
  22: ['iq2_s', 256, 82],
  23: ['iq4_xs', 256, 136],
  24: ['i8', 1, 1],
  25: ['i16', 1, 2],
  26: ['i32', 1, 4],
  27: ['i64', 1, 8],
  28: ['f64', 1, 8],
  29: ['iq1_m', 256, 56],
  30: ['bf16', 1, 2],
  34: ['tq1_0', 256, 54],
  35: ['tq2_0', 256, 66],
  39: ['mxfp4', 32, 17],
};

/** More bytes are needed than were given. */
class ShortError extends Error {}

/**
 * @param what names the file in errors
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED, and what `read` throws
 */
export async function readGgufHeader(read: ReadBytes, what: string): Promise<GgufHeader> {
  let bytes: Uint8Array = new Uint8Array();
  for (let wanted = firstBytes; ; wanted *= 2) {
    const more = await read(bytes.length, wanted - bytes.length);
    const isEnd = more.length < wanted - bytes.length;
    bytes = bytes.length === 0 ? more : Buffer.concat([bytes, more]);
    try {
      return new HeaderParser(bytes, what).parse();
    } catch (error) {
      if (!(error instanceof ShortError)) throw error;
      if (isEnd) throw invalid(what, 'it ends within its header: it is cut off');
      if (wanted >= mostHeaderBytes) throw invalid(what, `its header is longer than ${mostHeaderBytes} bytes`);
    }
  }
}

function invalid(what: string, why: string) {
  return appError('MODEL_INVALID', `${what} is not a usable model: ${why}.`, { hint: 'Choose another file.' });
}

class HeaderParser {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;
  readonly #values = new Map<string, string | number | boolean>();
  readonly #arrayLengths = new Map<string, number>();
  readonly #specialTokens: string[] = [];
  /** Where in the head the arrays are that make up the vocabulary. */
  readonly #arrayBytes = new Map<string, Uint8Array>();

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  parse(): GgufHeader {
    if (this.#text(4) !== 'GGUF') throw invalid(this.#what, 'it does not begin as a GGUF file');
    const version = this.#u32();
    if (version !== 2 && version !== 3) {
      throw appError('MODEL_UNSUPPORTED', `${this.#what} is GGUF of version ${version}; 2 and 3 can be read.`);
    }
    const nTensors = this.#count('tensors');
    const nValues = this.#count('metadata entries');
    for (let i = 0; i < nValues; i++) this.#entry();
    const found = Array.from({ length: nTensors }, () => this.#tensor());
    const alignment = this.#values.get('general.alignment') ?? 32;
    if (typeof alignment !== 'number' || alignment < 8 || alignment % 8 !== 0 || alignment > 1 << 20) {
      throw invalid(this.#what, `its alignment is ${alignment}`);
    }
    const dataOffset = Math.ceil(this.#at / alignment) * alignment;
    const ends = found.map(({ offset, tensor }) => dataOffset + offset + tensor.bytes);
    return {
      values: this.#values,
      arrayLengths: this.#arrayLengths,
      specialTokens: this.#specialTokens,
      vocabulary: this.#vocabulary(),
      tensors: found.map(({ tensor }) => tensor),
      dataOffset,
      fileBytes: ends.reduce((most, end) => Math.max(most, end), dataOffset),
    };
  }

  #vocabulary(): string {
    const hash = createHash('sha256').update(String(this.#values.get('tokenizer.ggml.model')));
    for (const name of ['tokens', 'token_type']) {
      const bytes = this.#arrayBytes.get(`tokenizer.ggml.${name}`);
      hash.update(`\n${name} ${bytes?.length ?? 0}\n`).update(bytes ?? '');
    }
    return hash.digest('hex').slice(0, 32);
  }

  #entry(): void {
    const key = this.#string(65_535, 'a key');
    if (this.#values.has(key) || this.#arrayLengths.has(key)) throw invalid(this.#what, `"${key}" appears twice`);
    const type = this.#u32();
    if (type !== 9) {
      const value = this.#value(type, key);
      if (value !== null) this.#values.set(key, value);
      return;
    }
    const elementType = this.#u32();
    const n = this.#u64();
    this.#arrayLengths.set(key, n);
    const begin = this.#at;
    this.#skipArray(key, elementType, n);
    this.#arrayBytes.set(key, this.#bytes.subarray(begin, this.#at));
  }

  #skipArray(key: string, elementType: number, n: number): void {
    if (elementType === 8) {
      for (let i = 0; i < n; i++) {
        const bytes = this.#u64();
        const isToken =
          key === 'tokenizer.ggml.tokens' && bytes <= 64 && this.#specialTokens.length < mostSpecialTokens;
        if (!isToken) this.#skip(bytes);
        else {
          const text = this.#text(bytes);
          if (/^[▁]?[<[].*[>\]]$/.test(text) && !/^<0x[0-9A-F]{2}>$/.test(text)) this.#specialTokens.push(text);
        }
      }
      return;
    }
    const size = scalarBytes[elementType];
    if (size === undefined) throw invalid(this.#what, `"${key}" is an array of the unknown type ${elementType}`);
    this.#skip(n * size);
  }

  /** @returns null for a text that is too long to be kept */
  #value(type: number, key: string): string | number | boolean | null {
    switch (type) {
      case 0:
        return this.#number(1, (at) => this.#view.getUint8(at));
      case 1:
        return this.#number(1, (at) => this.#view.getInt8(at));
      case 2:
        return this.#number(2, (at) => this.#view.getUint16(at, true));
      case 3:
        return this.#number(2, (at) => this.#view.getInt16(at, true));
      case 4:
        return this.#u32();
      case 5:
        return this.#number(4, (at) => this.#view.getInt32(at, true));
      case 6:
        return this.#number(4, (at) => this.#view.getFloat32(at, true));
      case 7:
        return this.#number(1, (at) => this.#view.getUint8(at)) !== 0;
      case 8: {
        const bytes = this.#u64();
        if (bytes <= mostKeptText) return this.#text(bytes);
        this.#skip(bytes);
        return null;
      }
      case 10:
        return this.#u64();
      case 11:
        return this.#number(8, (at) => Number(this.#view.getBigInt64(at, true)));
      case 12:
        return this.#number(8, (at) => this.#view.getFloat64(at, true));
      default:
        throw invalid(this.#what, `"${key}" has the unknown type ${type}`);
    }
  }

  #tensor(): { tensor: GgufTensor; offset: number } {
    const name = this.#string(64, 'a tensor name');
    const nDims = this.#u32();
    if (nDims < 1 || nDims > 4) throw invalid(this.#what, `tensor "${name}" has ${nDims} dimensions`);
    const shape = Array.from({ length: nDims }, () => this.#u64()).reverse();
    const typeId = this.#u32();
    const offset = this.#u64();
    const type = tensorTypes[typeId];
    if (type === undefined) {
      throw appError('MODEL_UNSUPPORTED', `${this.#what}: tensor "${name}" has the unknown type ${typeId}.`, {
        hint: 'Choose a file with other tensor types.',
      });
    }
    const [typeName, blockElements, blockBytes] = type;
    const nElements = shape.reduce((product, n) => product * n, 1);
    if (nElements === 0 || nElements > Number.MAX_SAFE_INTEGER / 16 || (shape.at(-1) ?? 0) % blockElements !== 0) {
      throw invalid(this.#what, `tensor "${name}" of type ${typeName} has the shape [${shape.join(', ')}]`);
    }
    return { tensor: { name, shape, type: typeName, bytes: (nElements / blockElements) * blockBytes }, offset };
  }

  /** Each takes at least 13 bytes, which bounds what a hostile count can cost. */
  #count(of: string): number {
    const n = this.#u64();
    if (n > mostEntries) throw invalid(this.#what, `it claims ${n} ${of}`);
    return n;
  }

  #string(mostBytes: number, what: string): string {
    const bytes = this.#u64();
    if (bytes === 0 || bytes > mostBytes) throw invalid(this.#what, `${what} has ${bytes} bytes`);
    return this.#text(bytes);
  }

  #text(bytes: number): string {
    const at = this.#at;
    this.#skip(bytes);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + at, bytes).toString('utf8');
  }

  #u32(): number {
    return this.#number(4, (at) => this.#view.getUint32(at, true));
  }

  #u64(): number {
    const value = this.#number(8, (at) => Number(this.#view.getBigUint64(at, true)));
    if (value > Number.MAX_SAFE_INTEGER) throw invalid(this.#what, `it holds the number ${value}`);
    return value;
  }

  #number(bytes: number, get: (at: number) => number): number {
    const at = this.#at;
    this.#skip(bytes);
    return get(at);
  }

  #skip(bytes: number): void {
    if (this.#at + bytes > this.#bytes.length) throw new ShortError();
    this.#at += bytes;
  }
}

const scalarBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
