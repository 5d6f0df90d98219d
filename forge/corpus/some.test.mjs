import { expect, it } from 'vitest';
import { chooseSome } from './some.mjs';

/** @param {string} name @param {string} language @param {number} bytes */
const entry = (name, language, bytes) =>
  /** @type {import('./build.mjs').ManifestEntry} */ (
    /** @type {unknown} */ ({ part: 'train', name, bytes, languages: { [language]: bytes, markdown: 10 } })
  );
const packages = [
  ...Array.from({ length: 40 }, (_, i) => entry(`ts-${i}`, 'typescript', 1e6)),
  ...Array.from({ length: 40 }, (_, i) => entry(`py-${i}`, 'python', 1e6)),
  entry('tiny', 'python', 1000),
  entry('huge', 'python', 20e6),
];
const list = packages.map(
  ({ name }) => /** @type {import('./package-files.mjs').ListedPackage} */ (/** @type {unknown} */ ({ name })),
);
const names = (/** @type {number} */ seed) => chooseSome(list, packages, 10e6, seed).map(({ name }) => name);

it('each language has its share, from whole packages that are neither tiny nor huge', () => {
  const chosen = names(1);
  expect(chosen.filter((name) => name.startsWith('ts'))).toHaveLength(3);
  expect(chosen.filter((name) => name.startsWith('py'))).toHaveLength(4); // the one that goes over is whole
  expect(chosen).not.toContain('tiny');
  expect(chosen).not.toContain('huge');
});

it('a seed chooses the same again, and another one others', () => {
  expect(names(1)).toEqual(names(1));
  expect(names(1)).not.toEqual(names(2));
});

it('what the manifest does not know is not taken', () => {
  expect(chooseSome(list, [], 10e6, 1)).toEqual([]);
});
