import { describe, expect, it } from 'vitest';
import { disagreements, measureAgreement, noiseOf, unclearPrompts } from './agreement.mjs';

/** @typedef {import('./agreement.mjs').TopTokens} TopTokens */

const nListed = 40;
const noise = 0.1;

/** Normally distributed numbers, the same ones for the same seed. @param {number} seed */
function gaussian(seed) {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/**
 * A distribution whose log-probabilities fall by 0.5 per token, with the noise of an implementation.
 * @param {() => number} random
 * @returns {TopTokens}
 */
function noisyTop(random) {
  return Array.from({ length: nListed }, (_, id) => {
    const gap = id === 0 ? 0 : 1; // a clear first
    return /** @type {[number, number]} */ ([id, Math.exp(-1 - gap - 0.5 * id + noise * random())]);
  }).sort((a, b) => b[1] - a[1]);
}

/** Thirty prompts in four configurations, and another implementation with the same noise. */
function comparablePrompts() {
  const random = gaussian(1);
  return Array.from({ length: 30 }, (_, i) => ({
    id: `prompt-${i}`,
    reference: Array.from({ length: 4 }, () => noisyTop(random)),
    ours: noisyTop(random),
  }));
}

/** @param {(top: TopTokens, i: number) => TopTokens} change of our distribution of prompt i */
function disagreementsAfter(change) {
  const prompts = comparablePrompts().map((prompt, i) => ({ ...prompt, ours: change(prompt.ours, i) }));
  return disagreements(measureAgreement(prompts));
}

describe('agreement', () => {
  it('finds the noise between configurations and accepts an implementation with the same', () => {
    const measured = measureAgreement(comparablePrompts());
    expect(measured.sigma).toBeCloseTo(noise, 2);
    expect(measured.rms).toBeGreaterThan(0.9);
    expect(measured.rms).toBeLessThan(1.1);
    expect(measured.nDeviations).toBe(600);
    expect(disagreements(measured)).toEqual([]);
  });

  it('catches a distribution that is shifted a little everywhere', () => {
    const found = disagreementsAfter((top) => top.map(([id, p], i) => [id, p * Math.exp(i % 2 === 0 ? 0.2 : -0.2)]));
    expect(found).toEqual([expect.stringContaining("of the reference's noise; at most 1.5")]);
  });

  it('catches a distribution that is too flat', () => {
    expect(disagreementsAfter((top) => top.map(([id, p]) => [id, p ** 0.9]))).not.toEqual([]);
  });

  it('catches one probability that is off', () => {
    const found = disagreementsAfter((top, i) => (i === 7 ? top.map(([id, p]) => [id, id === 3 ? p / 2.5 : p]) : top));
    expect(found).toEqual([expect.stringMatching(/^prompt prompt-7, token 3: .* standard deviations away/)]);
  });

  it('catches another top-1 token, however small the difference', () => {
    const found = disagreementsAfter((top, i) => {
      const [first = [0, 1], second = [1, 1], ...rest] = top;
      return i === 4 ? [second, first, ...rest] : top;
    });
    expect(found).toEqual(['prompt prompt-4: another top-1 token']);
  });

  it('catches a token that is missing, and an empty answer', () => {
    expect(disagreementsAfter((top, i) => (i === 2 ? top.filter(([id]) => id !== 5) : top))).toContainEqual(
      expect.stringContaining('prompt prompt-2, token 5: Infinity'),
    );
    expect(disagreementsAfter(() => []).length).toBe(32);
  });

  it('catches that nothing was compared, or that a probability is no number', () => {
    expect(disagreements(measureAgreement([]))).not.toEqual([]);
    expect(disagreementsAfter((top) => top.map(([id]) => [id, Number.NaN]))).not.toEqual([]);
  });

  it('measures by the noise of more prompts where it is given', () => {
    const [prompt] = comparablePrompts();
    const compared = prompt === undefined ? [] : [prompt];
    const { rms } = measureAgreement(compared, { sigma: noise });
    expect(measureAgreement(compared, { sigma: noise / 2 }).rms).toBeCloseTo(2 * rms, 6);
  });
});

describe('choice of prompts', () => {
  const prompts = comparablePrompts();

  /** @param {(top: TopTokens, configuration: number) => TopTokens} change of the first prompt's reference */
  function unclearAfter(change) {
    return unclearPrompts(prompts.map((p, i) => (i === 0 ? { ...p, reference: p.reference.map(change) } : p)));
  }

  it('takes those whose first token leads clearly in every configuration', () => {
    expect(noiseOf(prompts)).toBeCloseTo(noise, 2);
    expect(unclearAfter((top) => top)).toEqual([]);
  });

  it('refuses a lead within the noise in one configuration', () => {
    const found = unclearAfter((top, c) =>
      c === 2 ? top.map(([id, p], i) => [id, i === 0 ? (top[1]?.[1] ?? 0) * 1.2 : p]) : top,
    );
    expect(found).toEqual([expect.stringContaining('prompt prompt-0: leads of')]);
  });

  it('refuses a prompt whose configurations disagree', () => {
    const found = unclearAfter((top, c) =>
      c === 1 ? top.map(([id, p]) => [id === 0 ? 1 : id === 1 ? 0 : id, p]) : top,
    );
    expect(found.length).toBe(1);
  });
});
