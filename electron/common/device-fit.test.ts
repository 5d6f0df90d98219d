import { describe, expect, it } from 'vitest';
import {
  fittingLayers,
  gpuKey,
  predictMemoryBeside,
  predictSharedMemory,
  predictSharedTokensPerSecond,
  speedOfGpu,
} from './device-fit.ts';
import { type MachineSpeed, type ModelFacts, predictMemory, predictTokensPerSecond } from './model-facts.ts';

/** Ten layers of 1 GB for the processor and a tenth less on a GPU, a head of half that, embeddings of 0.2 GB. */
const facts: ModelFacts = {
  architecture: 'llama',
  name: 'Ten layers',
  fileType: 'q4_K',
  fileBytes: 9.65e9,
  nParams: 17e9,
  vocabulary: '',
  hasFim: false,
  hasChatTemplate: false,
  mentionsTools: false,
  license: null,
  mtpHead: null,
  split: null,
  nLayer: 10,
  nEmbd: 4096,
  nFf: 12_288,
  nVocab: 32_000,
  nCtxTrain: 8192,
  layers: Array.from({ length: 10 }, () => ({ gpu: 0.9e9, packed: 1e9, read: 1e9 })),
  head: { gpu: 0.45e9, packed: 0.5e9, read: 0.5e9 },
  isTied: false,
  packedBytes: 10.5e9,
  tableBytes: 0.2e9,
  kvElementsPerToken: 10_000,
  readPerToken: { q4_K: 10.5e9 },
};
const question = { nCtx: 4096, kvBits: 16, draftBytes: 0.1e9 };
const kvOfLayer = 2 * 4096 * 1000 * 2;

describe('the memory of a model that two devices share', () => {
  it('is that of the last layers and the head on the GPU, and of all else beside the processor', () => {
    const { ram, gpu } = predictSharedMemory(facts, question, 3);
    expect(gpu.weights).toBeCloseTo(3 * 0.9e9 + 0.45e9);
    expect(ram.weights).toBeCloseTo(7e9 + 0.2e9);
    expect([gpu.kv, ram.kv].map((bytes) => Math.round(bytes))).toEqual([3 * kvOfLayer, 7 * kvOfLayer]);
    expect([gpu.draft, ram.draft]).toEqual([0, 0.1e9]);
    expect(ram.workspace).toBe(predictMemory(facts, question).workspace);
    expect(gpu.total).toBeCloseTo(gpu.weights + gpu.kv + gpu.workspace);
  });

  it('has nothing of the weights beside the processor where the GPU has all layers, or more than there are', () => {
    for (const nLayers of [10, 99]) {
      const { ram, gpu } = predictSharedMemory(facts, question, nLayers);
      expect(ram).toMatchObject({ weights: 0, kv: 0, draft: 0 });
      expect(gpu.weights).toBeCloseTo(9e9 + 0.45e9 + 0.2e9);
      expect(gpu.draft).toBe(0.1e9);
    }
    const tied = { ...facts, isTied: true };
    expect(predictSharedMemory(tied, question, 10).gpu.weights).toBeCloseTo(9e9 + 0.45e9);
  });

  it('has room in the main memory alone where the GPU shares that', () => {
    const apart = predictSharedMemory(facts, question, 3);
    expect(predictMemoryBeside({ sharesMemory: false }, facts, question, 3)).toEqual(apart);
    const { ram, gpu } = predictMemoryBeside({ sharesMemory: true }, facts, question, 3);
    expect(gpu).toEqual(apart.gpu);
    expect(ram.total).toBeCloseTo(apart.ram.total + apart.gpu.total);
    expect(ram.weights).toBeCloseTo(7e9 + 0.2e9 + 3 * 0.9e9 + 0.45e9);
    expect(ram.kv).toBeCloseTo(10 * kvOfLayer);
  });

  it('keeps keys and values in 16 bits, whatever the processor alone would do', () => {
    expect(predictSharedMemory(facts, { ...question, kvBits: 3.2 }, 3).ram.kv).toBeCloseTo(7 * kvOfLayer);
  });

  it('decides how many layers fit, and a longer context takes some away', () => {
    const { total } = predictSharedMemory(facts, question, 4).gpu;
    expect(fittingLayers(facts, question, total)).toBe(4);
    expect(fittingLayers(facts, question, total - 1)).toBe(3);
    expect(fittingLayers(facts, { ...question, nCtx: 8192 }, total)).toBe(3);
    expect(fittingLayers(facts, question, 1e9)).toBe(0);
    expect(fittingLayers(facts, question, 1e11)).toBe(10);
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
    expect(1 / predictSharedTokensPerSecond(facts, speed, gpu, 3, 4000)).toBeCloseTo(seconds, 6);
  });

  it('grows with every layer, up to that of the GPU alone', () => {
    const rates = [1, 5, 9, 10, 99].map((n) => predictSharedTokensPerSecond(facts, speed, gpu, n, 0));
    expect(rates.slice(0, 4)).toEqual([...rates.slice(0, 4)].sort((a, b) => a - b));
    expect(rates[4]).toBe(rates[3]);
    expect(rates[0]).toBeGreaterThan(predictTokensPerSecond(facts, speed, 0));
    expect(1 / (rates[3] ?? 0)).toBeCloseTo(0.001 + 9.45e9 / 450e9 + 1e-4, 6);
  });

  it('is a guess on a GPU that was not measured, also where another one was', () => {
    expect(gpuKey({ id: 'cuda:0', name: 'A GPU' })).toBe('cuda:0 A GPU');
    expect(speedOfGpu(speed, { id: 'cuda:0', name: 'A GPU' })).toBe(gpu);
    expect(speedOfGpu(speed, { id: 'cuda:0', name: 'Another' }).layer).toBeNull();
  });
});
