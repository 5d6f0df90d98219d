import { expect, it } from 'vitest';
import { SignatureIndex, signatureOf, similarity } from './near-duplicates.mjs';

/** @param {number} from @param {number} to */
const words = (from, to) => Array.from({ length: to - from }, (_, i) => `word${from + i}`).join(' ');

/** The definition: shared five-grams of words over all of both. @param {string} a @param {string} b */
function jaccard(a, b) {
  const [left, right] = [a, b].map((text) => {
    const list = text.split(' ');
    return new Set(list.slice(0, -4).map((_, i) => list.slice(i, i + 5).join(' ')));
  });
  const nShared = [...(left ?? [])].filter((gram) => right?.has(gram)).length;
  return nShared / ((left?.size ?? 0) + (right?.size ?? 0) - nShared);
}

it('estimates the share of common five-grams', () => {
  const base = words(0, 2000);
  for (const shift of [0, 100, 400, 1000, 2000]) {
    const other = words(shift, 2000 + shift);
    // The standard deviation of 128 bins is at most 0.045; four of them.
    expect(Math.abs(similarity(signatureOf(base), signatureOf(other)) - jaccard(base, other))).toBeLessThan(0.18);
  }
});

it('takes a copy with a changed line for the same file, and another file for another', () => {
  const index = new SignatureIndex();
  expect(index.add(signatureOf(words(0, 1000)))).toBe(true);
  expect(index.add(signatureOf(words(0, 1000).replace('word500', 'changed')))).toBe(false);
  expect(index.add(signatureOf(words(0, 1000).replaceAll(' ', '\n  ')))).toBe(false); // blanks do not count
  expect(index.add(signatureOf(words(5000, 6000)))).toBe(true);
});

it('has a signature for texts of few words or none', () => {
  const index = new SignatureIndex();
  expect(index.add(signatureOf('a b'))).toBe(true);
  expect(index.add(signatureOf('a b'))).toBe(false);
  expect(signatureOf('').length).toBe(128);
});
