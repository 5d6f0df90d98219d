import { describe, expect, it } from 'vitest';
import { llamaModels } from './families/llama.mjs';
import { faultsOf } from './faults.mjs';
import { Random } from './random.mjs';
import { formatArchitectureRecording } from './recording.mjs';
import { halfBits, randomTensor, tensorTypes } from './tensor-types.mjs';
import { float, ggufBytes, sha256 } from './tiny-model.mjs';

describe('random numbers', () => {
  it('are a stream of its own for every name', () => {
    const draw = (/** @type {string} */ name) => {
      const random = new Random(name);
      return Array.from({ length: 4 }, () => random.bits());
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
  });

  it('are evenly distributed', () => {
    const random = new Random('even');
    const values = Array.from({ length: 30000 }, () => random.uniform());
    expect(Math.max(...values)).toBeLessThan(1);
    expect(values.reduce((a, b) => a + b, 0) / values.length).toBeCloseTo(0, 1);
    expect(values.reduce((a, b) => a + b * b, 0) / values.length).toBeCloseTo(1 / 3, 1);
  });
});

describe('tensor types', () => {
  it.each([
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00], // ties to even, which is infinity
    [1 / 3, 0x3555],
    [1 + 2 ** -11, 0x3c00], // a tie, to even
    [1 + 3 * 2 ** -11, 0x3c02], // a tie, to even
    [2 - 2 ** -12, 0x4000], // carries into the exponent
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [3 * 2 ** -25, 0x0002], // a tie of subnormal numbers, to even
    [2 ** -25, 0x0000],
    [0, 0x0000],
  ])('round %f to f16', (value, bits) => {
    expect(halfBits(value)).toBe(bits);
  });

  it.each(Object.keys(tensorTypes))('%s fills whole blocks, the same ones each time', (name) => {
    const type = /** @type {import('./tensor-types.mjs').TensorTypeName} */ (name);
    const make = () => randomTensor(type, 512, { rms: 0.1, mean: 0 }, new Random('blocks'));
    expect(make().length).toBe((512 / tensorTypes[type].nElements) * tensorTypes[type].nBytes);
    expect(make()).toEqual(make());
  });
});

describe('tiny models', () => {
  const [model] = llamaModels;
  if (model === undefined) throw new Error('there are no models');

  it('give the same file each time, another one for another value', () => {
    const hash = sha256(ggufBytes(model));
    expect(sha256(ggufBytes(model))).toBe(hash);
    const changed = { ...model, metadata: { ...model.metadata, 'rope.freq_base': float(5001) } };
    expect(sha256(ggufBytes(changed))).not.toBe(hash);
  });

  it('have a fault for each key that changes the result and for each kind of vector', () => {
    expect(faultsOf(model).map(({ what }) => what)).toEqual([
      expect.stringContaining('attention.layer_norm_rms_epsilon'),
      expect.stringContaining('rope.freq_base'),
      'output_norm.weight',
      'attn_norm.weight',
      'ffn_norm.weight',
    ]);
  });
});

it('writes a recording as JSON that reads back, rounded', () => {
  const row = { where: 'token 1 of 1', sigma: 0.00123456, top: { id: 7, lead: 0.25 }, logProbabilities: [-1.23456789] };
  const text = formatArchitectureRecording({
    manifest: { note: 'two\nlines' },
    models: { one: { sha256: '00', rows: [row, row] }, two: { sha256: '11', rows: [] } },
  });
  const rounded = { ...row, sigma: 0.00123, logProbabilities: [-1.23457] };
  expect(JSON.parse(text)).toEqual({
    manifest: { note: 'two\nlines' },
    models: { one: { sha256: '00', rows: [rounded, rounded] }, two: { sha256: '11', rows: [] } },
  });
});
