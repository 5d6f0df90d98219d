// `node scripts/outpost.mjs gpu-models`: writes the tiny model of every architecture and tensor type to
// build/gpu-models, for a GPU machine without Node, where scripts/gpu-check.sh reads them.
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../lib/process.mjs';
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
}
