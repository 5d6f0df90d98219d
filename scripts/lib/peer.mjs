// llama.cpp's npm build, installed beside the project for tests and benchmarks. It runs in its own process.
import { join } from 'node:path';
import { capture, root } from './process.mjs';
import { hashOf, stampedStep } from './steps.mjs';
import { npm } from './toolchain.mjs';

export const peerDirectory = join(root, 'scripts', 'peer');
/** llama.cpp's own build, and its library of tensor types. */
export const peerPackage = join(peerDirectory, 'node_modules', '@node-llama-cpp', 'linux-x64');
export const peerLibrary = join(peerPackage, 'bins', 'linux-x64', 'libggml-base.so');
/** The git bundle of llama.cpp's source that the package was built from. */
export const peerSource = join(peerDirectory, 'node_modules', 'node-llama-cpp', 'llama', 'gitRelease.bundle');

/**
 * @typedef {object} PeerRequest
 * @property {string} model path
 * @property {string[]} [prompts] to predict the next token of, after BOS
 * @property {string[]} [configurations] names of those to compute the predictions in; all by default
 * @property {number} [nTop] how many next tokens to list; 40 by default
 * @property {string[]} [texts] to tokenize only, without BOS
 *
 * @typedef {object} PeerReply
 * @property {number[][]} ids of the prompts
 * @property {{ name: string, top: [number, number][][] }[]} configurations per prompt [id, probability]
 * @property {number[][]} tokenized ids of the texts
 * @property {PeerBuild} build
 *
 * @typedef {{ name: string, batchSize: number, flashAttention: boolean, kvCache: 'F16' | 'F32' | 'Q4_0' | 'Q8_0' }}
 *   DistributionConfiguration
 *
 * @typedef {object} DistributionRequest
 * @property {string} model path
 * @property {number} nCtx
 * @property {{ tokens: number[], nLast: number }[]} prompts nLast: after how many of the last tokens to look
 * @property {DistributionConfiguration[]} configurations
 *
 * @typedef {{ distributions: number[][][][], build: PeerBuild }} DistributionReply log-probabilities,
 *   [configuration][prompt][one of its last tokens, in order][id]
 *
 * @typedef {{ 'node-llama-cpp': string, 'llama.cpp': string, buildType: string, systemInfo: string }} PeerBuild
 *   versions, and the processor features in use
 */

/** @returns {Promise<boolean>} false where no build of the peer for this platform is pinned */
export async function ensurePeer() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  await stampedStep(
    'peer',
    'llama.cpp through npm, to compare with',
    () => hashOf({ paths: ['scripts/peer/package.json', 'scripts/peer/package-lock.json'] }),
    // Only the CPU build that package.json names: the optional ones for CUDA and Vulkan are large. Not `npm ci`:
    // it refuses a lockfile without the builds for other platforms, which not every registry has in this version.
    () => npm(['install', '--no-save', '--omit=optional', '--ignore-scripts'], { cwd: peerDirectory }),
  );
  return true;
}

/** @param {PeerRequest} request @returns {Promise<PeerReply>} */
export async function askPeer(request) {
  const output = await capture(process.execPath, [join(peerDirectory, 'next-tokens.mjs')], {
    cwd: peerDirectory,
    input: JSON.stringify(request),
  });
  return JSON.parse(output);
}

/** @param {DistributionRequest} request @returns {Promise<DistributionReply>} */
export async function askPeerForDistributions(request) {
  const output = await capture(process.execPath, [join(peerDirectory, 'distributions.mjs')], {
    cwd: peerDirectory,
    input: JSON.stringify(request),
  });
  return JSON.parse(output);
}
