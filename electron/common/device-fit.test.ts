import { describe, expect, it } from 'vitest';
import { gpuKey, predictSharedMemory, predictSharedTokensPerSecond, speedOfGpu, waysToLoad } from './device-fit.ts';
import { needOnGpu, totalNeed } from './device-need.ts';
import { type MachineSpeed, predictMemory, predictTokensPerSecond } from './model-facts.ts';
import { pinnable } from './role-contract.ts';
import { tenLayers as facts, tenMixedLayers } from './testing/ten-layers.ts';

const question = { nCtx: 4096, kvBits: 16, draftBytes: 0.1e9 };
const kvOfLayer = 2 * 4096 * 1000 * 2;
const gpu = { id: 'cuda:0', freeBytes: 1e11, sharesMemory: false };
const plan = (...nLayers: number[]) => ({ nLayers, hasSlots: false });
const shared = (n: number, of = facts, asked = question) => {
  const { ram, gpus } = predictSharedMemory(of, asked, [gpu], plan(n));
  const [onGpu] = gpus;
  if (!onGpu) throw new Error('There is no GPU in it.');
  return { ram, gpu: onGpu };
};

describe('the memory of a model that devices share', () => {
  it('is that of the last layers and the head on the GPU, and of all else beside the processor', () => {
    const { ram, gpu } = shared(3);
    expect(gpu.weights).toBeCloseTo(3 * 0.9e9 + 0.45e9);
    expect(ram.weights).toBeCloseTo(7e9 + 0.2e9);
    expect([gpu.kv, ram.kv].map((bytes) => Math.round(bytes))).toEqual([3 * kvOfLayer, 7 * kvOfLayer]);
    expect([gpu.draft, ram.draft]).toEqual([0, 0.1e9]);
    expect(ram.workspace).toBe(predictMemory(facts, question).workspace);
    expect(gpu.total).toBeCloseTo(gpu.weights + gpu.kv + gpu.workspace);
  });

  it('has nothing of the weights beside the processor where the GPU has all layers', () => {
    const { ram, gpu } = shared(10);
    expect(ram).toMatchObject({ weights: 0, kv: 0, draft: 0 });
    expect(gpu.weights).toBeCloseTo(9e9 + 0.45e9 + 0.21e9);
    expect(gpu.draft).toBe(0.1e9);
    expect(shared(10, { ...facts, isTied: true }).gpu.weights).toBeCloseTo(9e9 + 0.45e9);
  });

  it('has room in the main memory alone where the GPU shares that', () => {
    const apart = shared(3);
    const { ram, gpus } = predictSharedMemory(facts, question, [{ ...gpu, sharesMemory: true }], plan(3));
    expect(gpus).toEqual([apart.gpu]);
    expect(ram.total).toBeCloseTo(apart.ram.total + apart.gpu.total);
    expect(ram.weights).toBeCloseTo(7e9 + 0.2e9 + 3 * 0.9e9 + 0.45e9);
    expect(ram.kv).toBeCloseTo(10 * kvOfLayer);
  });

  it('keeps keys and values in 16 bits, whatever the processor alone would do', () => {
    expect(shared(3, facts, { ...question, kvBits: 3.2 }).ram.kv).toBeCloseTo(7 * kvOfLayer);
  });

  it('is of several GPUs each one’s layers: the embeddings with the first, the head with the last', () => {
    const { ram, gpus } = predictSharedMemory(facts, question, [gpu, { ...gpu, id: 'cuda:1' }], plan(4, 6));
    expect(gpus.map(({ weights }) => weights)).toEqual([
      expect.closeTo(4 * 0.9e9 + 0.21e9),
      expect.closeTo(6 * 0.9e9 + 0.45e9),
    ]);
    expect(gpus.map(({ kv }) => Math.round(kv))).toEqual([4 * kvOfLayer, 6 * kvOfLayer]);
    // A draft model is beside the processor then.
    expect([ram.weights, ram.draft, ...gpus.map(({ draft }) => draft)]).toEqual([0, 0.1e9, 0, 0]);
    const beside = predictSharedMemory(facts, question, [gpu, { ...gpu, id: 'cuda:1' }], plan(2, 3));
    expect(beside.ram.weights).toBeCloseTo(5e9 + 0.2e9);
    expect(beside.gpus[0]?.weights).toBeCloseTo(2 * 0.9e9);
  });

  it('is of experts in slots what is left on the GPU, and all of them in the main memory besides', () => {
    const whole = shared(10, tenMixedLayers);
    const [slots, freeBytes] = [{ nLayers: [10], hasSlots: true }, 6e9];
    const { ram, gpus, pinnedBytes } = predictSharedMemory(tenMixedLayers, question, [{ ...gpu, freeBytes }], slots);
    expect(gpus[0]?.total).toBeCloseTo(freeBytes);
    expect(pinnedBytes).toBeCloseTo(8e9);
    expect(ram.total - whole.ram.total).toBeCloseTo(pinnedBytes);
    // Those of one token have room in any case.
    const least = predictSharedMemory(tenMixedLayers, question, [{ ...gpu, freeBytes: 0 }], slots);
    expect(whole.gpu.weights - (least.gpus[0]?.weights ?? 0)).toBeCloseTo(8e9 - 8e9 / 16);
    const room = predictSharedMemory(tenMixedLayers, question, [gpu], slots);
    expect(room).toMatchObject({ pinnedBytes: 0, pinnableBytes: 0, ram: whole.ram });
  });

  it('has an eighth more available than what is pinned, of what the GPUs before have left', () => {
    const slots = (...nLayers: number[]) => {
      const gpus = nLayers.map((_, i) => ({ ...gpu, id: `cuda:${i}`, freeBytes: 1e9 }));
      return predictSharedMemory(tenMixedLayers, question, gpus, { nLayers, hasSlots: true });
    };
    expect(slots(10).pinnableBytes).toBeCloseTo((8e9 * 8) / 7);
    // 7/8 of what is left beside the first one's 4.8 GB has to be 3.2 GB.
    expect(slots(6, 4)).toMatchObject({ pinnedBytes: 8e9, pinnableBytes: expect.closeTo(4.8e9 + (3.2e9 * 8) / 7) });
    // More than that has to be there for the first.
    expect(slots(9, 1).pinnableBytes).toBeCloseTo((7.2e9 * 8) / 7);
  });
});

describe('the ways to load a model', () => {
  const all = totalNeed(needOnGpu(facts, 4096)({ first: 0, end: 10 }, false)) + question.draftBytes;

  it('are all numbers of layers that fit, the most first, by what each device has then', () => {
    const ways = waysToLoad(facts, question, [{ ...gpu, freeBytes: all }]);
    const expected = [10, 9, 1].map((n) => shared(n)).map(({ ram, gpu }) => ({ cpu: ram.total, 'cuda:0': gpu.total }));
    expect([ways[0], ways[1], ways[9]]).toEqual(expected);
    expect(ways).toHaveLength(10);
    expect(waysToLoad(facts, question, [{ ...gpu, freeBytes: all - 1 }])[0]).toEqual(expected[1]);
    expect(waysToLoad(facts, question, [{ ...gpu, freeBytes: 1e9 }])).toEqual([]);
  });

  it('are one for layers that are set, and for several GPUs', () => {
    expect(waysToLoad(facts, question, [{ ...gpu, freeBytes: 1 }], 9)).toEqual([
      { cpu: shared(9).ram.total, 'cuda:0': shared(9).gpu.total },
    ]);
    const two = waysToLoad(facts, question, [gpu, { ...gpu, id: 'cuda:1' }]);
    expect(two.map((way) => Object.keys(way).sort())).toEqual([['cpu', 'cuda:0', 'cuda:1']]);
  });

  it('are with slots for all that has room, or for one token, with the same in the main memory', () => {
    const ways = waysToLoad(tenMixedLayers, question, [{ ...gpu, freeBytes: 6e9 }], 10);
    expect(ways).toHaveLength(2);
    expect(ways[0]?.['cuda:0']).toBeCloseTo(6e9);
    expect(ways[1]?.['cuda:0']).toBeLessThan(6e9);
    expect(ways[0]?.cpu).toBe(ways[1]?.cpu);
    expect(ways.map((way) => way[pinnable])).toEqual([(8e9 * 8) / 7, (8e9 * 8) / 7]);
    const room = waysToLoad(tenMixedLayers, question, [gpu], 10);
    expect(room.map((way) => Object.keys(way).sort())).toEqual([['cpu', 'cuda:0']]);
  });

  it('count the memory of a GPU that shares the main memory among that, and by itself', () => {
    const [way] = waysToLoad(facts, question, [{ id: 'metal:0', freeBytes: all, sharesMemory: true }]);
    expect(way?.cpu).toBeCloseTo(shared(10).ram.total + shared(10).gpu.total);
    expect(way?.['metal:0']).toBe(shared(10).gpu.total);
  });
});

describe('the speed of a model that two devices share', () => {
  const layer = { secondsPerLayer: 1e-4, kvBytesPerSecond: 10e9 };
  const gpu = { bytesPerSecond: { q4_K: 450e9 }, other: 1, layer: { secondsPerLayer: 1e-5, kvBytesPerSecond: 1e12 } };
  const speed: MachineSpeed = {
    bytesPerSecond: { q4_K: 20e9 },
    other: 1,
    layer,
    overheadSeconds: 0.001,
    gpus: { 'cuda:0 A GPU': gpu },
  };

  it('is the time of each part after the other', () => {
    // 7 GB at 20 GB/s; 3.5 GB, which are 3.15 GB there, at 450 GB/s; and what layers and the context take.
    const context = 4000 * 10_000 * 2;
    const seconds = 0.001 + 0.35 + 0.007 + 7e-4 + 3e-5 + (0.7 * context) / 10e9 + (0.3 * context) / 1e12;
    expect(1 / predictSharedTokensPerSecond(facts, speed, [{ speed: gpu, nLayers: 3 }], 4000)).toBeCloseTo(seconds, 6);
  });

  it('grows with every layer, up to that of the GPU alone', () => {
    const rates = [1, 5, 9, 10].map((nLayers) =>
      predictSharedTokensPerSecond(facts, speed, [{ speed: gpu, nLayers }], 0),
    );
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    expect(rates[0]).toBeGreaterThan(predictTokensPerSecond(facts, speed, 0));
    expect(1 / (rates[3] ?? 0)).toBeCloseTo(0.001 + 9.45e9 / 450e9 + 1e-4, 6);
  });

  it('is that of each GPU after the other, where several have layers', () => {
    const slow = { ...gpu, bytesPerSecond: { q4_K: 90e9 } };
    const parts = [
      { speed: gpu, nLayers: 4 },
      { speed: slow, nLayers: 6 },
    ];
    // 3.6 GB at 450 GB/s, and then 5.4 and the head's 0.45 at 90; ten layers on either.
    const seconds = 0.001 + 3.6 / 450 + 5.85 / 90 + 1e-4;
    expect(1 / predictSharedTokensPerSecond(facts, speed, parts, 0)).toBeCloseTo(seconds, 6);
    expect(predictSharedTokensPerSecond(facts, speed, [], 0)).toBeCloseTo(predictTokensPerSecond(facts, speed, 0));
  });

  it('is a guess on a GPU that was not measured, also where another one was', () => {
    expect(gpuKey({ id: 'cuda:0', name: 'A GPU' })).toBe('cuda:0 A GPU');
    expect(speedOfGpu(speed, { id: 'cuda:0', name: 'A GPU' })).toBe(gpu);
    expect(speedOfGpu(speed, { id: 'cuda:0', name: 'Another' }).layer).toBeNull();
  });
});
