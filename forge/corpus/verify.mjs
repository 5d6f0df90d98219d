// Looks at a built corpus again, file by file, as if nothing were known of how it was made.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../scripts/lib/process.mjs';
import { filesBelow } from '../../scripts/lib/steps.mjs';
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';
import { dropReason, isCompiled, languageOf } from './files.mjs';
import { isPermissive } from './licences.mjs';

/** @typedef {import('./build.mjs').ManifestEntry} ManifestEntry */

/**
 * Every file is in the manifest, may be kept by the rules of files.mjs, and is there once; no held-out package is trained
 * on; licences are permissive; counts and bytes are the manifest's.
 * @param {ManifestEntry[]} manifest
 * @param {string} corpus folder of train/ and heldout/, relative to the repository's root
 * @returns {Promise<string[]>} what is wrong
 */
export async function verifyCorpus(manifest, corpus) {
  /** @type {string[]} */
  const problems = [];
  /** @type {Map<string, string>} hash of a text -> its path */
  const seen = new Map();
  const isListed = new Set(manifest.map(({ part, folder }) => `${corpus}/${part}/${folder}`));
  const heldOut = new Set(manifest.filter(({ part }) => part === 'heldout').map(({ name }) => name));
  for (const { part, name, folder, licence, files, bytes, languages } of manifest) {
    const where = `${corpus}/${part}/${folder}`;
    if (!isPermissive(licence)) problems.push(`${name}: the licence "${licence}" is not permissive`);
    if (part === 'train' && heldOut.has(name)) problems.push(`${name} is held out, and trained on`);
    const found = { files: 0, bytes: 0, languages: /** @type {Record<string, number>} */ ({}) };
    const paths = await filesBelow(where);
    const isThere = new Set(paths);
    for (const path of paths) {
      const text = await readFile(join(root, path));
      const language = languageOf(path.slice(where.length + 1));
      const reason = language === null ? 'language' : dropReason(language, text);
      if (reason !== null) problems.push(`${path}: ${reason}`);
      if (isCompiled(path, isThere)) problems.push(`${path}: compiled from what is there as well`);
      const hash = sha256(text);
      const same = seen.get(hash);
      if (same !== undefined) problems.push(`${path} is ${same}`);
      seen.set(hash, path);
      found.files += 1;
      found.bytes += text.length;
      if (language !== null) found.languages[language] = (found.languages[language] ?? 0) + text.length;
    }
    const inWords = (/** @type {typeof found} */ { files, bytes, languages }) =>
      `${files} files, ${bytes} bytes, ${JSON.stringify(Object.entries(languages).sort())}`;
    if (inWords(found) !== inWords({ files, bytes, languages }))
      problems.push(`${name}: ${inWords(found)}; the manifest says ${inWords({ files, bytes, languages })}`);
  }
  for (const part of ['heldout', 'train'])
    for (const path of await filesBelow(`${corpus}/${part}`)) {
      const folder = path
        .split('/')
        .slice(0, `${corpus}/${part}`.split('/').length + 1)
        .join('/');
      if (!isListed.has(folder)) problems.push(`${path} is of no package of the manifest`);
    }
  return problems;
}
