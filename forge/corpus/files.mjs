// Which files of a package belong into the corpus: written by hand, in a language of ours, without secrets.
import { foreignFolders, generatedFile, isHandWritten } from '../../scripts/tokenizer/corpus.mjs';
import { hasPermissiveHeader } from './licences.mjs';

/** @typedef {keyof typeof extensions} Language */
/** @typedef {'generated' | 'licence' | 'secret' | 'too small'} DropReason */

const extensions = {
  typescript: /(?<!\.d)\.(ts|tsx|mts|cts)$/,
  javascript: /\.(js|jsx|mjs|cjs)$/,
  python: /\.pyi?$/,
  c: /\.c$/,
  cpp: /\.(cc|cpp|cxx|h|hh|hpp|hxx|inl|ipp|cu|cuh)$/,
  rust: /\.rs$/,
  go: /\.go$/,
  shell: /\.(sh|bash)$/,
  css: /\.(css|scss|less)$/,
  html: /\.(html|vue|svelte)$/,
  markdown: /\.md$/,
  json: /\.json$/,
  yaml: /\.(ya?ml|toml)$/,
};

/** Text around code: of each package at most this share of its code's bytes, for each of them. @type {Partial<Record<Language, number>>} */
export const shares = { css: 0.1, html: 0.05, markdown: 0.08, json: 0.02, yaml: 0.03 };

/** @param {string} path relative to the package's root @returns {Language | null} null: not wanted, whatever is in it */
export function languageOf(path) {
  if (foreignFolders.test(path) || generatedFile.test(path)) return null;
  if (
    /(^|\/)(package-lock|npm-shrinkwrap|composer|tsconfig\.tsbuildinfo)[^/]*\.json$|\.map$|(^|\/)CHANGE(LOG|S)/i.test(
      path,
    )
  )
    return null;
  for (const [language, pattern] of Object.entries(extensions))
    if (pattern.test(path)) return /** @type {Language} */ (language);
  return null;
}

/** JavaScript that a compiler or a bundler wrote. */
const compiled =
  /Object\.defineProperty\(exports, ["']__esModule|__esModule = true|_interopRequire|__webpack_require__|\b__(?:importDefault|importStar|awaiter|createBinding)\b|_(?:createClass|classCallCheck)\(|sourceMappingURL=/;

/**
 * @param {string} path of a file
 * @param {Set<string>} paths of its package's files
 * @returns {boolean} whether it is JavaScript, and what it was compiled from is there: beside it, or in src/
 */
export function isCompiled(path, paths) {
  const name = path.match(/^(.+)\.[mc]?jsx?$/)?.[1];
  if (name === undefined) return false;
  const names = [name, name.replace(/(^|\/)(?:lib|esm?|cjs)\//, '$1src/')];
  return names.some((name) => ['ts', 'tsx', 'mts', 'cts'].some((extension) => paths.has(`${name}.${extension}`)));
}

const secrets = [
  /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----/,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/,
  /\bgh[pousr]_[A-Za-z0-9]{36,}\b/,
  /\bgithub_pat_[A-Za-z0-9_]{36,}/,
  /\bglpat-[A-Za-z0-9_-]{20,}/,
  /\bxox[baprs]-[A-Za-z0-9-]{10,}/,
  /\bsk_live_[A-Za-z0-9]{16,}/,
  /\bAIza[0-9A-Za-z_-]{35}\b/,
  /\bnpm_[A-Za-z0-9]{36}\b/,
  /\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{15,}/,
  /(?:api[_-]?key|secret(?:[_-]?access)?(?:[_-]?key)?|token|passw(?:or)?d)["']?\s*[:=]\s*["'](?![$%])(?=[^"']*[0-9])(?=[^"']*[A-Za-z])[A-Za-z0-9+/_=!@#$%^&*()-]{24,}["']/i,
];

/**
 * @param {Language} language
 * @param {Buffer} bytes
 * @returns {DropReason | null} null: it may be kept
 */
export function dropReason(language, bytes) {
  if (bytes.length < 64) return 'too small';
  if (!isHandWritten(bytes)) return 'generated';
  const text = bytes.toString('utf8');
  if (language === 'javascript' && compiled.test(text)) return 'generated';
  if (!hasPermissiveHeader(text)) return 'licence';
  if (secrets.some((pattern) => pattern.test(text))) return 'secret';
  return null;
}
