// Named steps with their time, and stamps that let a second run skip what is still true.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './process.mjs';

const stamps = join(root, 'build', 'stamps');

/** Says how far a step is: "12 of 63". Shown on a terminal only. @typedef {(text: string) => void} Progress */

/**
 * @template T
 * @param {string} name what happens, as the user reads it
 * @param {(progress: Progress) => Promise<T>} body
 */
export async function step(name, body) {
  const start = performance.now();
  process.stdout.write(`• ${name} …\n`);
  let text = '';
  const show = () => process.stdout.write(`\r  ${seconds(start)} ${text}\x1b[K`);
  const timer = process.stdout.isTTY ? setInterval(show, 200) : undefined;
  try {
    const result = await body((latest) => {
      text = latest;
    });
    clearLine();
    process.stdout.write(`  ${name}: done in ${seconds(start)}\n`);
    return result;
  } catch (error) {
    clearLine();
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** Takes the progress of a step away, so that a line can be printed. */
export function clearLine() {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
}

/**
 * A step that is skipped while the hash of its inputs is the one of its last success.
 * @param {string} id a file name for the stamp
 * @param {string} name
 * @param {() => Promise<string>} inputs
 * @param {(progress: Progress) => Promise<void>} body
 */
export async function stampedStep(id, name, inputs, body) {
  const path = join(stamps, id);
  const hash = await inputs();
  const last = await readFile(path, 'utf8').catch(() => '');
  if (last === hash) return;
  await step(name, body);
  await mkdir(stamps, { recursive: true });
  await writeFile(path, hash);
}

/** @param {number} start of performance.now() */
export function seconds(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}

/**
 * One hash over texts and over all files below the given paths.
 * @param {{ texts?: string[], paths?: string[] }} inputs paths relative to the root; missing ones count as empty
 */
export async function hashOf({ texts = [], paths = [] }) {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text).update('\0');
  for (const path of paths) {
    for (const file of await filesBelow(path)) hash.update(file).update(await readFile(join(root, file)));
  }
  return hash.digest('hex');
}

/**
 * @param {string} path relative to the root
 * @returns {Promise<string[]>} sorted, without installed packages further below; a file is itself
 */
export async function filesBelow(path) {
  const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true }).catch((error) => {
    if (error.code === 'ENOTDIR') return null;
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (entries === null) return [path];
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));
  return files.filter((file) => !file.includes('node_modules/', path.length)).sort();
}
