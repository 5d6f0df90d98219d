// Random data in every tensor type of GGUF. Any code is valid in these formats; only the scales decide how large the
// values are. Layouts: ggml-org/ggml, src/ggml-common.h.

/**
 * @typedef {import('./random.mjs').Random} Random
 * @typedef {object} BlockFormat
 * @property {number} id in the file
 * @property {number} nElements
 * @property {number} nBytes
 * @property {number} rms of the values of random codes where the scale is 1, measured
 * @property {(block: DataView, scale: number, random: Random) => void} write
 */

/** @param {number} value @returns {number} bits of the nearest f16, ties to even; small ones may be subnormal */
export function halfBits(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  if (exponent > 15) return sign | 0x7c00;
  // The significand with its leading 1, to be cut to 11 bits, or to fewer below 2^-14.
  const significand = (bits & 0x7fffff) | 0x800000;
  const cut = 13 + Math.max(0, -14 - exponent);
  if (cut > 24) return sign;
  const kept = significand >>> cut;
  const rest = significand & (2 ** cut - 1);
  const isUp = rest > 2 ** (cut - 1) || (rest === 2 ** (cut - 1) && kept % 2 === 1);
  const rounded = kept + (isUp ? 1 : 0);
  // The leading 1 of `rounded` adds one to the exponent field, as does a carry into it.
  return sign | (rounded + (Math.max(exponent, -14) + 14) * 1024);
}

/** @param {number} value @returns {number} bits of the nearest bf16, ties to even */
function bfloatBits(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** @param {DataView} block @param {number} from @param {number} to @param {Random} random */
function randomBytes(block, from, to, random) {
  for (let i = from; i < to; ++i) block.setUint8(i, random.bits() >>> 24);
}

/**
 * Codes that reach further down than up have scales of both signs, as quantizers give them; otherwise the values would
 * have a mean.
 * @param {BlockFormat} format
 * @returns {BlockFormat}
 */
function bothSigns(format) {
  return {
    ...format,
    write: (block, scale, random) => format.write(block, random.bits() >>> 31 === 1 ? -scale : scale, random),
  };
}

/**
 * @param {number} id
 * @param {number} nBytes
 * @param {(value: number) => number} bitsOf
 * @returns {BlockFormat}
 */
function plain(id, nBytes, bitsOf) {
  return {
    id,
    nElements: 1,
    nBytes,
    rms: 1 / Math.sqrt(3),
    write: (block, scale, random) => {
      const value = scale * random.uniform();
      if (nBytes === 4) block.setFloat32(0, value, true);
      else block.setUint16(0, bitsOf(Math.fround(value)), true);
    },
  };
}

/**
 * Random codes everywhere but in f16 scales.
 * @param {number} id
 * @param {number} nElements
 * @param {number} nBytes
 * @param {number} rms
 * @param {Record<number, number>} scales byte offset of each f16 scale, and its share of the block's scale
 * @returns {BlockFormat}
 */
function coded(id, nElements, nBytes, rms, scales) {
  return {
    id,
    nElements,
    nBytes,
    rms,
    write: (block, scale, random) => {
      randomBytes(block, 0, nBytes, random);
      for (const [offset, share] of Object.entries(scales))
        block.setUint16(Number(offset), halfBits(scale * share), true);
    },
  };
}

/** A multiplier and a minimum near to it, so that the values have about no mean. @param {Random} random @param {number} most */
function scaleAndMinimum(random, most) {
  const scale = random.integer(most >> 3, most);
  return { scale, minimum: Math.min(most, Math.max(0, scale + random.integer(-2, 2))) };
}

/** @param {number} id @param {number} nBytes @param {number} rms @param {number} centre of the codes @returns {BlockFormat} */
function kQuantWithMinima(id, nBytes, rms, centre) {
  return {
    ...coded(id, 256, nBytes, rms, { 0: 1, 2: centre }),
    write: (block, scale, random) => {
      randomBytes(block, 0, nBytes, random);
      block.setUint16(0, halfBits(scale), true);
      block.setUint16(2, halfBits(scale * centre), true);
      // Eight 6-bit scales and minima in 12 bytes: four whole ones each, the others split into 4 and 2 bits.
      const pairs = Array.from({ length: 8 }, () => scaleAndMinimum(random, 63));
      for (const [i, low] of pairs.slice(0, 4).entries()) {
        const high = /** @type {typeof low} */ (pairs[i + 4]);
        block.setUint8(4 + i, low.scale | ((high.scale >> 4) << 6));
        block.setUint8(8 + i, low.minimum | ((high.minimum >> 4) << 6));
        block.setUint8(12 + i, (high.scale & 15) | ((high.minimum & 15) << 4));
      }
    },
  };
}

/** @type {BlockFormat} */
const q2K = {
  ...coded(10, 256, 84, 10.6, {}),
  write: (block, scale, random) => {
    for (let i = 0; i < 16; ++i) {
      const { scale: s, minimum } = scaleAndMinimum(random, 15);
      block.setUint8(i, s | (minimum << 4));
    }
    randomBytes(block, 16, 80, random);
    block.setUint16(80, halfBits(scale), true);
    block.setUint16(82, halfBits(scale * 1.5), true);
  },
};

/** @type {BlockFormat} */
const q8 = {
  ...coded(8, 32, 34, 73.3, {}),
  write: (block, scale, random) => {
    block.setUint16(0, halfBits(scale), true);
    for (let i = 2; i < 34; ++i) block.setInt8(i, random.integer(-127, 127)); // no quantizer writes -128
  },
};

/** @type {BlockFormat} */
const iq1M = {
  ...coded(29, 256, 56, 7.2, {}),
  write: (block, scale, random) => {
    randomBytes(block, 0, 56, random);
    const half = halfBits(scale); // in the upper 4 bits of four words of scales
    for (let i = 0; i < 4; ++i) {
      const at = 48 + 2 * i;
      block.setUint16(at, (block.getUint16(at, true) & 0x0fff) | (((half >> (4 * i)) & 15) << 12), true);
    }
  },
};

/** @type {BlockFormat} */
const tq2 = {
  ...coded(35, 256, 66, 0.816, {}),
  write: (block, scale, random) => {
    // Codes are 0, 1 and 2.
    const code = () => random.integer(0, 2);
    for (let i = 0; i < 64; ++i) block.setUint8(i, code() | (code() << 2) | (code() << 4) | (code() << 6));
    block.setUint16(64, halfBits(scale), true);
  },
};

/** @type {BlockFormat} */
const mxfp4 = {
  ...coded(39, 32, 17, 3.6, {}),
  write: (block, scale, random) => {
    // A power of two at or below the scale, or half of it; E8M0 of 2^(e - 127), codes are up to 12 halves of that.
    let exponent = 127;
    for (; 2 ** (exponent - 127) > scale; --exponent);
    block.setUint8(0, exponent + 1 - random.integer(0, 1));
    randomBytes(block, 1, 17, random);
  },
};

export const tensorTypes = {
  f32: plain(0, 4, () => 0),
  f16: plain(1, 2, halfBits),
  bf16: plain(30, 2, bfloatBits),
  q4_0: bothSigns(coded(2, 32, 18, 4.64, { 0: 1 })),
  q4_1: coded(3, 32, 20, 4.61, { 0: 1, 2: -7.5 }),
  q5_0: bothSigns(coded(6, 32, 22, 9.25, { 0: 1 })),
  q5_1: coded(7, 32, 24, 9.23, { 0: 1, 2: -15.5 }),
  q8_0: q8,
  q2_K: q2K,
  q3_K: bothSigns(coded(11, 256, 110, 43.3, { 108: 1 })),
  q4_K: kQuantWithMinima(12, 144, 183, 7.5),
  q5_K: kQuantWithMinima(13, 176, 365, 15.5),
  q6_K: bothSigns(coded(14, 256, 210, 1365, { 208: 1 })),
  iq1_s: coded(19, 256, 50, 7.6, { 0: 1 }),
  iq1_m: iq1M,
  iq2_xxs: coded(16, 256, 66, 53, { 0: 1 }),
  iq2_xs: coded(17, 256, 74, 57, { 0: 1 }),
  iq2_s: coded(22, 256, 82, 57, { 0: 1 }),
  iq3_xxs: coded(18, 256, 98, 143, { 0: 1 }),
  iq3_s: coded(21, 256, 110, 145, { 0: 1 }),
  iq4_nl: bothSigns(coded(20, 32, 18, 70.3, { 0: 1 })),
  iq4_xs: bothSigns(coded(23, 256, 136, 1300, { 0: 1 })),
  mxfp4,
  tq1_0: coded(34, 256, 54, 0.816, { 52: 1 }),
  tq2_0: tq2,
};

/** @typedef {keyof typeof tensorTypes} TensorTypeName */

/**
 * Random data of a tensor whose last dimension is a multiple of the type's block.
 * @param {TensorTypeName} type
 * @param {number} nElements
 * @param {{ rms: number, mean: number }} size mean: for plain floats only
 * @param {Random} random
 * @returns {Uint8Array}
 */
export function randomTensor(type, nElements, { rms, mean }, random) {
  const format = tensorTypes[type];
  if (type === 'f32') {
    const scale = rms / format.rms;
    return new Uint8Array(Float32Array.from({ length: nElements }, () => mean + scale * random.uniform()).buffer);
  }
  const bytes = new Uint8Array((nElements / format.nElements) * format.nBytes);
  for (let at = 0; at < bytes.length; at += format.nBytes) {
    // Blocks differ in scale, so that taking the wrong one's is seen.
    const variation = format.nElements === 1 ? 1 : 1 + random.uniform() / 2;
    const block = new DataView(bytes.buffer, at, format.nBytes);
    format.write(block, (rms / format.rms) * variation, random);
  }
  return bytes;
}
