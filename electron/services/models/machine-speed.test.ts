import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ModelFacts, predictTokensPerSecond } from '../../common/model-facts.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import { learned, SpeedFile } from './machine-speed.ts';

const facts = (readPerToken: Record<string, number>) =>
  ({ readPerToken, nLayer: 20, kvElementsPerToken: 10_000 }) as ModelFacts;
const layer = { secondsPerLayer: 1e-3, kvBytesPerSecond: 1e9 };
const guess = { bytesPerSecond: {}, other: 20e9, layer, overheadSeconds: 0.0005, gpus: {} };

it('predicts what was measured, by tensor type', () => {
  const q4 = facts({ q4_K: 4e9 });
  const once = learned(guess, q4, 3, 0);
  expect(predictTokensPerSecond(q4, once, 0)).toBeCloseTo(3, 1);
  const twice = learned(once, facts({ q8_0: 4e9 }), 6, 0);
  expect(predictTokensPerSecond(q4, twice, 0)).toBeCloseTo(3, 1);
  expect(predictTokensPerSecond(facts({ q8_0: 4e9 }), twice, 0)).toBeCloseTo(6, 1);
});

it('counts what a token costs besides its weights, and does not learn that as the speed of weights', () => {
  const q4 = facts({ q4_K: 4e9 });
  const speed = { ...guess, bytesPerSecond: { q4_K: 40e9 } };
  // 0.1 s of weights, 0.02 s of layers, 0.02 s for each thousand positions before, and what is between two passes.
  expect(1 / predictTokensPerSecond(q4, speed, 0)).toBeCloseTo(0.1205);
  expect(1 / predictTokensPerSecond(q4, speed, 4000)).toBeCloseTo(0.2005);
  expect(learned(speed, q4, 1 / 0.2005, 4000).bytesPerSecond.q4_K).toBeCloseTo(40e9, -3);
});

it('measures layers again that were measured while something else ran', () => {
  const q4 = facts({ q4_K: 4e9 });
  const disturbed = { ...guess, layer: { ...layer, secondsPerLayer: 0.1 } };
  const speed = learned(disturbed, q4, 4, 0);
  expect(speed.layer).toBeNull();
  expect(predictTokensPerSecond(q4, speed, 0)).toBeCloseTo(4, 1);
});

it('comes closer to a machine that changed, and forgets a single odd reply', () => {
  const q4 = facts({ q4_K: 4e9 });
  let speed = learned(guess, q4, 4, 0);
  speed = learned(speed, q4, 2, 0);
  expect(predictTokensPerSecond(q4, speed, 0)).toBeGreaterThan(2.5);
  for (let i = 0; i < 10; i++) speed = learned(speed, q4, 2, 0);
  expect(predictTokensPerSecond(q4, speed, 0)).toBeCloseTo(2, 1);
});

it('learns nothing about large models from a tiny one', () => {
  expect(learned(guess, facts({ q8_0: 1e6 }), 40, 0)).toEqual(guess);
});

describe('what the engine measured', () => {
  it('is taken for types that were not known, and for nothing that a reply taught', async () => {
    const path = join(await temporaryFolder(), 'machine-speed.json');
    const speed = new SpeedFile(path);
    speed.learn(facts({ q4_K: 1e9 }), 10, 0);
    const { q4_K: learnedSpeed } = speed.current.bytesPerSecond;
    speed.measured({ weights: { q4_K: 1, q8_0: 9e9, f16: 30e9 }, layer });
    expect(speed.current.layer).toEqual(layer);
    expect(speed.current.bytesPerSecond).toEqual({ q4_K: learnedSpeed, q8_0: 9e9, f16: 30e9 });
    // What nobody measured is like the middle of what was.
    expect(speed.current.other).toBe(learnedSpeed);
    expect(new SpeedFile(path).current).toEqual(speed.current);
  });
});
