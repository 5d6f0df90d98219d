// Packages with source code, by name and version: from the npm registry and from Debian's archive, through npm and apt-get.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { capture, isInstalled, root, SetupError } from './process.mjs';
import { step } from './steps.mjs';

/**
 * @typedef {object} SourcePackage
 * @property {'npm' | 'debian' | 'debian-source'} from Debian's packages of Python, Rust and Go libraries are source code
 * @property {string} name
 * @property {string} version
 *
 * @typedef {{ sources: string[], changes: string[] }} Archives changes: Debian's own, with the copyright file
 */

/** Kept between runs, and shared by all that downloads packages. */
export const downloads = join(root, 'build', 'tokenizer', 'downloads');

export async function ensurePackageTools() {
  for (const program of ['npm', 'apt-get', 'dpkg-deb', 'tar'])
    if (!(await isInstalled(program))) throw new SetupError(`${program} is needed to download the packages.`);
}

/** A package's own name in file names. @param {{ name: string, version: string }} item */
export const packageFileName = (item) => `${item.name}-${item.version}`.replaceAll(/[^\w.+~-]/g, '_');

/**
 * Downloads the package unless it is there.
 * @param {SourcePackage} item
 * @param {() => Promise<string[]>} apt apt-get's options, as prepareApt gives them
 * @returns {Promise<Archives>}
 */
export async function downloadPackage(item, apt) {
  const folder = join(downloads, packageFileName(item));
  const present = await archivesIn(folder);
  if (present.sources.length > 0) return present;
  await mkdir(folder, { recursive: true });
  if (item.from === 'npm') {
    await capture('npm', ['pack', '--silent', `${item.name}@${item.version}`], { cwd: folder });
  } else {
    const command = item.from === 'debian' ? ['download'] : ['source', '--download-only'];
    const options = await apt();
    await capture('apt-get', [...options, ...command, '-qq', `${item.name}=${item.version}`], { cwd: folder });
  }
  const archives = await archivesIn(folder);
  if (archives.sources.length === 0) throw new SetupError(`No archive of ${item.name} ${item.version} was downloaded.`);
  return archives;
}

/** @param {string} folder @returns {Promise<Archives>} */
async function archivesIn(folder) {
  const names = (await readdir(folder).catch(() => /** @type {string[]} */ ([]))).sort();
  const archives = names.filter((name) => /\.(tgz|deb|tar\.(gz|bz2|xz|zst|lzma))$/.test(name));
  const paths = (/** @type {string[]} */ list) => list.map((name) => join(folder, name));
  return {
    sources: paths(archives.filter((name) => !name.includes('.debian.tar.'))),
    changes: paths(archives.filter((name) => name.includes('.debian.tar.'))),
  };
}

/** apt-get's options for lists of source packages of our own: the system's are left as they are. */
export async function prepareApt() {
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

/** @param {string} archive @param {string} folder */
export async function unpackArchive(archive, folder) {
  if (archive.endsWith('.deb')) await capture('dpkg-deb', ['--extract', archive, folder]);
  else await capture('tar', ['-xf', archive, '-C', folder, '--no-same-owner', '--no-same-permissions']);
}
