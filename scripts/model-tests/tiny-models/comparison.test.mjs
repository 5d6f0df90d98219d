import { describe, expect, it } from 'vitest';
import { compareRows, referenceRows, roundingsOf } from './comparison.mjs';
import { Random } from './random.mjs';

const nVocab = 300;
const nRows = 8;
const noise = 0.01;

/** @param {Random} random sum of uniform numbers: about normal, variance 1 */
const gaussian = (random) => Array.from({ length: 12 }, () => random.uniform()).reduce((a, b) => a + b, 0) / 2;

const exact = Array.from({ length: nRows }, (_, row) => {
  const random = new Random(`exact/${row}`);
  return { where: `row ${row}`, logProbabilities: Array.from({ length: nVocab }, () => -6 + 2 * gaussian(random)) };
});

/** The same with the noise of an implementation. @param {string} seed */
function draw(seed) {
  const random = new Random(seed);
  return exact.map(({ where, logProbabilities }) => ({
    where,
    logProbabilities: logProbabilities.map((x) => x + noise * gaussian(random)),
  }));
}

const reference = referenceRows(exact, [draw('a'), draw('b'), draw('c')]);

/** @param {(logProbability: number, row: number, id: number) => number} change */
function problemsAfter(change) {
  const rows = draw('ours').map(({ where, logProbabilities }, row) => ({
    where,
    logProbabilities: logProbabilities.map((x, id) => change(x, row, id)),
  }));
  return compareRows(reference, rows).problems;
}

describe('comparison of tiny models', () => {
  it("measures the configurations' noise and accepts an implementation with the same", () => {
    for (const { sigma } of reference) expect(sigma).toBeCloseTo(noise, 3);
    const { rms, problems } = compareRows(reference, draw('ours'));
    expect(rms).toBeGreaterThan(0.9);
    expect(rms).toBeLessThan(1.1);
    expect(problems).toEqual([]);
  });

  it("shares the noise of the file's positions", () => {
    // Deviations of 2 at the first position, of 0 at the others.
    const off = exact.map(({ where, logProbabilities }, row) => ({
      where,
      logProbabilities: logProbabilities.map((x) => (row === 0 ? x + 2 : x)),
    }));
    const sigmas = referenceRows(exact, [off]).map(({ sigma }) => sigma);
    expect(sigmas[0]).toBeCloseTo(Math.sqrt((4 + 4 / nRows) / 2), 9);
    expect(sigmas[1]).toBeCloseTo(Math.sqrt(4 / nRows / 2), 9);
  });

  it('catches small deviations everywhere', () => {
    expect(problemsAfter((x, _row, id) => x + (id % 4 < 2 ? 1 : -1) * 1.5 * noise)).toContainEqual(
      expect.stringContaining('all: deviations of'),
    );
  });

  it('catches one position that is off', () => {
    const problems = problemsAfter((x, row, id) => (row === 3 ? x + (id % 4 < 2 ? 1 : -1) * 3 * noise : x));
    expect(problems).toContainEqual(expect.stringMatching(/^row 3: deviations of 3\.\d sigma/));
  });

  it('catches one token that is off', () => {
    const problems = problemsAfter((x, row, id) => (row === 5 && id === 60 ? x + 9 * noise : x));
    expect(problems).toEqual([expect.stringMatching(/^row 5: one of/)]);
  });

  it('catches another most probable token among those that are not recorded', () => {
    const id = Array.from({ length: nVocab }, (_, i) => i).find((i) => i % 6 !== 0 && i !== reference[2]?.top.id) ?? 0;
    expect(problemsAfter((x, row, at) => (row === 2 && at === id ? 0 : x))).toEqual([
      'row 2: another most probable token',
    ]);
  });

  it('catches what is no number or missing', () => {
    expect(problemsAfter((x, row) => (row === 1 ? Number.NaN : x))).not.toEqual([]);
    expect(compareRows(reference, []).problems).not.toEqual([]);
    expect(compareRows([], []).problems).not.toEqual([]);
  });
});

it('tells roundings from a smooth change', () => {
  const random = new Random('roundings');
  const sweep = [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((step) =>
    exact.map(({ where, logProbabilities }, row) => ({
      where,
      logProbabilities: logProbabilities.map(
        (x, id) => x + 0.3 * step + 0.01 * id * step * step + (row === 0 ? noise * gaussian(random) : 0),
      ),
    })),
  );
  const [first = 0, ...others] = roundingsOf(sweep);
  expect(Math.sqrt(first)).toBeCloseTo(noise, 3);
  for (const square of others) expect(square).toBeLessThan(1e-20);
});
