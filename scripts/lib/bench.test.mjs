import { expect, it } from 'vitest';
import { bestOfPeer, bestSettings, comparePairs, median, readCounts } from './bench.mjs';

it('takes the middle, or the mean of the two in the middle', () => {
  expect(median([3, 1, 10])).toBe(3);
  expect(median([4, 1, 2, 10])).toBe(3);
  expect(median([])).toBeNaN();
});

it('reads whole numbers from 1, and names what is none', () => {
  expect(readCounts({ threads: '2' }, { nPairs: 5 })).toEqual({ nPairs: 5, nThreads: 2 });
  for (const pairs of ['0', '1.5', 'x']) expect(() => readCounts({ pairs }, { nPairs: 5 })).toThrow('--pairs');
});

it('gives the peer its best setting for each figure', () => {
  const off = { flashAttention: false, prefill: [50, 60, 70], decode: [20, 20, 20] };
  const on = { flashAttention: true, prefill: [55, 55, 90], decode: [10, 22, 23] };
  const build = { 'node-llama-cpp': '', 'llama.cpp': '', buildType: '', systemInfo: '' };
  const bench = { loadMs: 5, firstTokenMs: 7, results: [off, on], peakBytes: 0, baseBytes: 0, build };
  expect(bestOfPeer(bench)).toEqual({ loadMs: 5, firstTokenMs: 7, prefill: 60, decode: 22 });
  expect(bestSettings(bench)).toEqual([false, true]);
  expect(bestSettings({ ...bench, results: [on] })).toEqual([true]);
});

it('compares pair by pair, so that a slow moment of the machine cancels out', () => {
  const pairs = [
    {
      ours: { loadMs: 10, firstTokenMs: 30, prefill: 100, decode: 30 },
      peer: { loadMs: 20, firstTokenMs: 60, prefill: 50, decode: 30 },
    },
    {
      ours: { loadMs: 20, firstTokenMs: 30, prefill: 10, decode: 3 },
      peer: { loadMs: 20, firstTokenMs: 90, prefill: 5, decode: 2 },
    },
  ];
  const [load, firstToken, prefill, decode] = comparePairs(pairs);
  expect(load?.ratio).toEqual({ median: 1.5, min: 1, max: 2 });
  expect(firstToken?.ratio).toEqual({ median: 2.5, min: 2, max: 3 });
  expect(prefill?.ratio).toEqual({ median: 2, min: 2, max: 2 });
  expect(decode?.ratio).toEqual({ median: 1.25, min: 1, max: 1.5 });
  expect(decode?.bestRatio).toBe(1);
  expect(load?.bestRatio).toBe(2);
  expect(prefill?.ours).toEqual({ median: 55, min: 10, max: 100 });
});
