// Every tiny model that the engine is compared with llama.cpp on.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../lib/process.mjs';
import { gemmaModels } from './families/gemma.mjs';
import { llamaModels } from './families/llama.mjs';
import { phiModels } from './families/phi.mjs';
import { qwenModels } from './families/qwen.mjs';
import { starcoderModels } from './families/starcoder.mjs';
import { ggufBytes, sha256 } from './tiny-model.mjs';

/** @typedef {import('./tiny-model.mjs').TinyModel} TinyModel */

export const tinyModels = [...llamaModels, ...qwenModels, ...gemmaModels, ...phiModels, ...starcoderModels];

const directory = join(root, 'build', 'test-models');

/**
 * Writes the model's file.
 * @param {TinyModel} model
 * @param {string} [fileName] for a changed copy
 */
export async function writeTinyModel(model, fileName = model.name) {
  const bytes = ggufBytes(model);
  const path = join(directory, `${fileName}.gguf`);
  await mkdir(directory, { recursive: true });
  await writeFile(path, bytes);
  return { path, sha256: sha256(bytes) };
}
