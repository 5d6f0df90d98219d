import { expect, test } from 'vitest';
import { Later } from './later.ts';

test('loads once, and knows what it loaded', async () => {
  let nLoads = 0;
  const later = new Later(async () => ++nLoads);
  expect(later.loaded).toBe(null);
  expect(await Promise.all([later.load(), later.load()])).toEqual([1, 1]);
  expect(later.loaded).toBe(1);
  expect(await later.load()).toBe(1);
});

test('a failure reaches everybody who asked, and the next one tries again', async () => {
  let nLoads = 0;
  const later = new Later(async () => {
    if (++nLoads === 1) throw new Error('torn');
    return nLoads;
  });
  const both = await Promise.allSettled([later.load(), later.load()]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(later.loaded).toBe(null);
  expect(await later.load()).toBe(2);
});
