// Texts to tokenize: the same ones in every run of one commit with one lockfile.
import { readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { root } from '../lib/process.mjs';
import { filesBelow } from '../lib/steps.mjs';

/** @typedef {{ name: string, text: string }} NamedText */

const ownFolders = ['docs', 'electron', 'native', 'renderer', 'scripts'];
const extensions = ['.cpp', '.css', '.gypi', '.h', '.html', '.js', '.json', '.md', '.mjs', '.py', '.sh', '.ts', '.tsx'];
/** Packages without a part per platform; zod's locales are in some forty languages. */
const packages = ['@types/node', 'axe-core', 'marked', 'monaco-editor', 'node-addon-api', 'radix-ui', 'vitest', 'zod'];
const nPerPackage = 16;
const mostBytes = 60_000;

/** Our own sources, and of each package files at equal distances in its sorted list. */
export async function sourceTexts() {
  const own = (await Promise.all(ownFolders.map(textFiles))).flat();
  const foreign = await Promise.all(
    packages.map(async (name) => {
      const files = await textFiles(join('node_modules', name));
      const distance = Math.max(1, Math.ceil(files.length / nPerPackage));
      return files.filter((_, i) => i % distance === 0);
    }),
  );
  return Promise.all(
    [...own, ...foreign.flat()].map(async (name) => ({ name, text: await readFile(join(root, name), 'utf8') })),
  );
}

/** @param {string} folder */
async function textFiles(folder) {
  const files = (await filesBelow(folder)).filter((file) => extensions.includes(extname(file)));
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(root, file))).size));
  return files.filter((_, i) => (sizes[i] ?? 0) <= mostBytes);
}

/** White space, broken words and characters of many lengths, alone and mixed. @returns {NamedText[]} */
export function oddTexts() {
  const pieces = [
    ' ',
    '  ',
    '\t',
    '\n',
    '\r\n',
    '\u00a0',
    '\u3000',
    '\u200b',
    '\ufeff',
    'a',
    'é',
    'e\u0301',
    'ß',
    'Ω',
  ].concat([
    'ж',
    'ق',
    'न',
    '漢',
    '한',
    'ก',
    '👩‍👩‍👧',
    '🍕',
    '𝒳',
    '\0',
    '\u0001',
    '0',
    '(',
    '```',
    '▁',
    '</s>',
    '<s>',
    '<0x0A>',
  ]);
  const runs = pieces.flatMap((piece) => [1, 2, 3, 5, 17, 64].map((n) => piece.repeat(n)));
  const random = randomNumbers(7);
  const mixed = Array.from({ length: 40 }, () =>
    Array.from({ length: 200 }, () => pieces[random() % pieces.length]).join(''),
  );
  return [...runs, ...mixed].map((text) => ({ name: JSON.stringify(text), text }));
}

/**
 * Code points beside letters, numbers, spaces and each other: all that are assigned but for most ideographs, and some
 * that are not. @returns {NamedText[]}
 */
export function codePointTexts() {
  /** @type {NamedText[]} */
  const texts = [];
  let text = '';
  for (let code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const character = String.fromCodePoint(code);
    const isDense = code < 0x3400 || (code > 0xfa00 && code < 0x20000);
    if (code % (/\p{Cn}/u.test(character) ? 97 : isDense ? 1 : 11) !== 0) continue;
    text += `a${character}1 ${character}${character}B${character}\n${character} '${character}`;
    if (text.length < 3000) continue;
    texts.push({ name: `code points up to ${code.toString(16)}`, text });
    text = '';
  }
  return [...texts, { name: 'the last code points', text }];
}

/** Numerical Recipes' linear congruential generator, upper bits. @param {number} seed */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}
