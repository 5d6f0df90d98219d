// A part of the corpus, for a training that sees a few million tokens: whole packages, chosen arbitrarily.
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';

/** @typedef {import('./build.mjs').ManifestEntry} ManifestEntry */
/** @typedef {import('./package-files.mjs').ListedPackage} ListedPackage */

/** How much of the text is in packages that are mostly of a language: more of what is edited here than the corpus has. */
const languageShares = {
  typescript: 0.3,
  python: 0.32,
  javascript: 0.11,
  cpp: 0.12,
  rust: 0.07,
  go: 0.07,
  shell: 0.01,
};
/** Of a package: below, its names take more than its text; above, it would be much of a part. */
const leastBytes = 20e3;
const mostBytes = 8e6;

/**
 * @param {ListedPackage[]} list
 * @param {ManifestEntry[]} manifest says how large they are
 * @param {number} bytes about how many
 * @param {number} seed another one chooses other packages
 * @returns {ListedPackage[]} in an arbitrary order
 */
export function chooseSome(list, manifest, bytes, seed) {
  const entries = new Map(manifest.filter(({ part }) => part === 'train').map((entry) => [entry.name, entry]));
  /** @type {Record<string, number>} */
  const taken = {};
  return list
    .map((item) => ({ item, entry: entries.get(item.name), key: sha256(`${seed} ${item.name}`) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .flatMap(({ item, entry }) => {
      if (entry === undefined || entry.bytes < leastBytes || entry.bytes > mostBytes) return [];
      const [language = ''] = Object.entries(entry.languages).sort(([, a], [, b]) => b - a)[0] ?? [];
      const most = bytes * (languageShares[/** @type {keyof typeof languageShares} */ (language)] ?? 0);
      if ((taken[language] ?? 0) >= most) return [];
      taken[language] = (taken[language] ?? 0) + entry.bytes;
      return [item];
    });
}
