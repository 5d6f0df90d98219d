// `node scripts/outpost.mjs gpu-resources [ARCHITECTURE]`: what the CUDA compiler gave each kernel, for the H100 and H200
// (90a) or another GPU (80, 75, 120a). Needs nvcc, but no GPU.
import { join } from 'node:path';
import { capture, root, run, SetupError } from '../lib/process.mjs';
import { formatTable } from '../lib/table.mjs';

/**
 * @param {string} text of `ptxas -v`
 * @returns {{ symbol: string, registers: number, sharedBytes: number, stackBytes: number, spillBytes: number }[]}
 */
export function parseResources(text) {
  const kernels = text.split('Compiling entry function ').slice(1);
  return kernels.map((report) => {
    /** @param {RegExp} pattern */
    const number = (pattern) => Number(report.match(pattern)?.[1] ?? 0);
    return {
      symbol: report.match(/^'(\S+)'/)?.[1] ?? '',
      registers: number(/Used (\d+) registers/),
      sharedBytes: number(/(\d+) bytes smem/),
      stackBytes: number(/(\d+) bytes stack frame/),
      spillBytes: number(/(\d+) bytes spill stores/) + number(/(\d+) bytes spill loads/),
    };
  });
}

/** @param {string[]} words */
export async function gpuResources([architecture = '90a']) {
  if (!/^\d+[af]?$/.test(architecture)) throw new SetupError('usage: gpu-resources [ARCHITECTURE], such as 90a or 80');
  const directory = join(root, 'build', 'native', 'gpu-resources');
  const options = [
    '-G',
    'Ninja',
    '-DCMAKE_BUILD_TYPE=Release',
    '-DOUTPOST_CUDA_BACKEND=ON',
    `-DOUTPOST_CUDA_ARCHITECTURES=${architecture}`,
    '-DCMAKE_CUDA_FLAGS=-Xptxas=-v',
  ];
  await run('cmake', ['-S', 'native', '-B', directory, ...options], { quiet: true });
  const build = ['--build', directory, '--target', 'outpost-cuda-kernels', '--clean-first'];
  const kernels = parseResources(await capture('cmake', build));
  const names = await capture('c++filt', [], { input: kernels.map(({ symbol }) => symbol).join('\n') });
  const rows = names.split('\n').map((name, i) => {
    const short = name
      .replaceAll('outpost::gpu::', '')
      .replaceAll('outpost::', '')
      .replace(/^void /, '');
    const kernel = kernels[i];
    if (kernel === undefined) return [];
    const { registers, sharedBytes, stackBytes, spillBytes } = kernel;
    return [short.replace(/\(.*$/, ''), ...[registers, sharedBytes, stackBytes, spillBytes].map(String)];
  });
  const head = ['kernel', 'registers', 'shared bytes', 'stack bytes', 'bytes spilled'];
  console.log(formatTable([head, ...rows.filter((row) => row.length > 0).sort()]));
}
