import { describe, expect, it } from 'vitest';
import { expertsOfToken, needOnGpu, totalNeed } from './device-need.ts';
import { planLayers } from './layer-plan.ts';
import type { ModelFacts } from './model-facts.ts';
import { tenLayers, tenMixedLayers } from './testing/ten-layers.ts';

const question = { nCtx: 4096, kvBits: 16, draftBytes: 0 };
const gpu = (freeBytes: number, more: { id?: string; sharesMemory?: boolean } = {}) => ({
  id: 'cuda:0',
  freeBytes,
  sharesMemory: false,
  ...more,
});
const takes = (facts: ModelFacts, first: number, end: number, hasProcessor = true) =>
  totalNeed(needOnGpu(facts, question.nCtx)({ first, end }, hasProcessor));

describe('the layers that a GPU gets', () => {
  const plan = (freeBytes: number) => planLayers(tenLayers, question, [gpu(freeBytes)]);

  it('are as many of the last as fit', () => {
    const four = takes(tenLayers, 6, 10);
    expect(plan(four)).toEqual({ nLayers: [4], hasSlots: false });
    expect(plan(four - 1)).toEqual({ nLayers: [3], hasSlots: false });
    expect(plan(1e9)).toBeNull();
    const all = takes(tenLayers, 0, 10, false);
    expect(plan(all)).toEqual({ nLayers: [10], hasSlots: false });
    expect(plan(all - 1)).toEqual({ nLayers: [9], hasSlots: false });
  });

  it('are fewer than all where a draft model has no room beside them', () => {
    const all = takes(tenLayers, 0, 10, false);
    const withDraft = { ...question, draftBytes: 1e8 };
    expect(planLayers(tenLayers, withDraft, [gpu(all)])?.nLayers).toEqual([9]);
    expect(planLayers(tenLayers, withDraft, [gpu(all + 1e8)])?.nLayers).toEqual([10]);
  });

  it('are those that it is to have, whether or not they fit', () => {
    expect(planLayers(tenLayers, question, [gpu(1e9)], 7)).toEqual({ nLayers: [7], hasSlots: false });
    expect(planLayers(tenLayers, question, [gpu(1e9)], 99)).toEqual({ nLayers: [10], hasSlots: false });
  });
});

describe('the layers that several GPUs share', () => {
  const two = (a: number, b: number) => [gpu(a), gpu(b, { id: 'cuda:1' })];

  it('make them equally full, where all have room', () => {
    expect(planLayers(tenLayers, question, two(2e10, 2e10))).toEqual({ nLayers: [5, 5], hasSlots: false });
    const [first = 0, second = 0] = planLayers(tenLayers, question, two(3e10, 1e10))?.nLayers ?? [];
    expect(first + second).toBe(10);
    expect(first).toBeGreaterThan(6);
    const fullness = takes(tenLayers, 0, first, false) / 3e10 - takes(tenLayers, first, 10, false) / 1e10;
    expect(Math.abs(fullness)).toBeLessThan(0.12); // a layer is a tenth of the smaller one
  });

  it('are all only if every part has room', () => {
    const [five, others] = [takes(tenLayers, 0, 5, false), takes(tenLayers, 5, 10, false)];
    expect(planLayers(tenLayers, question, two(five, others))?.nLayers).toEqual([5, 5]);
    const fewer = planLayers(tenLayers, question, two(five - 1, others))?.nLayers ?? [];
    expect(fewer.reduce((sum, n) => sum + n, 0)).toBeLessThan(10);
  });

  it('are otherwise as many as fit on each from the last one on, and the processor has the first', () => {
    const rooms = two(takes(tenLayers, 4, 6), takes(tenLayers, 6, 10));
    expect(planLayers(tenLayers, question, rooms)).toEqual({ nLayers: [2, 4], hasSlots: false });
    expect(planLayers(tenLayers, question, two(1e9, 2e10))).toBeNull();
    const short = { ...tenLayers, layers: tenLayers.layers.slice(0, 1) };
    expect(planLayers(short, question, two(9e10, 9e10))).toBeNull();
  });
});

describe('experts', () => {
  const least = (first: number, end: number, hasProcessor: boolean) => {
    const need = needOnGpu(tenMixedLayers, question.nCtx)({ first, end }, hasProcessor);
    return totalNeed(need) - need.experts + expertsOfToken(tenMixedLayers, need.experts);
  };

  it('are all on the GPU where one layer with all of its experts has room, as the engine would have it', () => {
    const plan = planLayers(tenMixedLayers, question, [gpu(takes(tenMixedLayers, 9, 10))]);
    expect(plan).toEqual({ nLayers: [1], hasSlots: false });
  });

  it('have slots where not even that has room, in as many layers as have room for those of one token', () => {
    const room = takes(tenMixedLayers, 9, 10) - 1;
    const plan = planLayers(tenMixedLayers, question, [gpu(room)]);
    const n = plan?.nLayers[0] ?? 0;
    expect(plan).toEqual({ nLayers: [n], hasSlots: true });
    expect(least(10 - n, 10, true)).toBeLessThanOrEqual(room);
    expect(least(9 - n, 10, true)).toBeGreaterThan(room);
    expect(planLayers(tenMixedLayers, question, [gpu(5e8)])).toBeNull();
  });

  it('have slots in layers that a GPU is to have and has no room for', () => {
    const all = takes(tenMixedLayers, 0, 10, false);
    expect(planLayers(tenMixedLayers, question, [gpu(all)], 10)).toEqual({ nLayers: [10], hasSlots: false });
    expect(planLayers(tenMixedLayers, question, [gpu(all - 1)], 10)).toEqual({ nLayers: [10], hasSlots: true });
  });

  it('never have slots in memory that is the processor’s too', () => {
    const shared = [gpu(takes(tenMixedLayers, 9, 10) - 1, { sharesMemory: true })];
    expect(planLayers(tenMixedLayers, question, shared)).toBeNull();
    expect(planLayers(tenMixedLayers, question, shared, 10)).toEqual({ nLayers: [10], hasSlots: false });
  });
});
