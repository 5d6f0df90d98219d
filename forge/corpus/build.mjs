// Builds the corpus: packages of a list -> texts below OUT/train and OUT/heldout, and a manifest of what was kept and why
// not more. What was done for a package is kept until the list or the rules change, so a run that was cut off goes on.
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { root, SetupError } from '../../scripts/lib/process.mjs';
import { packageFileName, prepareApt } from '../../scripts/lib/source-packages.mjs';
import { clearLine, hashOf } from '../../scripts/lib/steps.mjs';
import { formatTable } from '../../scripts/lib/table.mjs';
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';
import { shares } from './files.mjs';
import { SignatureIndex } from './near-duplicates.mjs';
import { collectPackage } from './package-files.mjs';

/** @typedef {import('./package-files.mjs').ListedPackage} ListedPackage */
/** @typedef {import('./package-files.mjs').PackageFiles} PackageFiles */
/** @typedef {import('./package-files.mjs').CorpusFile} CorpusFile */
/** @typedef {{ train: ListedPackage[], heldout: ListedPackage[] }} PackageList */
/** @typedef {'train' | 'heldout'} Part */
/**
 * @typedef {object} ManifestEntry
 * @property {Part} part
 * @property {string} name
 * @property {string} version
 * @property {string} from
 * @property {string} licence
 * @property {string} licenceFrom what the check read
 * @property {string} folder below train/ or heldout/
 * @property {number} files
 * @property {number} bytes
 * @property {number} [repeat]
 * @property {Record<string, number>} languages bytes
 * @property {Record<string, number>} dropped files by reason
 */

/** What decides on a file: a change of it makes what was kept of packages stale. */
export const rules = [
  ...['files', 'licences', 'near-duplicates', 'package-files'].map((name) => `forge/corpus/${name}.mjs`),
  'scripts/tokenizer/corpus.mjs',
];
const nAtOnce = 6; // most of a package's time goes by while it is fetched and unpacked
const maxPackageBytes = 24e6; // so that no project makes up much of the corpus

/**
 * The list of the real corpus: the tokenizer's packages, without those whose licences cannot be checked, and more.
 * @returns {Promise<PackageList>}
 */
export async function readPackageList() {
  const tokenizer = JSON.parse(await readFile(join(root, 'scripts', 'tokenizer', 'corpus.json'), 'utf8'));
  const more = JSON.parse(await readFile(join(root, 'forge', 'corpus', 'packages.json'), 'utf8'));
  /** @param {Part} part @returns {ListedPackage[]} */
  const listed = (part) =>
    Object.values(tokenizer[part])
      .flatMap((/** @type {{ packages: ListedPackage[] }} */ { packages }) => packages)
      .filter((item) => !more.without.includes(item.name));
  return { train: [...listed('train'), ...more.train], heldout: [...listed('heldout'), ...more.heldout] };
}

/**
 * @param {PackageList} list
 * @param {string} out folder
 * @returns {Promise<ManifestEntry[]>}
 * @throws {SetupError} with all packages that cannot be had or taken
 */
export async function buildCorpus(list, out) {
  return choose(await collectPackages(list, out), out);
}

/** @typedef {{ part: Part, item: ListedPackage, result: PackageFiles }} Collected */

/**
 * What there is of each package, kept in OUT/packages and OUT/texts.
 * @param {PackageList} list
 * @param {string} out
 * @returns {Promise<Collected[]>} in the order of the list, what is held out first
 * @throws {SetupError} with all packages that cannot be had or taken
 */
export async function collectPackages(list, out) {
  /** @type {Promise<string[]> | undefined} */
  let options;
  const apt = () => {
    options ??= prepareApt();
    return options;
  };
  /** @type {string[]} */
  const failures = [];
  const rulesHash = await hashOf({ paths: rules });
  /** @param {ListedPackage} item @returns {Promise<PackageFiles | undefined>} undefined: it cannot be had or taken */
  const collect = async (item) => {
    const name = packageFileName(item);
    const record = join(out, 'packages', `${name}.json`);
    const hash = sha256(JSON.stringify({ ...item, rulesHash }));
    const kept = JSON.parse(await readFile(record, 'utf8').catch(() => 'null'));
    if (kept?.hash === hash) return kept.result;
    const result = await collectPackage(item, join(out, 'texts', name), apt).catch((error) => {
      if (!(error instanceof SetupError)) throw error;
      failures.push(error.message);
    });
    if (result === undefined) return undefined;
    await mkdir(dirname(record), { recursive: true });
    await replaceFile(record, JSON.stringify({ hash, result }));
    clearLine();
    console.log(`  ${name}: ${result.files.length} files, dropped ${JSON.stringify(result.dropped)}`);
    return result;
  };
  // Held-out packages come first: of files in both parts, those of the trained one are dropped.
  const items = /** @type {const} */ (['heldout', 'train']).flatMap((part) =>
    list[part].map((item) => ({ part, item })),
  );
  const results = await mapInParallel(items, nAtOnce, ({ item }) => collect(item));
  const collected = items.flatMap(({ part, item }, i) => {
    const result = results[i];
    return result === undefined ? [] : [{ part, item, result }];
  });
  if (failures.length > 0) throw new SetupError(`These packages cannot be used:\n  ${failures.join('\n  ')}`);
  return collected;
}

/** A run that is cut off meanwhile leaves what was there. @param {string} path @param {string} text */
async function replaceFile(path, text) {
  await writeFile(`${path}.part`, text);
  await rename(`${path}.part`, path);
}

/**
 * @template T, R
 * @param {T[]} items
 * @param {number} n how many are in work at a time
 * @param {(item: T) => Promise<R>} work
 * @returns {Promise<R[]>} in the order of the items
 */
async function mapInParallel(items, n, work) {
  /** @type {R[]} */
  const results = new Array(items.length);
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: n }, async () => {
      for (const [i, item] of queue) results[i] = await work(item);
    }),
  );
  return results;
}

/** @param {Collected[]} collected @param {string} out */
async function choose(collected, out) {
  for (const part of ['train', 'heldout']) await rm(join(out, part), { recursive: true, force: true });
  const hashes = new Set();
  const index = new SignatureIndex();
  /** @type {ManifestEntry[]} */
  const manifest = [];
  for (const { part, item, result } of collected) {
    const name = packageFileName(item);
    const dropped = { ...result.dropped };
    const files = limited(result.files).filter((file) => {
      const bytes = Buffer.from(file.signature, 'base64');
      const isNew = !hashes.has(file.sha256);
      hashes.add(file.sha256);
      if (isNew && index.add(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4))) return true;
      dropped.duplicate = (dropped.duplicate ?? 0) + 1;
      return false;
    });
    if (result.files.length > 0 && limited(result.files).length < result.files.length)
      dropped['over its share'] = result.files.length - limited(result.files).length;
    /** @type {Record<string, number>} */
    const languages = {};
    for (const { path, language, bytes } of files) {
      languages[language] = (languages[language] ?? 0) + bytes;
      const target = join(out, part, name, path);
      await mkdir(dirname(target), { recursive: true });
      await link(join(out, 'texts', name, path), target);
    }
    manifest.push({
      part,
      name: item.name,
      version: item.version,
      from: item.from,
      licence: result.licence,
      licenceFrom: result.licenceFrom,
      folder: name,
      files: files.length,
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      ...(item.repeat !== undefined && { repeat: item.repeat }),
      languages,
      dropped,
    });
  }
  await replaceFile(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`);
  return manifest;
}

/**
 * What may be taken of a package: no more than its share, and of text around code no more than that language's. An
 * arbitrary choice that is the same each time, in the order of the paths.
 * @param {CorpusFile[]} files
 */
function limited(files) {
  // Where a package has several archives with files of the same path, the last one's is the text that was kept.
  const arbitrary = [...new Map(files.map((file) => [file.path, file])).values()]
    .map((file) => ({ file, key: sha256(file.path) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ file }) => file);
  const share = (/** @type {CorpusFile} */ file) => shares[/** @type {keyof typeof shares} */ (file.language)];
  const code = upTo(
    arbitrary.filter((file) => share(file) === undefined),
    maxPackageBytes,
  );
  const codeBytes = code.reduce((sum, file) => sum + file.bytes, 0);
  const others = Object.entries(shares).flatMap(([language, most]) =>
    upTo(
      arbitrary.filter((file) => file.language === language),
      most * codeBytes,
    ),
  );
  return [...code, ...others].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** @param {CorpusFile[]} files @param {number} maxBytes */
function upTo(files, maxBytes) {
  let nBytes = 0;
  return files.filter((file) => {
    if (nBytes + file.bytes > maxBytes) return false;
    nBytes += file.bytes;
    return true;
  });
}

/** Megabytes by part and language. @param {ManifestEntry[]} manifest */
export function corpusTable(manifest) {
  const languages = [...new Set(manifest.flatMap((entry) => Object.keys(entry.languages)))].sort();
  const megabytes = (/** @type {ManifestEntry[]} */ entries, /** @type {string} */ language) =>
    (entries.reduce((sum, entry) => sum + (entry.languages[language] ?? 0), 0) / 1e6).toFixed(2);
  const of = (/** @type {Part} */ part) => manifest.filter((entry) => entry.part === part);
  const total = (/** @type {ManifestEntry[]} */ entries) =>
    (entries.reduce((sum, entry) => sum + entry.bytes, 0) / 1e6).toFixed(2);
  return formatTable([
    ['MB', 'train', 'held out'],
    ...languages.map((language) => [language, megabytes(of('train'), language), megabytes(of('heldout'), language)]),
    ['all', total(of('train')), total(of('heldout'))],
  ]);
}
