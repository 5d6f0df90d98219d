// `npm run check`: formatting, lint, types and layers. `npm run format` mends what can be mended.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { checkLayers } from '../lib/layers.mjs';
import { root, run, SetupError } from '../lib/process.mjs';
import { filesBelow } from '../lib/steps.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';

const projects = ['electron', 'electron/preload', 'renderer', 'scripts', 'e2e'];

/** @param {string} name a program of an installed package */
export const bin = (name) => join(root, 'node_modules', '.bin', name);

async function cppFiles() {
  const files = [...(await filesBelow('native')), ...(await filesBelow('kernels'))];
  return files.filter((file) => /\.(h|cpp)$/.test(file));
}

export async function check() {
  await ensureSystemPackages(['test']);
  await ensureDependencies();
  await run(bin('biome'), ['check', '--error-on-warnings', '.']);
  await run('clang-format-14', ['--dry-run', '--Werror', ...(await cppFiles())]);
  for (const project of projects) {
    const hasSources = readdirSync(join(root, project)).length > 0;
    if (hasSources) await run(bin('tsc'), ['-p', project]);
  }
  const violations = await checkLayers();
  if (violations.length > 0)
    throw new SetupError(`Imports against the layers (docs/architecture.md):\n  ${violations.join('\n  ')}`);
}

export async function format() {
  await ensureSystemPackages(['test']);
  await ensureDependencies();
  await run(bin('biome'), ['check', '--write', '.']);
  await run('clang-format-14', ['-i', ...(await cppFiles())]);
}
