// The figures are those of native/model/device_layers.cpp, written out.
import { describe, expect, it } from 'vitest';
import { expertsOfToken, needOnGpu, totalNeed } from './device-need.ts';
import { tenLatentLayers, tenLayers, tenMixedLayers } from './testing/ten-layers.ts';

const nCtx = 4096;
/** Positions of two contexts, in pages of 64. */
const nPages = 128;
const headroom = 256 * 2 ** 20;
const logits = 4 * 2 * 32_000;
const activations = 4 * (8 * 4096 + 2 * 12_288);
/** A split for each page of one of the contexts, for 16 tokens of 32 heads of 128, and half of that again. */
const splits = (nPages / 2) * 16 * 4 * 32 * 128 * 1.5;

describe('what layers take on a GPU', () => {
  it('is their weights with the output, keys and values in f16, and what a pass needs', () => {
    const need = needOnGpu(tenLayers, nCtx)({ first: 7, end: 10 }, true);
    expect(need.weights).toBeCloseTo(3 * 0.9e9 + 0.45e9);
    expect(need).toMatchObject({ experts: 0, kv: 3 * nPages * 64 * 1000 * 2 });
    expect(need.workspace).toBe(64 * activations + logits + headroom + splits);
    expect(totalNeed(need)).toBe(need.weights + need.kv + need.workspace);
  });

  it('is embeddings with the first layer, and passes are longer where no processor computes a part', () => {
    const need = needOnGpu(tenLayers, nCtx);
    expect(need({ first: 0, end: 4 }, false).weights).toBeCloseTo(4 * 0.9e9 + 0.21e9);
    expect(need({ first: 4, end: 6 }, false).weights).toBeCloseTo(2 * 0.9e9);
    expect(need({ first: 0, end: 10 }, false).weights).toBeCloseTo(10 * 0.9e9 + 0.45e9 + 0.21e9);
    expect(need({ first: 4, end: 6 }, false).workspace).toBe(2048 * activations + logits + headroom + splits);
    // Tied: embeddings are the head as well, which a GPU with both has once.
    const tied = needOnGpu({ ...tenLayers, isTied: true }, nCtx);
    expect(tied({ first: 0, end: 10 }, false).weights).toBeCloseTo(10 * 0.9e9 + 0.45e9);
    expect(tied({ first: 0, end: 4 }, false).weights).toBeCloseTo(4 * 0.9e9 + 0.21e9);
  });

  it('has whole pages, and splits up to half a gigabyte', () => {
    const kv = (n: number) => needOnGpu(tenLayers, n)({ first: 9, end: 10 }, true).kv;
    expect(kv(4097)).toBe((nPages + 1) * 64 * 1000 * 2);
    const long = needOnGpu(tenLayers, 262_144)({ first: 9, end: 10 }, true);
    expect(long.workspace).toBe(64 * activations + logits + headroom + 1.5 * 512 * 2 ** 20);
  });

  it('is of experts what gates, results and their images take, for each that a token uses', () => {
    const need = needOnGpu(tenMixedLayers, nCtx)({ first: 8, end: 10 }, true);
    const perChoice = 4 * (2 * 1536 + 4096) + 2 * 4096;
    const image = 2 * 4096 * (8 * 64 + 128 + 256);
    expect(need.experts).toBeCloseTo(1.6e9);
    expect(need.workspace).toBe(64 * (activations + 4 * perChoice) + image + logits + headroom + splits);
    expect(expertsOfToken(tenMixedLayers, need.experts)).toBe(Math.ceil(need.experts / 16));
    expect(expertsOfToken(tenLayers, 5)).toBe(5);
  });

  it('is of latent heads one latent vector and its rotated key, and much to compute with', () => {
    const need = needOnGpu(tenLatentLayers, nCtx)({ first: 9, end: 10 }, true);
    expect(need.kv).toBe(nPages * 64 * (576 + 512) * 2);
    const latent = 2 * 4 * 128 * (192 + 576 + 512 + 128);
    const latentSplits = (nPages / 2) * 16 * 4 * 128 * 512 * 1.5;
    expect(need.workspace).toBe(64 * (activations + latent) + logits + headroom + latentSplits);
  });
});
