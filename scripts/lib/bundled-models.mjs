// The models that the app comes with, by their names in resources/models.json: their files' names say how they are quantized.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, SetupError } from './process.mjs';

/** @typedef {'outpost-code' | 'outpost-code-draft'} BundledModel */

/** @param {BundledModel} id @returns {string} relative to the root */
export function bundledModelFile(id) {
  /** @type {{ models: { id: string, bundled?: string }[] }} */
  const catalog = JSON.parse(readFileSync(join(root, 'resources', 'models.json'), 'utf8'));
  const file = catalog.models.find((model) => model.id === id)?.bundled;
  if (file === undefined) throw new SetupError(`resources/models.json has no file of ${id}.`);
  return `resources/models/${file}`;
}

/** @param {BundledModel} id */
export const bundledModel = (id) => join(root, bundledModelFile(id));
