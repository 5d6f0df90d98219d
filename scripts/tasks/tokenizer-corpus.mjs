// `node scripts/outpost.mjs tokenizer-corpus`: the text that a tokenizer is trained and measured on, below
// build/tokenizer/corpus. Sources of packages, by name and version (scripts/tokenizer/corpus.json), from the npm registry
// and from Debian's archive, through npm and apt-get. Nothing of it is committed.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { root } from '../lib/process.mjs';
import { downloadPackage, ensurePackageTools, prepareApt, unpackArchive } from '../lib/source-packages.mjs';
import { step } from '../lib/steps.mjs';
import { formatTable } from '../lib/table.mjs';
import { corpusDirectory, isHandWritten, isSourcePath, languages, limitFiles, sha256 } from '../tokenizer/corpus.mjs';

/** @typedef {import('../tokenizer/corpus.mjs').CorpusPackage} CorpusPackage */
/** @typedef {import('../tokenizer/corpus.mjs').CorpusManifest} CorpusManifest */
/** @typedef {import('../tokenizer/corpus.mjs').Language} Language */
/** @typedef {{ language: string, package: string, files: number, bytes: number, lines: number }} Summary */

export async function tokenizerCorpus() {
  await ensurePackageTools();
  const manifest = await readManifest();
  const apt = await prepareApt();
  await rm(corpusDirectory, { recursive: true, force: true });
  /** @type {Set<string>} hashes of files: no text twice, and none of the trained one among the held-out */
  const seen = new Set();
  for (const part of /** @type {const} */ (['train', 'heldout'])) {
    /** @type {Summary[]} */
    const summary = [];
    for (const language of languages) {
      const { megabytes, packages } = manifest[part][language];
      for (const item of packages) {
        await step(`${part}: ${item.name} ${item.version}`, async () => {
          const { sources } = await downloadPackage(item, async () => apt);
          const folder = join(corpusDirectory, part, language, item.name.replaceAll('/', '_'));
          const maxBytes = 1e6 * (item.megabytes ?? megabytes);
          summary.push({
            language,
            package: item.name,
            ...(await addPackage(item, sources, { language, folder, maxBytes, seen })),
          });
        });
      }
    }
    await writeFile(join(corpusDirectory, `${part}.json`), `${JSON.stringify(summary, null, 1)}\n`);
    console.log(
      `\n${formatTable([
        ['language', 'package', 'files', 'MB', 'lines'],
        ...summary.map((row) => [
          row.language,
          row.package,
          `${row.files}`,
          (row.bytes / 1e6).toFixed(2),
          `${row.lines}`,
        ]),
      ])}\n`,
    );
  }
}

/** @returns {Promise<CorpusManifest>} */
async function readManifest() {
  return JSON.parse(await readFile(join(root, 'scripts', 'tokenizer', 'corpus.json'), 'utf8'));
}

/**
 * Copies the package's sources to `folder`.
 * @param {CorpusPackage} item
 * @param {string[]} archives
 * @param {{ language: Language, folder: string, maxBytes: number, seen: Set<string> }} to
 */
async function addPackage(item, archives, { language, folder, maxBytes, seen }) {
  const unpacked = await mkdtemp(join(tmpdir(), 'outpost-corpus-'));
  try {
    for (const archive of archives) await unpackArchive(archive, unpacked);
    const files = limitFiles(await sourcesBelow(unpacked, language, item, seen), maxBytes);
    let lines = 0;
    let bytes = 0;
    for (const file of files) {
      await mkdir(dirname(join(folder, file.path)), { recursive: true });
      await writeFile(join(folder, file.path), file.bytes);
      lines += file.bytes.toString('latin1').split('\n').length - 1;
      bytes += file.bytes.length;
    }
    return { files: files.length, bytes, lines };
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/**
 * @param {string} unpacked
 * @param {Language} language
 * @param {CorpusPackage} item
 * @param {Set<string>} seen
 */
async function sourcesBelow(unpacked, language, item, seen) {
  const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(unpacked, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
  const sources = [];
  for (const path of paths) {
    const inPackage = path.slice(path.indexOf('/') + 1); // the archive's one folder
    if (!isSourcePath(language, inPackage)) continue;
    if (item.folders !== undefined && !item.folders.some((folder) => inPackage.startsWith(`${folder}/`))) continue;
    const bytes = await readFile(join(unpacked, path));
    const hash = sha256(bytes);
    if (!isHandWritten(bytes) || seen.has(hash)) continue;
    seen.add(hash);
    sources.push({ path, bytes });
  }
  return sources;
}
