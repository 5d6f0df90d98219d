// Finds files that are nearly the same: MinHash of their words' five-grams with one permutation (Li, Owen and Zhang 2012),
// empty bins filled from their neighbours (Shrivastava and Li, arXiv:1406.4784), candidates from bands of the signature.

export const nBins = 128;
const bandRows = 8; // 16 bands of 8: pairs of similarity 0.7 are found with a probability of 0.6, of 0.85 with 0.99
const shingleWords = 5;
const emptyBin = 0xffffffff;

/**
 * @param {string} text
 * @returns {Uint32Array} [nBins] signature; equal bins of two of them estimate how many five-grams they share
 */
export function signatureOf(text) {
  const hashes = wordHashes(text);
  const bins = new Uint32Array(nBins).fill(emptyBin);
  const nShingles = Math.max(1, hashes.length - shingleWords + 1);
  for (let i = 0; i < nShingles; ++i) {
    let hash = 0x9e3779b9;
    for (let j = i; j < Math.min(hashes.length, i + shingleWords); ++j)
      hash = mix(hash ^ /** @type {number} */ (hashes[j]));
    const bin = hash >>> 25;
    const value = mix(hash) >>> 0;
    if (value < /** @type {number} */ (bins[bin])) bins[bin] = value;
  }
  return filled(bins);
}

/** Empty bins take the next full one's value, changed by its distance. @param {Uint32Array} bins */
function filled(bins) {
  const out = bins.slice();
  for (let i = 0; i < nBins; ++i) {
    for (let distance = 1; out[i] === emptyBin && distance < nBins; ++distance) {
      const value = /** @type {number} */ (bins[(i + distance) % nBins]);
      if (value !== emptyBin) out[i] = mix(value + distance) >>> 0;
    }
  }
  return out;
}

/** FNV-1a of each run of letters and digits, and of each other visible character. @param {string} text */
function wordHashes(text) {
  const hashes = [];
  let hash = 0;
  for (let i = 0; i <= text.length; ++i) {
    const code = i < text.length ? text.charCodeAt(i) : 32;
    const isWord =
      (code >= 48 && code <= 57) ||
      (code >= 65 && code <= 90) ||
      (code >= 97 && code <= 122) ||
      code === 95 ||
      code > 127;
    if (isWord) {
      hash = Math.imul((hash === 0 ? 0x811c9dc5 : hash) ^ code, 0x01000193);
      continue;
    }
    if (hash !== 0) hashes.push(hash);
    hash = 0;
    if (code > 32) hashes.push(Math.imul(code + 0x811c9dc5, 0x01000193));
  }
  return hashes;
}

/** @param {number} value */
function mix(value) {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The files kept so far, to compare others with. */
export class SignatureIndex {
  /** @type {Uint32Array[]} */
  #signatures = [];
  /** @type {Map<string, number[]>} */
  #bands = new Map();

  /** @param {number} threshold share of equal bins from which two files count as the same */
  constructor(threshold = 0.8) {
    this.threshold = threshold;
  }

  /** Adds the file unless one like it is there. @param {Uint32Array} signature @returns {boolean} whether it was added */
  add(signature) {
    const keys = bandKeys(signature);
    for (const key of keys)
      for (const i of this.#bands.get(key) ?? [])
        if (similarity(signature, /** @type {Uint32Array} */ (this.#signatures[i])) >= this.threshold) return false;
    const index = this.#signatures.push(signature) - 1;
    for (const key of keys) {
      const band = this.#bands.get(key);
      if (band === undefined) this.#bands.set(key, [index]);
      else if (band.length < 50) band.push(index); // a band that many share, of licences say, tells nothing
    }
    return true;
  }
}

/** @param {Uint32Array} signature */
function bandKeys(signature) {
  const keys = [];
  for (let at = 0; at < nBins; at += bandRows) keys.push(`${at}:${signature.subarray(at, at + bandRows).join()}`);
  return keys;
}

/** Estimates what share of their five-grams two files have in common. @param {Uint32Array} a @param {Uint32Array} b */
export function similarity(a, b) {
  let nEqual = 0;
  for (let i = 0; i < nBins; ++i) if (a[i] === b[i]) ++nEqual;
  return nEqual / nBins;
}
