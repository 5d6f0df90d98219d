import { expect, it } from 'vitest';
import { PageDeaths } from './page-deaths.ts';

it('asks after three deaths within a minute, and counts anew then', () => {
  const deaths = new PageDeaths();
  const answers = [0, 10_000, 59_999, 60_001, 70_000, 70_001].map((ms) => deaths.isOneTooMany(ms));
  expect(answers).toEqual([false, false, true, false, false, true]);
});

it('forgets deaths that were long ago', () => {
  const deaths = new PageDeaths();
  expect([0, 50_000, 100_000, 150_000, 200_000].map((ms) => deaths.isOneTooMany(ms))).not.toContain(true);
});
