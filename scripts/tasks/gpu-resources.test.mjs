import { expect, it } from 'vitest';
import { parseResources } from './gpu-resources.mjs';

it('reads registers, memory and spills of each kernel from the report of ptxas', () => {
  const text = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z6matvecv' for 'sm_80'
ptxas info    : Function properties for _Z6matvecv
    24 bytes stack frame, 20 bytes spill stores, 44 bytes spill loads
ptxas info    : Used 96 registers, used 1 barriers, 24 bytes cumulative stack size, 19488 bytes smem, 420 bytes cmem[0]
ptxas info    : Compile time = 21.538 ms
ptxas info    : Compiling entry function '_Z3addv' for 'sm_80'
ptxas info    : Function properties for _Z3addv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers, 376 bytes cmem[0]
`;
  expect(parseResources(text)).toEqual([
    { symbol: '_Z6matvecv', registers: 96, sharedBytes: 19488, stackBytes: 24, spillBytes: 64 },
    { symbol: '_Z3addv', registers: 10, sharedBytes: 0, stackBytes: 0, spillBytes: 0 },
  ]);
});
