// Which folder may import which, for TypeScript and for C++. Whatever is not listed is refused.
import { readFile } from 'node:fs/promises';
import { dirname, join, normalize, sep } from 'node:path';
import { root } from './process.mjs';
import { filesBelow } from './steps.mjs';

/**
 * A folder's own files are always allowed. Longest match wins; `*` stands for one folder name.
 * @type {Record<string, string[]>}
 */
const typescriptLayers = {
  'electron/common': [],
  'electron/preload': ['electron/common'],
  'electron/windows': ['electron/common'],
  // resources: the catalog of models.
  'electron/services': ['electron/engine', 'electron/common', 'resources'],
  'electron/ipc': ['electron/services', 'electron/windows', 'electron/common'],
  'electron/network': ['electron/common'],
  'electron/engine': ['electron/network', 'electron/common'],
  'electron/engine/testing': ['electron/testing', 'electron/engine', 'electron/network', 'electron/common'],
  'electron/workspace': ['electron/network', 'electron/common'],
  'electron/terminal': ['electron/network', 'electron/common'],
  electron: ['electron/windows', 'electron/ipc', 'electron/services', 'electron/network', 'electron/common'],
  'renderer/lib': [],
  'renderer/ui': ['renderer/lib'],
  'renderer/editor': ['renderer/ui', 'renderer/lib'],
  'renderer/features/*': ['renderer/editor', 'renderer/ui', 'renderer/lib', 'electron/common'],
  'renderer/app': ['renderer/features', 'renderer/editor', 'renderer/ui', 'renderer/lib', 'electron/common'],
  'renderer/testing': ['renderer/app', 'renderer/features', 'renderer/editor', 'renderer/lib', 'electron/common'],
  renderer: ['renderer/app', 'renderer/lib', 'electron/common'],
};

/** @type {Record<string, string[]>} */
const cppLayers = {
  'kernels/common': [],
  'kernels/emulator': [],
  // f16 under the emulator is the tests' own; on a device it is the hardware's.
  'kernels/portable': ['kernels/common', 'kernels/emulator', 'native/core'],
  'kernels/runtime': [],
  'kernels/launchers': ['kernels/runtime', 'kernels/portable', 'kernels/common'],
  'kernels/cuda': ['kernels/launchers', 'kernels/runtime', 'kernels/portable', 'kernels/common', 'kernels/emulator'],
  // A runtime, and the launches that launchers find by its include path. The emulator is what kernels as C++ are made of.
  'kernels/metal': ['kernels/launchers', 'kernels/runtime', 'kernels/portable', 'kernels/common', 'kernels/emulator'],
  // metal_device.h by the emulator.
  'kernels/emulated_metal': [
    'kernels/metal',
    'kernels/emulated_device',
    'kernels/portable',
    'kernels/common',
    'kernels/emulator',
  ],
  'kernels/emulated_device': [
    'kernels/cuda',
    'kernels/launchers',
    'kernels/runtime',
    'kernels/common',
    'kernels/emulator',
  ],
  'kernels/tests': ['native', 'kernels'],
  'native/include': [],
  'native/core': ['native/include'],
  'native/gguf': ['native/core', 'native/include', 'kernels/common'],
  'native/tokenizer': ['native/gguf', 'native/core', 'native/include'],
  'native/quant': ['native/gguf', 'native/core', 'native/include', 'kernels/common'],
  'native/backend': ['native/quant', 'native/core', 'native/include', 'kernels/common'],
  // The parameters of launches, which come with the kernels.
  'native/backend/gpu': [
    'native/backend',
    'native/quant',
    'native/core',
    'native/include',
    'kernels/launchers',
    'kernels/runtime',
    'kernels/portable',
    'kernels/common',
  ],
  'native/kv': ['native/backend', 'native/core', 'native/include'],
  'native/sampling': ['native/core', 'native/include', 'kernels/common'],
  'native/draft': ['native/core', 'native/include'],
  'native/grammar': ['native/core', 'native/include'],
  'native/model': ['native/kv', 'native/backend', 'native/gguf', 'native/core', 'native/include', 'kernels/common'],
  'native/runtime': [
    'native/model',
    'native/kv',
    'native/sampling',
    'native/draft',
    'native/grammar',
    'native/tokenizer',
    'native/backend',
    'native/gguf',
    'native/core',
    'native/include',
    'kernels/common',
  ],
  'native/binding': ['native/include', 'native/core'],
  // Tools and tests look inside.
  'native/cli': ['native', 'kernels'],
  'native/tests': ['native', 'kernels'],
  'native/fuzz': ['native', 'kernels'],
  'native/bench': ['native', 'kernels'],
};

/** @param {string} path @param {string} folder may hold `*` */
function isInside(path, folder) {
  const pattern = folder.replaceAll('*', '[^/]+');
  return new RegExp(`^${pattern}(/|$)`).test(path);
}

/**
 * The rule for a file, as the actual folder it stands for.
 * @param {Record<string, string[]>} layers
 * @param {string} file
 */
function layerOf(layers, file) {
  const rules = Object.keys(layers).filter((rule) => isInside(file, rule));
  const rule = rules.sort((a, b) => b.length - a.length)[0];
  if (rule === undefined) return null;
  return { folder: file.split('/').slice(0, rule.split('/').length).join('/'), allowed: layers[rule] ?? [] };
}

/**
 * @param {Record<string, string[]>} layers
 * @param {string} file
 * @param {string} target the imported file; both relative to the root, with "/"
 * @returns {string | null} what is wrong
 */
export function violation(layers, file, target) {
  const from = layerOf(layers, file);
  if (from === null) return null;
  const to = layerOf(layers, target);
  const isOwn = to !== null && to.folder === from.folder;
  if (isOwn || from.allowed.some((folder) => isInside(target, folder))) return null;
  return `${file} imports ${target}; ${from.folder} may import ${from.allowed.join(', ') || 'nothing'}`;
}

/** @param {string} file @param {string} source */
export function typescriptImports(file, source) {
  const specifiers = [...source.matchAll(/(?:from|import|import\()\s*['"](\.[^'"]+)['"]/g)].map(
    (match) => match[1] ?? '',
  );
  return specifiers.map((specifier) =>
    normalize(join(dirname(file), specifier))
      .split(sep)
      .join('/'),
  );
}

/** @param {string} source @param {Set<string>} files every C++ file of the project */
export function cppIncludes(source, files) {
  const names = [...source.matchAll(/^\s*#include "([^"]+)"/gm)].map((match) => match[1] ?? '');
  return names
    .map((name) => [`native/${name}`, `native/include/${name}`, name].find((path) => files.has(path)))
    .filter((path) => path !== undefined);
}

/**
 * Tests of kernels are built for a GPU as well, but for those whose name says that they are not (native/CMakeLists.txt):
 * one that needs the emulator would only be found out where there is a GPU, because nothing else links them.
 * @param {string} file
 * @param {string} target
 * @returns {string | null} what is wrong
 */
export function emulatorViolation(file, target) {
  const isForGpu = isInside(file, 'kernels/tests') && file.endsWith('.cpp') && !/emulator|simdgroup/.test(file);
  const isEmulator = isInside(target, 'kernels/emulator') || target === 'kernels/tests/emulator_faults.h';
  if (!isForGpu || !isEmulator) return null;
  return `${file} includes ${target}; it is built for a GPU too unless its name has "emulator" in it`;
}

/** @returns {Promise<string[]>} every import that the layers do not allow */
export async function checkLayers() {
  const found = [];
  const scripts = [...(await filesBelow('electron')), ...(await filesBelow('renderer'))].filter((file) =>
    /\.tsx?$/.test(file),
  );
  for (const file of scripts) {
    if (file.includes('.test.')) continue;
    const source = await readFile(join(root, file), 'utf8');
    found.push(...typescriptImports(file, source).map((target) => violation(typescriptLayers, file, target)));
  }
  const cpp = [...(await filesBelow('native')), ...(await filesBelow('kernels'))].filter((file) =>
    /\.(h|cpp)$/.test(file),
  );
  for (const file of cpp) {
    const source = await readFile(join(root, file), 'utf8');
    for (const target of cppIncludes(source, new Set(cpp)))
      found.push(violation(cppLayers, file, target), emulatorViolation(file, target));
  }
  return found.filter((text) => text !== null);
}

export const layersForTests = { typescriptLayers, cppLayers };
