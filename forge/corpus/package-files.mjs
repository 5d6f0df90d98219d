// One package of the list: its archives unpacked, its licence checked, and of its files those that may be learned from.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { root, SetupError } from '../../scripts/lib/process.mjs';
import { downloadPackage, unpackArchive } from '../../scripts/lib/source-packages.mjs';
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';
import { dropReason, isCompiled, languageOf } from './files.mjs';
import { isLicenceText, isPermissive, parseDebianCopyright } from './licences.mjs';
import { signatureOf } from './near-duplicates.mjs';

/**
 * @typedef {object} ListedPackage
 * @property {'npm' | 'debian' | 'debian-source' | 'installed' | 'folder'} from installed: below node_modules, at the
 *   lockfile's version; folder: of this repository
 * @property {string} name of the package; of a folder its path
 * @property {string} version
 * @property {string} licence as SPDX writes it
 * @property {string[]} [folders] only these, relative to the package's root
 * @property {number} [repeat] how often the model sees it in one pass, for tests
 *
 * @typedef {{ path: string, language: string, bytes: number, sha256: string, signature: string }} CorpusFile
 *   signature: base64 of a MinHash
 * @typedef {{ licence: string, licenceFrom: string, files: CorpusFile[], dropped: Record<string, number> }} PackageFiles
 *   dropped: files by reason; those in no language of ours are not counted
 */

/** What Debian puts before the path that a file has in the package's sources. */
const installedPrefix =
  /^usr\/(?:share\/cargo\/registry\/[^/]+|share\/gocode\/src(?:\/[^/]+){1,3}|lib\/python3(?:\.\d+)?(?:\/dist-packages)?)\//;
const notSources = /^usr\/(?:share\/(?:doc|man|lintian|bash-completion|info)|bin|include\/c\+\+)\//;

/**
 * @param {ListedPackage} item
 * @param {string} folder where its texts go
 * @param {() => Promise<string[]>} apt
 * @returns {Promise<PackageFiles>}
 * @throws {SetupError} if the package is not what the list says, or under a licence that is not permissive
 */
export async function collectPackage(item, folder, apt) {
  if (!isPermissive(item.licence))
    throw new SetupError(`${item.name} is under ${item.licence}, which is not permissive.`);
  if (item.from === 'installed' || item.from === 'folder') {
    const source = item.from === 'installed' ? join(root, 'node_modules', item.name) : join(root, item.name);
    return keepFiles(item, source, folder, await npmLicence(item, source));
  }
  const { sources, changes } = await downloadPackage({ ...item, from: item.from }, apt);
  const unpacked = await mkdtemp(join(tmpdir(), 'outpost-forge-'));
  try {
    for (const archive of sources) await unpackArchive(archive, await ensureFolder(unpacked, 'sources'));
    for (const archive of changes) await unpackArchive(archive, await ensureFolder(unpacked, 'changes'));
    const licence =
      item.from === 'npm'
        ? await npmLicence(item, join(unpacked, 'sources', 'package'))
        : await debianLicence(item, unpacked);
    return await keepFiles(item, join(unpacked, 'sources'), folder, licence);
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** @param {string} parent @param {string} name */
async function ensureFolder(parent, name) {
  await mkdir(join(parent, name), { recursive: true });
  return join(parent, name);
}

/** @typedef {{ from: string, of: (path: string) => string }} Licences of: of each file, by its path in the sources */

/** @param {ListedPackage} item @param {string} folder @returns {Promise<Licences>} */
async function npmLicence(item, folder) {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const licence = typeof manifest.license === 'string' ? manifest.license : String(manifest.license?.type ?? '');
  if (licence !== item.licence || !isPermissive(licence))
    throw new SetupError(
      `${item.name} ${item.version} says its licence is "${licence}"; the list says "${item.licence}".`,
    );
  return { from: 'package.json', of: () => licence };
}

/** @param {ListedPackage} item @param {string} unpacked @returns {Promise<Licences>} */
async function debianLicence(item, unpacked) {
  const paths = await filesBelow(unpacked);
  const path =
    paths.find((path) => path === 'changes/debian/copyright') ??
    paths.find((path) => /(^|\/)debian\/copyright$|^sources\/usr\/share\/doc\/[^/]+\/copyright$/.test(path));
  if (path === undefined) throw new SetupError(`${item.name} ${item.version} has no copyright file.`);
  const text = await readFile(join(unpacked, path), 'utf8');
  const byFile = parseDebianCopyright(text);
  if (byFile !== null) return { from: 'debian/copyright', of: byFile };
  if (!isLicenceText(item.licence, text))
    throw new SetupError(`The copyright file of ${item.name} has not the words of ${item.licence}.`);
  return { from: 'the words of debian/copyright', of: () => item.licence };
}

/** @param {string} folder @returns {Promise<string[]>} sorted, with "/"; links are left out */
async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** @param {ListedPackage} item @param {string} source @param {string} folder @param {Licences} licence */
async function keepFiles(item, source, folder, licence) {
  await rm(folder, { recursive: true, force: true });
  /** @type {PackageFiles} */
  const result = { licence: item.licence, licenceFrom: licence.from, files: [], dropped: {} };
  const isArchive = item.from !== 'installed' && item.from !== 'folder';
  const archivePaths = await filesBelow(source);
  const paths = new Set(archivePaths);
  for (const archivePath of archivePaths) {
    const path = inSources(item, archivePath, isArchive);
    const language = path === null ? null : languageOf(path);
    if (path === null || language === null) continue;
    const bytes = await readFile(join(source, archivePath));
    const isAllowed = isPermissive(licence.of(path));
    const reason = !isAllowed ? 'licence' : isCompiled(archivePath, paths) ? 'generated' : dropReason(language, bytes);
    if (reason !== null) {
      result.dropped[reason] = (result.dropped[reason] ?? 0) + 1;
      continue;
    }
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
    const signature = Buffer.from(signatureOf(bytes.toString('utf8')).buffer).toString('base64');
    result.files.push({ path, language, bytes: bytes.length, sha256: sha256(bytes), signature });
  }
  return result;
}

/** @param {ListedPackage} item @param {string} path @param {boolean} isArchive @returns {string | null} null: not of the sources */
function inSources(item, path, isArchive) {
  let inPackage = path;
  if (item.from === 'debian') {
    if (notSources.test(path)) return null;
    inPackage = path.replace(installedPrefix, '');
  } else if (isArchive) {
    inPackage = path.slice(path.indexOf('/') + 1); // the archive's one folder
  }
  if (item.folders !== undefined && !item.folders.some((folder) => inPackage.startsWith(`${folder}/`))) return null;
  return inPackage;
}
