// llama.cpp's npm build, installed beside the project for tests and benchmarks. It runs in its own process.
import { join } from 'node:path';
import { capture, root } from './process.mjs';
import { hashOf, stampedStep } from './steps.mjs';
import { npm } from './toolchain.mjs';

export const peerDirectory = join(root, 'scripts', 'peer');

/** @returns {Promise<boolean>} false where no build of the peer for this platform is pinned */
export async function ensurePeer() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  await stampedStep(
    'peer',
    'llama.cpp through npm, to compare with',
    () => hashOf({ paths: ['scripts/peer/package.json', 'scripts/peer/package-lock.json'] }),
    // Only the CPU build that package.json names: the optional ones for CUDA and Vulkan are large.
    () => npm(['ci', '--omit=optional', '--ignore-scripts'], { cwd: peerDirectory }),
  );
  return true;
}

/**
 * @param {{ model: string, prompts?: string[], texts?: string[], nTop?: number }} request
 * @returns {Promise<{ ids: number[][], configurations: { name: string, top: [number, number][][] }[], tokenized: number[][] }>}
 */
export async function askPeer(request) {
  const output = await capture(process.execPath, [join(peerDirectory, 'next-tokens.mjs')], {
    cwd: peerDirectory,
    input: JSON.stringify(request),
  });
  return JSON.parse(output);
}
