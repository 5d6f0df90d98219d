import { describe, expect, it } from 'vitest';
import type { LoadedModel } from '../../../electron/common/role-contract.ts';
import { kFakeLoaded } from '../../testing/fake-engine.ts';
import { bytesInMemory, memoryParts } from './memory-parts.ts';

const model = (shares: LoadedModel['shares'], predictedBytes: number, draft = 0): LoadedModel => ({
  ...kFakeLoaded,
  predictedBytes,
  memory: { weights: 0, kvUsed: 0, kv: 0, draft, grown: 0 },
  shares,
});
const share = (device: string, weights: number, kv: number, bytes = weights + kv) => ({
  device,
  nLayer: 1,
  weights,
  kv,
  bytes,
});

describe('the memory that models have', () => {
  const split = model([share('cpu', 30, 3), share('metal:0', 50, 5)], 100, 2);

  it('is what each device has of it; the rest of what was expected is beside the processor', () => {
    expect(memoryParts([split], ['cpu'])).toEqual({ weights: 30, kv: 3, other: 65, draft: 2 });
    expect(memoryParts([split], ['metal:0'])).toEqual({ weights: 50, kv: 5, other: 0, draft: 0 });
  });

  it('is on a GPU also what it is expected to compute with, beside a draft model', () => {
    const alone = model([share('cuda:0', 50, 5, 70)], 0, 3);
    expect(memoryParts([alone], ['cuda:0'])).toEqual({ weights: 50, kv: 5, other: 12, draft: 3 });
    expect(memoryParts([alone], ['cpu'])).toEqual({ weights: 0, kv: 0, other: 0, draft: 0 });
  });

  it('is both together where a GPU shares the main memory', () => {
    expect(memoryParts([split], ['cpu', 'metal:0'])).toEqual({ weights: 80, kv: 8, other: 10, draft: 2 });
    const onGpu = model([share('metal:0', 70, 7)], 90, 3);
    expect(memoryParts([onGpu], ['metal:0'])).toEqual({ weights: 70, kv: 7, other: 0, draft: 3 });
    expect(memoryParts([split, onGpu], ['cpu', 'metal:0'])).toEqual({ weights: 150, kv: 15, other: 20, draft: 5 });
  });

  it('is nothing of a model that is not loaded', () => {
    expect(memoryParts([{ ...split, memory: null }], ['cpu'])).toEqual({ weights: 0, kv: 0, other: 0, draft: 0 });
  });
});

describe('all that a model has', () => {
  const memory = { weights: 80, kvUsed: 0, kv: 8, draft: 2, grown: 0 };

  it('is what is known of every device, and what was expected of the main memory besides', () => {
    const apart = { ...model([share('cpu', 30, 3), share('cuda:0', 50, 5)], 40), memory };
    expect(bytesInMemory(apart, [])).toBe(88 + (40 - 33));
    expect(bytesInMemory({ ...apart, memory: null }, [])).toBe(0);
  });

  it('counts the memory that a GPU shares once', () => {
    const shared = { ...model([share('cpu', 30, 3), share('metal:0', 50, 5)], 100), memory };
    expect(bytesInMemory(shared, ['metal:0'])).toBe(100);
  });
});
