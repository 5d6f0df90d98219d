// `node scripts/outpost.mjs gpu-models`: what scripts/gpu-check.sh needs besides the tree, and which takes Node or the
// network: the tiny model of every architecture and tensor type, to build/gpu-models, and llama.cpp's source, to
// carry/llama.tar.gz, of which scripts/gpu-peer.sh builds what the engine is compared with.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePeer, peerSource } from '../lib/peer.mjs';
import { root, run } from '../lib/process.mjs';
import { writeAllModels } from '../model-tests/tiny-models/write-all.mjs';

export async function gpuModels() {
  const directory = join(root, 'build', 'gpu-models');
  await rm(directory, { recursive: true, force: true });
  console.log(`${await writeAllModels(directory)} models are in build/gpu-models.`);
  await packPeerSource(join(root, 'carry'));
}

/**
 * What llama.cpp's CUDA build takes, a fifth of the whole: a machine may be sent so much only.
 * @param {string} directory to which llama.tar.gz goes, where the platform has a build of the peer
 */
export async function packPeerSource(directory) {
  if (!(await ensurePeer())) return;
  const clone = join(root, 'build', 'llama.git');
  const others = ['cann', 'et', 'hexagon', 'metal', 'opencl', 'openvino', 'sycl', 'virtgpu', 'vulkan', 'webgpu'];
  await rm(clone, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  await run('git', ['clone', '--quiet', '--bare', peerSource, clone]);
  const archive = ['archive', '--format=tar.gz', '-o', join(directory, 'llama.tar.gz'), 'HEAD', '--'];
  const folders = ['CMakeLists.txt', 'LICENSE', 'cmake', 'common', 'ggml', 'include', 'src', 'tools', 'vendor'];
  const excluded = ['tools/ui', ...others.map((name) => `ggml/src/ggml-${name}`)];
  await run('git', ['--git-dir', clone, ...archive, ...folders, ...excluded.map((path) => `:!${path}`)]);
  await rm(clone, { recursive: true });
  console.log("llama.cpp's source is in carry/llama.tar.gz.");
}
