import assert from 'node:assert/strict';
import test from 'node:test';
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

test('each language has its share, from whole packages that are neither tiny nor huge', () => {
  const chosen = names(1);
  assert.equal(chosen.filter((name) => name.startsWith('ts')).length, 3);
  assert.equal(chosen.filter((name) => name.startsWith('py')).length, 4); // the one that goes over is whole
  assert.ok(!chosen.includes('tiny') && !chosen.includes('huge'));
});

test('a seed chooses the same again, and another one others', () => {
  assert.deepEqual(names(1), names(1));
  assert.notDeepEqual(names(1), names(2));
});

test('what the manifest does not know is not taken', () => {
  assert.deepEqual(chooseSome(list, [], 10e6, 1), []);
});
