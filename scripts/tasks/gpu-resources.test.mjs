import { describe, expect, it } from 'vitest';
import { parseResources } from './gpu-resources.mjs';

describe('parseResources', () => {
  it('reads registers, stack, shared and local memory of each function', () => {
    const text = `
Fatbin elf code:
Resource usage:
 Common:
  GLOBAL:0
 Function void outpost::gpu::matvec<outpost::BlockQ4_K, (int)8>(const outpost::BlockQ4_K *, float *):
  REG:96 STACK:8 SHARED:32 LOCAL:4 CONSTANT[0]:416 TEXTURE:0 SURFACE:0 SAMPLER:0
 Function outpost::gpu::add(float *, const float *, outpost::gpu::ElementParams):
  REG:10 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:380 TEXTURE:0 SURFACE:0 SAMPLER:0
`;
    expect(parseResources(text)).toEqual([
      { kernel: 'matvec<BlockQ4_K, 8>', registers: 96, sharedBytes: 32, stackBytes: 8, localBytes: 4 },
      { kernel: 'add', registers: 10, sharedBytes: 0, stackBytes: 0, localBytes: 0 },
    ]);
  });
});
