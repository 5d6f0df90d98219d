// `node scripts/outpost.mjs tokenizer-corpus`: the text that a tokenizer is trained and measured on, below
// build/tokenizer/corpus. Sources of packages, by name and version (scripts/tokenizer/corpus.json), from the npm registry
// and from Debian's archive, through npm and apt-get. Nothing of it is committed.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { capture, isInstalled, root, SetupError } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { formatTable } from '../lib/table.mjs';
import { corpusDirectory, isHandWritten, isSourcePath, languages, limitFiles, sha256 } from '../tokenizer/corpus.mjs';

/** @typedef {import('../tokenizer/corpus.mjs').CorpusPackage} CorpusPackage */
/** @typedef {import('../tokenizer/corpus.mjs').CorpusManifest} CorpusManifest */
/** @typedef {import('../tokenizer/corpus.mjs').Language} Language */
/** @typedef {{ language: string, package: string, files: number, bytes: number, lines: number }} Summary */

const downloads = join(root, 'build', 'tokenizer', 'downloads');

export async function tokenizerCorpus() {
  for (const program of ['npm', 'apt-get', 'dpkg-deb', 'tar'])
    if (!(await isInstalled(program))) throw new SetupError(`${program} is needed to download the packages.`);
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
          const archives = item.from === 'npm' ? await downloadNpm(item) : await downloadDebian(item, apt);
          const folder = join(corpusDirectory, part, language, item.name.replaceAll('/', '_'));
          const maxBytes = 1e6 * (item.megabytes ?? megabytes);
          summary.push({
            language,
            package: item.name,
            ...(await addPackage(item, archives, { language, folder, maxBytes, seen })),
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

/** @param {CorpusPackage} item */
const fileName = (item) => `${item.name}-${item.version}`.replaceAll(/[^\w.+~-]/g, '_');

/** @param {CorpusPackage} item @returns {Promise<string[]>} the archives */
async function downloadNpm(item) {
  const folder = join(downloads, fileName(item));
  if ((await archivesIn(folder)).length === 0) {
    await mkdir(folder, { recursive: true });
    await capture('npm', ['pack', '--silent', `${item.name}@${item.version}`], { cwd: folder });
  }
  return archivesIn(folder);
}

/** @param {CorpusPackage} item @param {string[]} apt @returns {Promise<string[]>} the archives, Debian's changes left out */
async function downloadDebian(item, apt) {
  const folder = join(downloads, fileName(item));
  if ((await archivesIn(folder)).length === 0) {
    await mkdir(folder, { recursive: true });
    const command = item.from === 'debian' ? ['download'] : ['source', '--download-only'];
    await capture('apt-get', [...apt, ...command, '-qq', `${item.name}=${item.version}`], { cwd: folder });
  }
  return archivesIn(folder);
}

/** @param {string} folder */
async function archivesIn(folder) {
  const names = await readdir(folder).catch(() => /** @type {string[]} */ ([]));
  const archives = names.filter((name) => /\.(tgz|deb|tar\.\w+)$/.test(name) && !name.includes('.debian.tar.'));
  return archives.sort().map((name) => join(folder, name));
}

/** apt-get's options for lists of source packages of our own: the system's are left as they are. */
async function prepareApt() {
  const state = join(root, 'build', 'tokenizer', 'apt');
  for (const folder of ['sources', 'lists/partial', 'cache/archives/partial'])
    await mkdir(join(state, folder), { recursive: true });
  const system = '/etc/apt/sources.list.d/debian.sources';
  const sources = await readFile(system, 'utf8').catch(() => {
    throw new SetupError(`There is no ${system}.`, 'The C++, Rust, Go and Python sources come from Debian 12.');
  });
  // The archive of security updates forgets versions sooner, and some mirrors hold no sources of it.
  const stanzas = sources.split(/\n\s*\n/).filter((stanza) => !/^Suites:.*-security/m.test(stanza));
  const sourceStanzas = stanzas.map((stanza) => stanza.replaceAll(/^Types:.*$/gm, 'Types: deb deb-src'));
  await writeFile(join(state, 'sources', 'debian.sources'), `${sourceStanzas.join('\n\n')}\n`);
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(state, 'sources'),
    'Dir::State::lists': join(state, 'lists'),
    'Dir::Cache': join(state, 'cache'),
    'APT::Sandbox::User': 'root', // the downloads go to a folder of ours
  };
  const apt = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await step("Debian's list of source packages", () => capture('apt-get', [...apt, 'update', '-qq']));
  return apt;
}

/**
 * Copies the package's sources to `folder`.
 * @param {CorpusPackage} item
 * @param {string[]} archives
 * @param {{ language: Language, folder: string, maxBytes: number, seen: Set<string> }} to
 */
async function addPackage(item, archives, { language, folder, maxBytes, seen }) {
  if (archives.length === 0) throw new SetupError(`No archive of ${item.name} ${item.version} was downloaded.`);
  const unpacked = await mkdtemp(join(tmpdir(), 'outpost-corpus-'));
  try {
    for (const archive of archives) await unpack(archive, unpacked);
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

/** @param {string} archive @param {string} folder */
async function unpack(archive, folder) {
  if (archive.endsWith('.deb')) await capture('dpkg-deb', ['--extract', archive, folder]);
  else await capture('tar', ['-xf', archive, '-C', folder, '--no-same-owner', '--no-same-permissions']);
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
