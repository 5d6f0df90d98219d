// Which files may be learned from: those of packages, and of parts of packages, under a permissive licence.

/** By SPDX's names and by those that Debian's copyright files use, in lower case. */
const permissive = new Set(
  `mit mit-0 mit/x11 mit-style expat x11 isc 0bsd bsd bsd-2-clause bsd-3-clause bsd-2-clause-patent bsd-2 bsd-3 bsd-style
   apache apache-2 apache-2.0 apache2 zlib bsl-1.0 boost-1.0 psf-2 psf-2.0 psf python python-2.0 hpnd unlicense wtfpl
   cc0 cc0-1.0 public-domain pd blueoak-1.0.0 ncsa postgresql libpng curl bsd-0-clause bsd-1-clause
   bsd-3-clause~google bsd-3-google bsd-c3 bsl-1 apache-2+llvm`
    .split(/\s+/)
    .filter((name) => name !== ''),
);

/** What may follow "with": these give a permission more. Others take one away, as the Commons Clause does. */
const exceptions = new Set(['llvm-exception', 'llvm-exceptions', 'swift-exception']);

/** What joins the parts of an expression, what binds loosest first. In capitals: behind a comma, as Debian writes it. */
const joints = ['OR', 'AND', 'or', 'and'];

/**
 * @param {string} expression as SPDX or Debian writes it: "MIT OR Apache-2.0", "GPL-2+ or Expat, and BSD-3-clause"
 * @returns {boolean} whether one may choose to have it under permissive licences only
 */
export function isPermissive(expression) {
  const text = expression
    .toLowerCase()
    .replaceAll('|', ' or ')
    .replaceAll('&', ' and ')
    .replaceAll(/[,;]\s*or\b/g, ' OR ')
    .replaceAll(/[,;](?:\s*and\b)?/g, ' AND ')
    .replaceAll(/[()]/g, ' $& ');
  const words = text.trim().split(/\s+/);
  const count = (/** @type {string} */ bracket) => words.filter((word) => word === bracket).length;
  return count('(') === count(')') && isFree(words);
}

/** @param {string[]} words @returns {boolean} */
function isFree(words) {
  for (const joint of joints) {
    const parts = splitOutside(words, joint);
    if (parts.length > 1) return joint.toLowerCase() === 'or' ? parts.some(isFree) : parts.every(isFree);
  }
  if (words[0] === '(' && words.at(-1) === ')') return isFree(words.slice(1, -1));
  // Other brackets belong to a name: "BSD (3 clause)".
  const [licence = '', ...additions] = words
    .filter((word) => word !== '(' && word !== ')')
    .join('-')
    .split('-with-');
  return (
    permissive.has(licence.replace(/^the-/, '').replace(/-licen[cs]e$/, '')) &&
    additions.every((addition) => exceptions.has(addition))
  );
}

/** @param {string[]} words @param {string} joint @returns {string[][]} the words between the joints that are in no brackets */
function splitOutside(words, joint) {
  /** @type {string[][]} */
  const parts = [[]];
  let depth = 0;
  for (const word of words) {
    if (word === '(') depth += 1;
    if (word === ')') depth -= 1;
    if (word === joint && depth === 0) parts.push([]);
    else parts.at(-1)?.push(word);
  }
  return parts;
}

const copyleftHeader =
  /gnu (lesser |affero |library )?general public licen[cs]e|mozilla public licen[cs]e|eclipse public licen[cs]e|common development and distribution|creative commons attribution (non|share|no )/i;
const closedHeader =
  /confidential and proprietary|proprietary and confidential|all rights reserved\. do not distribute/i;

/** Copyleft licences by their short names, with a version or as what a licence is: "GPL" alone is also spoken of. */
const copyleftName =
  /\b[al]?gpl ?(?:v|version )?[23]|licen[cs]e[sd]?(?: under)?(?: the)?[ :=@"']+[al]?gpl\b|\bmpl ?(?:v|version )?(?:1\.1|2\.0)|\bmpl ?v(?:ersion )?2\b|\bcc by (?:sa|nc|nd)\b/i;

/** A short name beside a permissive one, to choose from; not what follows of "or later". */
const choice = (() => {
  const [copyleft, free] = ['\\b(?:[al]?gpl|mpl)', '\\b(?:mit|expat|bsd|apache|isc|zlib)\\b'];
  const or = '(?:\\|| or (?!\\(?(?:any|at|later|newer)\\b))';
  const either = `${free}.{0,40}?${or}.{0,20}?${copyleft}|${copyleft}.{0,20}?${or}.{0,40}?${free}`;
  return new RegExp(`${either}|dual(?:ly)? licen[cs]ed.{0,40}?${free}`, 'i');
})();

/** @param {string} text of a file @returns {boolean} whether its first lines name no other licence */
export function hasPermissiveHeader(text) {
  const head = text.slice(0, 4000);
  const named = head.match(/SPDX-License-Identifier:\s*([^\n*]+)/)?.[1]?.replace(/(\*\/|-->|#}).*$/, '');
  if (named !== undefined) return isPermissive(named.trim());
  // A notice goes on over the lines of its comment.
  const words = head.replaceAll(/[\s*#/;-]+/g, ' ');
  if (copyleftHeader.test(words) || closedHeader.test(words)) return false;
  return !copyleftName.test(words) || choice.test(words);
}

/** How the text of each family of licences is known. @type {[RegExp, RegExp][]} */
const licenceTexts = [
  [/mit|expat|x11/i, /permission is hereby granted,? free of charge/i],
  [/bsd/i, /redistribution and use in source and binary forms/i],
  [/apache/i, /apache license/i],
  [/isc|0bsd/i, /permission to use, copy, modify, and(\/or)? distribute/i],
  [/bsl|boost/i, /boost software license/i],
  [/zlib|libpng/i, /this software is provided ['"]?as-is/i],
  [/psf|python/i, /python software foundation/i],
  [/hpnd/i, /permission to use, copy, modify,? and distribute/i],
  [/unlicense|cc0|public/i, /public domain|creative commons/i],
];

/** @param {string} licence @param {string} text of a licence or copyright file */
export function isLicenceText(licence, text) {
  return licenceTexts.some(([name, words]) => name.test(licence) && words.test(text.replaceAll(/\s+/g, ' ')));
}

/**
 * Debian's machine-readable copyright file (debian.org, copyright-format 1.0).
 * @param {string} text
 * @returns {((path: string) => string) | null} the licence of a file of the sources, "" if it names none; null if the
 *   text is of another format
 */
export function parseDebianCopyright(text) {
  if (!/^Format(-Specification)?:/im.test(text.slice(0, 1000))) return null;
  const stanzas = text.replaceAll(/^#.*\n/gm, '').split(/\n[ \t]*\n/);
  /** @type {string[]} by stanza */
  const licences = [];
  // Files name thousands of paths. Stanzas by whole paths, by beginnings, and by patterns with wildcards inside.
  /** @type {Map<string, number>} */
  const whole = new Map();
  /** @type {{ matches: (path: string) => boolean, stanza: number }[]} */
  const patterns = [];
  for (const stanza of stanzas) {
    const names = field(stanza, 'Files');
    if (names === undefined) continue;
    const index = licences.push(field(stanza, 'License')?.split('\n')[0]?.trim() ?? '') - 1;
    for (const name of names.split(/\s+/).filter(Boolean)) {
      const pattern = name.replace(/^\.\//, '');
      if (!/[*?\\]/.test(pattern)) whole.set(pattern, index);
      else patterns.push({ matches: matcher(pattern), stanza: index });
    }
  }
  // The last stanza that matches decides.
  return (path) => {
    const exact = whole.get(path) ?? -1;
    const found = patterns.findLast(({ matches, stanza }) => stanza > exact && matches(path))?.stanza ?? exact;
    return licences[found] ?? '';
  };
}

/** @param {string} stanza @param {string} name @returns {string | undefined} with its continued lines */
function field(stanza, name) {
  return stanza.match(new RegExp(`(?:^|\\n)${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'i'))?.[1];
}

/** @param {string} pattern in which `*` matches any characters, "/" too, and `?` one @returns {(path: string) => boolean} */
function matcher(pattern) {
  const beginning = pattern.slice(0, -1);
  if (pattern.endsWith('*') && !/[*?\\]/.test(beginning)) return (path) => path.startsWith(beginning);
  const text = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  const expression = new RegExp(`^${text.replaceAll('*', '.*').replaceAll('?', '.')}$`);
  return (path) => expression.test(path);
}
