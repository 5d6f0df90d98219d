import { describe, expect, it } from 'vitest';
import { needOnGpu } from '../../common/device-need.ts';
import { fitOf, kvBytes, longestContext, predictMemory, predictTokensPerSecond } from '../../common/model-facts.ts';
import { readGgufHeader } from './gguf-header.ts';
import { modelFacts } from './model-facts.ts';
import { deepseekModelBytes, glmModelBytes, tinyModelBytes } from './testing/tiny-gguf.mjs';

const reader = (bytes: Uint8Array) => async (offset: number, n: number) => bytes.subarray(offset, offset + n);
const headerOf = (bytes: Uint8Array) => readGgufHeader(reader(bytes), 'tiny.gguf');

describe('the head of a file', () => {
  const bytes = tinyModelBytes({ nLayer: 2, nEmbd: 64, nCtxTrain: 512 });

  it('is read without the weights', async () => {
    const { dataOffset } = await headerOf(bytes);
    const header = await headerOf(bytes.subarray(0, dataOffset));
    expect(header.fileBytes).toBeLessThanOrEqual(bytes.length);
    expect(modelFacts(header, bytes.length, 'tiny.gguf')).toMatchObject({
      architecture: 'llama',
      nLayer: 2,
      nEmbd: 64,
      nCtxTrain: 512,
      nVocab: 307,
      fileType: 'f32',
      hasFim: false,
      split: null,
    });
  });

  it('is asked for in growing pieces, and only as much of it as there is', async () => {
    const asked: number[] = [];
    const long = tinyModelBytes({ nLayer: 1, nEmbd: 64, nCtxTrain: 512, padding: 3 << 20 });
    await readGgufHeader(async (offset, n) => {
      asked.push(n);
      return long.subarray(offset, offset + n);
    }, 'long.gguf');
    expect(asked).toEqual([1 << 20, 1 << 20, 2 << 20]);
  });

  it('is refused if it is cut off anywhere, with a reason', async () => {
    const { dataOffset } = await headerOf(bytes);
    for (let n = 0; n < dataOffset - 32; n += 97) {
      await expect(headerOf(bytes.subarray(0, n))).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    }
    const header = await headerOf(bytes);
    expect(() => modelFacts(header, header.fileBytes - 1, 'tiny.gguf')).toThrow(/cut off/);
  });

  it('ends with an error or a header, whatever byte of it is another', async () => {
    const { dataOffset } = await headerOf(bytes);
    const outcomeOf = async (changed: Uint8Array): Promise<string> => {
      try {
        modelFacts(await headerOf(changed), Number.MAX_SAFE_INTEGER, 'changed.gguf');
        return 'read';
      } catch (error) {
        return String((error as { code?: unknown }).code);
      }
    };
    const outcomes = new Set<string>();
    for (let at = 0; at < dataOffset; at += 31) {
      for (const value of [0, 0xff]) outcomes.add(await outcomeOf(Uint8Array.from(bytes).fill(value, at, at + 1)));
    }
    expect([...outcomes].sort()).toEqual(['MODEL_INVALID', 'MODEL_UNSUPPORTED', 'read']);
  });
});

describe('the prediction', () => {
  it('counts weights as they are prepared, whole pages of keys and values, and reads', async () => {
    const bytes = tinyModelBytes({ nLayer: 3, nEmbd: 256, nCtxTrain: 4096, type: 'q8_0' });
    const facts = modelFacts(await headerOf(bytes), bytes.length, 'tiny.gguf');
    // Attention 4 and feed-forward 3 matrices of 256 by 256, 16 tiles of 4352 bytes each, and two norms per layer.
    const matrix = 16 * 4352;
    const head = 20 * 4352;
    expect(facts.packedBytes).toBe(3 * (7 * matrix + 2 * 4 * 256) + head + 4 * 256);
    expect(facts.readPerToken).toEqual({ q8_0: 3 * 7 * matrix + head });
    expect(facts.kvElementsPerToken).toBe(3 * 2 * 256);
    expect(kvBytes(facts, 1024, 16)).toBe(2 * 1024 * 3 * 2 * 256 * 2);
    const speed = { bytesPerSecond: { q8_0: 1e9 }, other: 2e9, layer: null, overheadSeconds: 0, gpus: {} };
    expect(predictTokensPerSecond(facts, speed, 0)).toBeCloseTo(1e9 / (3 * 7 * matrix + head));
    expect(predictTokensPerSecond(facts, speed, 1000)).toBeLessThan(predictTokensPerSecond(facts, speed, 0));
    const question = { nCtx: 4096, kvBits: 16, draftBytes: 0 };
    const { total } = predictMemory(facts, question);
    expect([fitOf(total, total + 2 ** 30), fitOf(total, total + 1), fitOf(total, total - 1)]).toEqual([
      'fits',
      'tight',
      'tooLarge',
    ]);
    const free = predictMemory(facts, { ...question, nCtx: 1000 }).total;
    const fits = (nCtx: number) => predictMemory(facts, { ...question, nCtx }).total <= free;
    expect(longestContext(facts.nCtxTrain, fits)).toBe(768);
    expect(longestContext(facts.nCtxTrain, () => false)).toBeNull();
    expect(longestContext(facts.nCtxTrain, () => true)).toBe(4096);
    // The same by layers, as they are shared out: on a GPU as in the file, 34 bytes for 32 weights.
    const ofLayer = {
      gpu: 7 * 256 * 256 * (34 / 32) + 2 * 4 * 256,
      experts: 0,
      packed: 7 * matrix + 2 * 4 * 256,
      read: 7 * matrix,
    };
    expect(facts.layers).toEqual([ofLayer, ofLayer, ofLayer]);
    expect(facts.head).toMatchObject({ packed: head + 4 * 256, read: head });
    expect(facts.isTied).toBe(false);
    expect(facts.tableGpuBytes).toBe(307 * 256 * (34 / 32));
  });
});

it('blocks of q6_K are wider on a GPU', async () => {
  const bytes = tinyModelBytes({ nLayer: 1, nEmbd: 256, nCtxTrain: 256, type: 'q8_0' });
  const header = await headerOf(bytes);
  const inQ6 = { ...header, tensors: header.tensors.map((tensor) => ({ ...tensor, type: 'q6_K', bytes: 210 * 256 })) };
  const { layers, head } = modelFacts(inQ6, bytes.length, 'q6.gguf');
  const wide = 224 * 256 + 16;
  expect([layers[0]?.gpu, head.gpu]).toEqual([9 * wide, 2 * wide]);
});

describe('a model with latent heads and experts', () => {
  const factsOf = async (name: Parameters<typeof deepseekModelBytes>[0]) => {
    const bytes = deepseekModelBytes(name);
    return modelFacts(await headerOf(bytes), bytes.length, 'deepseek.gguf');
  };

  it('keeps one latent vector of a position, and is told by both', async () => {
    const facts = await factsOf('deepseek2-v2');
    // A latent vector of 96 with a rotated key of 32, and the latent vector again as the value.
    expect(facts.kvElementsPerToken).toBe(3 * (128 + 96));
    expect(facts).toMatchObject({ nHead: 4, headDimV: 96, latentElements: 128 + 128 + 96 + 96 });
    expect(facts.experts).toEqual({ n: 16, nUsed: 4, nFf: 64 });
    const ofExperts = 3 * 16 * 64 * 192 * 4; // in f32
    expect(facts.layers.map(({ experts }) => experts)).toEqual([0, ofExperts, ofExperts]);
    const need = needOnGpu(facts, 512)({ first: 1, end: 3 }, true);
    expect(need.experts).toBe(2 * ofExperts);
    expect(need.kv).toBe(2 * 1024 * (128 + 96) * 2);
  });

  it('keeps the same where its file has the lengths of its heads', async () => {
    const facts = await factsOf('deepseek2-v2-legacy');
    expect(facts.kvElementsPerToken).toBe(3 * (128 + 96));
    expect(facts).toMatchObject({ nHead: 4, headDimV: 96, latentElements: 96 + 128 + 96 + 48 });
  });
});

describe('a block that predicts further tokens', () => {
  const factsOf = async (metadata: Record<string, number>) => {
    const bytes = glmModelBytes(metadata);
    return modelFacts(await headerOf(bytes), bytes.length, 'glm.gguf');
  };

  it('is no layer of the model: it has no keys, and no token reads it', async () => {
    const facts = await factsOf({});
    const asLayer = await factsOf({ nextn_predict_layers: 0 });
    expect([facts.nLayer, facts.layers.length, asLayer.nLayer]).toEqual([2, 2, 3]);
    expect(facts.kvElementsPerToken).toBe(2 * 2 * 2 * 64);
    expect(facts.nParams).toBe(asLayer.nParams);
    expect(facts.readPerToken.f32).toBeLessThan(asLayer.readPerToken.f32 ?? 0);
    expect(facts.layers).toEqual(asLayer.layers.slice(0, 2));
    // It takes memory all the same, and so do four windows of its own keys and values.
    expect(facts.mtpHead).toMatchObject({ packed: asLayer.packedBytes - facts.packedBytes, kvElementsPerToken: 256 });
    const question = { nCtx: 1000, kvBits: 16, draftBytes: 0 };
    const { weights, kv } = predictMemory(facts, question);
    expect(weights).toBe(predictMemory(asLayer, question).weights);
    expect(kv - kvBytes(facts, 1000, 16)).toBe(4 * 1024 * 256 * 2);
    // A GPU keeps whole pages, and with all layers those windows, too.
    const onGpu = (first: number) => needOnGpu(facts, 1000)({ first, end: 2 }, first > 0).kv;
    expect(onGpu(1)).toBe((32 * 64 * facts.kvElementsPerToken * 2) / 2);
    expect(onGpu(0)).toBe(2 * onGpu(1) + 4 * 1024 * 256 * 2);
    const need = needOnGpu(facts, 1000);
    const parts = [need({ first: 0, end: 1 }, false), need({ first: 1, end: 2 }, false)];
    const apart = parts.reduce((sum, { weights }) => sum + weights, 0);
    expect(need({ first: 0, end: 2 }, false).weights - apart).toBe(facts.mtpHead?.gpu);
    expect(facts.mtpHead?.gpu).toBeGreaterThan(0);
  });

  it('may be said to be more than all blocks', async () => {
    expect((await factsOf({ nextn_predict_layers: 4e9 })).layers).toEqual([]);
  });
});
