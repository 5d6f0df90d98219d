// Which files of a package are text to train or to measure a tokenizer on: genuine, hand-written source code.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { root } from '../lib/process.mjs';

/** The corpus on this machine: train/ and heldout/, below them languages, packages and files. */
export const corpusDirectory = join(root, 'build', 'tokenizer', 'corpus');

/** @typedef {(typeof languages)[number]} Language */
/**
 * @typedef {object} CorpusPackage
 * @property {'npm' | 'debian' | 'debian-source'} from Debian's packages of Python, Rust and Go libraries are source code
 * @property {string} name
 * @property {string} version
 * @property {string} licence as SPDX writes it; of packages of several authors the main one
 * @property {string[]} [folders] only these, relative to the package's root
 * @property {number} [megabytes] at most this much of it, where that is not what its language says
 *
 * @typedef {Record<Language, { megabytes: number, packages: CorpusPackage[] }>} CorpusPart megabytes: of one package
 * @typedef {{ train: CorpusPart, heldout: CorpusPart }} CorpusManifest
 */

export const languages = /** @type {const} */ (['typescript', 'python', 'cpp', 'rust', 'go']);

/** @type {Record<Language, RegExp>} */
const sourceFiles = {
  typescript: /(?<!\.d)\.(ts|tsx|mts|cts)$/,
  python: /\.py$/,
  cpp: /\.(cc|cpp|cxx|h|hh|hpp|hxx|inl|ipp)$/,
  rust: /\.rs$/,
  go: /\.go$/,
};

/** Code of others, results of a build, and inputs of tests that nobody would write. */
export const foreignFolders =
  /(^|\/)(vendor|vendored|_vendor|third[_-]?party|3rdparty|extern|external|externals|thirdparty|node_modules|dist|build|out|generated|gen|testdata|test-data|baselines|fixtures|__fixtures__|__snapshots__|stdarch|unicode|locales?)(\/|$)/i;
export const generatedFile =
  /(\.pb\.(go|cc|h)|_pb2\.py|\.gen\.[a-z]+|_generated\.[a-z]+|zz_generated.*|bindata\.go|\.min\.[a-z]+|unicode_tables.*)$/i;
const generatedNote =
  /@generated|code generated|auto-?generated|generated (by|from)|do not (edit|modify)|\b(file|code|source) (is|was|has been) (automatically |machine[- ]|auto[- ])?generated/i;

const maxFileBytes = 4e6; // the largest file by hand among them is TypeScript's checker

/** @param {Language} language @param {string} path relative to the package's root */
export function isSourcePath(language, path) {
  return sourceFiles[language].test(path) && !foreignFolders.test(path) && !generatedFile.test(path);
}

/** @param {Buffer} bytes */
export function isHandWritten(bytes) {
  if (bytes.length === 0 || bytes.length > maxFileBytes || bytes.includes(0)) return false;
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return false;
  }
  if (generatedNote.test(text.slice(0, 1500))) return false;
  const lines = text.split('\n');
  if (lines.some((line) => line.length > 2000) || text.length / lines.length > 120) return false;
  // Tables of numbers say nothing about code.
  const nDigits = text.match(/[0-9]/g)?.length ?? 0;
  return nDigits < text.length / 5;
}

/** @param {string | Buffer} data */
export function sha256(data) {
  return createHash('sha256').update(data).digest('hex');
}

/**
 * An arbitrary part of the files that is the same each time.
 * @template {{ path: string, bytes: Buffer }} File
 * @param {File[]} files
 * @param {number} maxBytes
 */
export function limitFiles(files, maxBytes) {
  const kept = [];
  let nBytes = 0;
  const keyed = files.map((file) => ({ file, key: sha256(file.path) }));
  for (const { file } of keyed.sort((a, b) => (a.key < b.key ? -1 : 1))) {
    if (nBytes + file.bytes.length > maxBytes) continue;
    nBytes += file.bytes.length;
    kept.push(file);
  }
  return kept;
}
