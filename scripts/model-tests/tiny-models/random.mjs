// Random numbers that are the same everywhere: xoshiro128** (Blackman and Vigna, 2018) on 32-bit integers.

/** FNV-1a, 32 bits, of a text's UTF-16 code units. @param {string} text */
function hashText(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; ++i) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** @param {number} x */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** @param {number} x @param {number} n */
const rotate = (x, n) => (x << n) | (x >>> (32 - n));

/** A stream of its own for every name. */
export class Random {
  /** @type {[number, number, number, number]} */
  #state;

  /** @param {string} name */
  constructor(name) {
    const seed = hashText(name);
    const word = (/** @type {number} */ i) => mix((seed + Math.imul(i, 0x9e3779b9)) >>> 0);
    this.#state = [word(1), word(2), word(3), word(4) | 1]; // never all zero
  }

  /** 0 to 2^32 - 1 */
  bits() {
    let [a, b, c, d] = this.#state;
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    this.#state = [a, b, c, rotate(d, 11)];
    return result;
  }

  /** A whole number from `min` to `max`. @param {number} min @param {number} max */
  integer(min, max) {
    return min + (this.bits() % (max - min + 1));
  }

  /** Evenly distributed in [-1, 1), a multiple of 2^-23: exact in every float format that has 24 bits. */
  uniform() {
    return (this.bits() >>> 8) * 2 ** -23 - 1;
  }
}
