// `node scripts/outpost.mjs gpu-models`: what a GPU machine without Node and network needs: the tiny model of every
// architecture and tensor type, to build/gpu-models, where scripts/gpu-check.sh reads them, and llama.cpp's source, to
// carry/llama.tar.gz, of which scripts/gpu-peer.sh builds what the engine is compared with.
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePeer, peerSource } from '../lib/peer.mjs';
import { root, run } from '../lib/process.mjs';
import { tinyModels, writeTinyModel } from '../model-tests/tiny-models/catalog.mjs';

export async function gpuModels() {
  const directory = join(root, 'build', 'gpu-models');
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  for (const model of tinyModels) {
    const { path } = await writeTinyModel(model);
    await copyFile(path, join(directory, `${model.name}.gguf`));
  }
  console.log(`${tinyModels.length} models are in build/gpu-models.`);
  if (await ensurePeer()) await packPeerSource();
}

/** What llama.cpp's CUDA build takes, a fifth of the whole: such a machine is sent 64 MiB at most. */
async function packPeerSource() {
  const directory = join(root, 'carry');
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
