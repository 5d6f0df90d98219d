// Every tiny model that the engine is compared with llama.cpp on.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../lib/process.mjs';
import { deepseekModels } from './families/deepseek.mjs';
import { gemmaModels } from './families/gemma.mjs';
import { glmModels } from './families/glm.mjs';
import { gptOssModels } from './families/gpt-oss.mjs';
import { graniteModels } from './families/granite.mjs';
import { llamaModels, quantizedLlama } from './families/llama.mjs';
import { phiModels } from './families/phi.mjs';
import { qwenModels } from './families/qwen.mjs';
import { starcoderModels } from './families/starcoder.mjs';
import { tensorTypes } from './tensor-types.mjs';
import { ggufBytes, sha256, tensorData } from './tiny-model.mjs';

/** @typedef {import('./tiny-model.mjs').TinyModel} TinyModel */

const quantizedTypes = /** @type {import('./tensor-types.mjs').TensorTypeName[]} */ (Object.keys(tensorTypes)).filter(
  (type) => type !== 'f32',
);

/** @type {TinyModel[]} */
export const tinyModels = [
  ...llamaModels,
  ...qwenModels,
  ...gemmaModels,
  ...phiModels,
  ...starcoderModels,
  ...deepseekModels,
  ...gptOssModels,
  ...graniteModels,
  ...glmModels,
  ...quantizedTypes.map((type) => quantizedLlama(type)),
];

/**
 * Those of a name or an architecture, or all.
 * @param {string[]} words
 */
export function chosenModels(words) {
  const chosen = tinyModels.filter(({ name, architecture }) => words.includes(name) || words.includes(architecture));
  return words.length === 0 ? tinyModels : chosen;
}

const directory = join(root, 'build', 'test-models');

/**
 * Writes the model's file.
 * @param {TinyModel} model
 * @param {string} [fileName] of a changed copy
 * @param {import('./tiny-model.mjs').TensorData[]} [tensors] of a changed copy
 */
export async function writeTinyModel(model, fileName = model.name, tensors = tensorData(model)) {
  const bytes = ggufBytes(model, tensors);
  const path = join(directory, `${fileName}.gguf`);
  await mkdir(directory, { recursive: true });
  // In one step: files of tests run side by side, and another one may have the model mapped.
  await writeFile(`${path}.${process.pid}`, bytes);
  await rename(`${path}.${process.pid}`, path);
  return { path, sha256: sha256(bytes) };
}
