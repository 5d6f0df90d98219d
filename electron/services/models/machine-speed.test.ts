import { expect, it } from 'vitest';
import { type ModelFacts, predictTokensPerSecond } from '../../common/model-facts.ts';
import { learned } from './machine-speed.ts';

const facts = (readPerToken: Record<string, number>) => ({ readPerToken, kvElementsPerToken: 0 }) as ModelFacts;
const guess = { bytesPerSecond: {}, other: 20e9, overheadSeconds: 0.0005 };

it('predicts what was measured, by tensor type', () => {
  const q4 = facts({ q4_K: 4e9 });
  const once = learned(guess, q4, 3);
  expect(predictTokensPerSecond(q4, once)).toBeCloseTo(3, 1);
  const twice = learned(once, facts({ q8_0: 4e9 }), 6);
  expect(predictTokensPerSecond(q4, twice)).toBeCloseTo(3, 1);
  expect(predictTokensPerSecond(facts({ q8_0: 4e9 }), twice)).toBeCloseTo(6, 1);
});

it('comes closer to a machine that changed, and forgets a single odd reply', () => {
  const q4 = facts({ q4_K: 4e9 });
  let speed = learned(guess, q4, 4);
  speed = learned(speed, q4, 2);
  expect(predictTokensPerSecond(q4, speed)).toBeGreaterThan(2.5);
  for (let i = 0; i < 10; i++) speed = learned(speed, q4, 2);
  expect(predictTokensPerSecond(q4, speed)).toBeCloseTo(2, 1);
});

it('learns nothing about large models from a tiny one', () => {
  expect(learned(guess, facts({ q8_0: 1e6 }), 40)).toEqual(guess);
});
