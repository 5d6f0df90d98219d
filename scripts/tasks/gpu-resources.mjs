// `node scripts/outpost.mjs gpu-resources`: what the CUDA compiler gave each kernel. Needs nvcc, but no GPU.
import { join } from 'node:path';
import { capture, root, run } from '../lib/process.mjs';
import { formatTable } from '../lib/table.mjs';

/**
 * @param {string} text of `cuobjdump --dump-resource-usage`, names demangled
 * @returns {{ kernel: string, registers: number, sharedBytes: number, stackBytes: number, localBytes: number }[]}
 */
export function parseResources(text) {
  const found = text.matchAll(/Function (.+?):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)/g);
  return [...found].map(([, name = '', registers, stack, shared, local]) => ({
    kernel: name
      .replace(/^void /, '')
      .replaceAll('outpost::gpu::', '')
      .replaceAll('outpost::', '')
      .replaceAll(/\((int|bool)\)/g, '')
      .replace(/\(.*$/, ''),
    registers: Number(registers),
    sharedBytes: Number(shared),
    stackBytes: Number(stack),
    localBytes: Number(local),
  }));
}

export async function gpuResources() {
  const directory = join(root, 'build', 'native', 'release');
  await run('cmake', ['--preset', 'release', '-S', 'native'], { quiet: true });
  const text = await capture('cmake', ['--build', directory, '--target', 'gpu-resources']);
  const rows = parseResources(text)
    .sort((a, b) => b.stackBytes - a.stackBytes || b.registers - a.registers)
    .map((row) => [row.kernel, ...[row.registers, row.sharedBytes, row.stackBytes, row.localBytes].map(String)]);
  console.log(formatTable([['kernel', 'registers', 'shared bytes', 'stack bytes', 'local bytes'], ...rows]));
}
