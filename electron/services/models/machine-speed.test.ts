import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ModelFacts, predictTokensPerSecond } from '../../common/model-facts.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import { learned, SpeedFile } from './machine-speed.ts';

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

describe('what the engine measured', () => {
  it('is taken for types that were not known, and for nothing that a reply taught', async () => {
    const path = join(await temporaryFolder(), 'machine-speed.json');
    const speed = new SpeedFile(path);
    speed.learn({ readPerToken: { q4_K: 1e9 } } as unknown as ModelFacts, 10);
    const { q4_K: learnedSpeed } = speed.current.bytesPerSecond;
    speed.measured({ q4_K: 1, q8_0: 9e9, f16: 30e9 });
    expect(speed.current.bytesPerSecond).toEqual({ q4_K: learnedSpeed, q8_0: 9e9, f16: 30e9 });
    // What nobody measured is like the middle of what was.
    expect(speed.current.other).toBe(learnedSpeed);
    expect(new SpeedFile(path).current).toEqual(speed.current);
  });
});
