// Adds packages to packages.json: looks up the version of each name given, downloads it, and takes over the licence that it states,
// if that one is permissive. Says what it leaves out, and why.
//     node forge/corpus/pin.mjs NAMES.txt      lines: "npm NAME@VERSION", "debian NAME", "debian-source NAME"
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, root } from '../../scripts/lib/process.mjs';
import { downloadPackage, downloads, packageFileName, prepareApt } from '../../scripts/lib/source-packages.mjs';
import { isPermissive, parseDebianCopyright } from './licences.mjs';

/** @typedef {import('./package-files.mjs').ListedPackage} ListedPackage */

const nAtOnce = 8;
const nFetchedAtOnce = 12; // of npm's, whose start takes longer than a small package

/** Names that Debian's copyright files use -> SPDX's. */
const spdx = new Map([
  ['expat', 'MIT'],
  ['mit/x11', 'MIT'],
  ['x11', 'MIT'],
  ['apache-2', 'Apache-2.0'],
  ['apache', 'Apache-2.0'],
  ['bsd-2', 'BSD-2-Clause'],
  ['bsd-3', 'BSD-3-Clause'],
  ['bsd', 'BSD-3-Clause'],
]);

/** @param {string} text of a copyright file @returns {string} as SPDX writes it, or as it stands there */
function debianLicence(text) {
  const byFile = parseDebianCopyright(text);
  const named = byFile?.('a file that no other stanza names') ?? '';
  if (named !== '') return spdx.get(named.toLowerCase()) ?? named;
  if (byFile !== null) return '';
  const words = text.replaceAll(/\s+/g, ' ');
  if (/general public license|mozilla public/i.test(words)) return '';
  if (/apache license/i.test(words)) return 'Apache-2.0';
  if (/permission is hereby granted, free of charge/i.test(words)) return 'MIT';
  if (/redistribution and use in source and binary forms/i.test(words)) return 'BSD-3-Clause';
  return '';
}

/** @param {ListedPackage} item @param {() => Promise<string[]>} apt @returns {Promise<string>} */
async function statedLicence(item, apt) {
  const { sources, changes } = await downloadPackage({ ...item, from: /** @type {'npm'} */ (item.from) }, apt);
  if (item.from === 'npm') {
    const text = await capture('tar', [
      '-xOf',
      sources[0] ?? '',
      '--wildcards',
      '--no-wildcards-match-slash',
      '*/package.json',
    ]);
    const { license } = JSON.parse(text);
    return typeof license === 'string' ? license : String(license?.type ?? '');
  }
  const archive = changes[0] ?? sources[0] ?? '';
  const text = archive.endsWith('.deb')
    ? await capture('sh', [
        '-c',
        'dpkg-deb --fsys-tarfile "$0" | tar -xO --wildcards "./usr/share/doc/*/copyright"',
        archive,
      ])
    : await capture('tar', ['-xOf', archive, 'debian/copyright']);
  return debianLicence(text);
}

/** @param {string} from @param {string} name @param {string[]} options @returns {Promise<string>} "" if there is none */
async function debianVersion(from, name, options) {
  const text =
    from === 'debian'
      ? await capture('apt-cache', [...options, 'policy', name])
      : await capture('apt-cache', [...options, 'showsrc', '--only-source', name]);
  return text.match(from === 'debian' ? /Candidate: (\S+)/ : /^Version: (\S+)/m)?.[1] ?? '';
}

/** Downloads npm's packages to where downloadPackage looks for them; what fails is left to it. @param {ListedPackage[]} items */
async function prefetch(items) {
  const missing = items.filter((item) => !existsSync(join(downloads, packageFileName(item))));
  const folder = await mkdtemp(join(tmpdir(), 'outpost-pin-'));
  try {
    const specs = missing.map(({ name, version }) => `${name}@${version}`);
    if (specs.length > 0) await capture('npm', ['pack', '--silent', '--json', ...specs], { cwd: folder });
    for (const item of missing) {
      const file = `${item.name.replace('@', '').replace('/', '-')}-${item.version}.tgz`;
      await mkdir(join(downloads, packageFileName(item)), { recursive: true });
      await copyFile(join(folder, file), join(downloads, packageFileName(item), file));
    }
  } catch {
    // One that is not there fails all of them.
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns {Promise<void>} */
async function main() {
  const file = process.argv[3] ?? join(root, 'forge', 'corpus', 'packages.json');
  const list = JSON.parse(await readFile(file, 'utf8'));
  const tokenizer = JSON.parse(await readFile(join(root, 'scripts', 'tokenizer', 'corpus.json'), 'utf8'));
  /** @type {ListedPackage[]} */
  const present = [
    ...list.train,
    ...list.heldout,
    ...[tokenizer.train, tokenizer.heldout].flatMap((part) => Object.values(part).flatMap(({ packages }) => packages)),
  ];
  const known = new Set(present.map((item) => item.name));
  const options = await prepareApt();
  const lines = (await readFile(process.argv[2] ?? '', 'utf8')).split('\n').filter((line) => line !== '');
  const items = lines.map((line) => {
    const [from = '', text = ''] = line.split(' ');
    const at = from === 'npm' ? text.lastIndexOf('@') : text.length;
    return /** @type {ListedPackage} */ ({ from, name: text.slice(0, at), version: text.slice(at + 1), licence: '' });
  });
  const wanted = items.filter(({ name }) => !known.has(name));
  /** @type {ListedPackage[][]} */
  const groups = [];
  for (let at = 0; at < wanted.length; at += nFetchedAtOnce) groups.push(wanted.slice(at, at + nFetchedAtOnce));
  const queue = groups.values();
  const worker = async () => {
    for (const group of queue) {
      await prefetch(group.filter(({ from }) => from === 'npm'));
      for (const item of group) {
        try {
          if (item.from !== 'npm') item.version = await debianVersion(item.from, item.name, options);
          if (item.version === '' || item.version === '(none)') throw new Error('there is no such package');
          item.licence = await statedLicence(item, async () => options);
          if (!isPermissive(item.licence)) throw new Error(`its licence is "${item.licence}"`);
          list.train.push(item);
        } catch (error) {
          console.log(`${item.name} is left out: ${String(error).split('\n')[0]}`);
        }
      }
      await writeFile(file, `${JSON.stringify(list)}\n`);
    }
  };
  await Promise.all(Array.from({ length: nAtOnce }, worker));
  list.train.sort((/** @type {ListedPackage} */ a, /** @type {ListedPackage} */ b) =>
    a.from + a.name < b.from + b.name ? -1 : 1,
  );
  await writeFile(file, `${JSON.stringify(list)}\n`);
  console.log(`${list.train.length} packages`);
}

await main();
