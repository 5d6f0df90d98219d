// Writes native/tokenizer/unicode_data.cpp from the Unicode Character Database:
//   node scripts/lib/unicode-data.mjs UnicodeData.txt     version 15.0.0, of Debian's package unicode-data 15.0.0-1
// llama.cpp, which tokenizes the models we must agree with, has the categories of 15.1. What that version added is
// listed below, from its UnicodeData.txt; nothing else in it differs from 15.0.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './process.mjs';

/** Bits of CharClass in native/tokenizer/unicode.h; what is not listed has none. @type {Record<string, number>} */
const classes = { L: 1, N: 2, M: 4, P: 8, S: 16, C: 64 };
const whiteSpace = 32; // PropList.txt: White_Space
const nCodePoints = 0x110000;
/** @type {[number, number, string][]} first, last, category */
const addedIn15Dot1 = [
  [0x2ffc, 0x2fff, 'So'],
  [0x31ef, 0x31ef, 'So'],
  [0x2ebf0, 0x2ee5d, 'Lo'],
];
const hangul = { first: 0xac00, last: 0xd7a3 }; // decomposed by rule (Unicode 3.12), not listed in the table

const lines = (await readFile(process.argv[2] ?? 'UnicodeData.txt', 'utf8')).trim().split('\n');
const category = new Uint8Array(nCodePoints);
/** @type {Map<number, number>} */
const lower = new Map();
/** @type {Map<number, number>} to the first code point of the canonical decomposition, one step */
const decomposed = new Map();

let first = 0;
for (const line of lines) {
  const fields = line.split(';');
  const [code = '', name = '', general = ''] = fields;
  const at = parseInt(code, 16);
  if (!name.endsWith(', Last>')) first = at;
  if (name.endsWith(', First>')) continue;
  setCategory(first, at, general);
  const [decomposition = '', lowerCase = ''] = [fields[5], fields[13]];
  if (lowerCase !== '') lower.set(at, parseInt(lowerCase, 16));
  if (decomposition !== '' && !decomposition.startsWith('<')) decomposed.set(at, parseInt(decomposition, 16));
}
for (const [from, to, general] of addedIn15Dot1) setCategory(from, to, general);
for (const [from, to] of [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0x85, 0x85],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
])
  for (let at = from ?? 0; at <= (to ?? 0); ++at) category[at] = (category[at] ?? 0) | whiteSpace;

/** @param {number} from @param {number} to @param {string} general */
function setCategory(from, to, general) {
  category.fill(classes[general[0] ?? ''] ?? 0, from, to + 1);
}

/** @param {number} at @returns {number} */
function fullyDecomposed(at) {
  const next = decomposed.get(at);
  return next === undefined ? at : fullyDecomposed(next);
}

/** Where the class changes: start << 8 | class. */
const classRanges = [...category.entries()]
  .filter(([at, bits]) => at === 0 || bits !== category[at - 1])
  .map(([at, bits]) => at * 256 + bits);

/** Runs of equal distance to the lower case: [first, last, step between members, lower case of the first]. */
const lowerRanges = [...lower].reduce(
  (runs, [at, to]) => {
    const run = runs.at(-1);
    const isNext = run !== undefined && at - to === run[0] - run[3];
    if (isNext && run[0] === run[1] && at - run[1] <= 2) runs[runs.length - 1] = [run[0], at, at - run[1], run[3]];
    else if (isNext && run[0] !== run[1] && at - run[1] === run[2]) run[1] = at;
    else runs.push([at, at, 1, to]);
    return runs;
  },
  /** @type {[number, number, number, number][]} */ ([]),
);

/** Neighbours with one first code point: [first, last, decomposed]. */
const nfdRanges = [...decomposed.keys()].reduce(
  (runs, at) => {
    const run = runs.at(-1);
    const to = fullyDecomposed(at);
    if (run !== undefined && run[1] === at - 1 && run[2] === to) run[1] = at;
    else runs.push([at, at, to]);
    return runs;
  },
  /** @type {[number, number, number][]} */ ([]),
);

/** @param {string} name @param {string} comment @param {number[]} numbers */
function array(name, comment, numbers) {
  const items = numbers.map((n) => `0x${n.toString(16).toUpperCase()},`);
  /** @type {string[]} */
  const rows = [];
  for (const item of items) {
    const row = rows.at(-1);
    if (row !== undefined && row.length + item.length < 118) rows[rows.length - 1] = `${row} ${item}`;
    else rows.push(`  ${item}`);
  }
  return `// ${comment}\nconst std::array<uint32_t, ${numbers.length}> ${name} = {\n${rows.join('\n')}\n};\n`;
}

const text = `// Made by scripts/lib/unicode-data.mjs from the Unicode Character Database 15.1. Do not edit.
#include "tokenizer/unicode_data.h"

// clang-format off
namespace outpost {

${array('kUnicodeClassRanges', 'start << 8 | class bits; each range ends where the next starts', classRanges)}
${array('kUnicodeLowerRanges', 'first, last, step, lower case of the first', lowerRanges.flat())}
${array('kUnicodeNfdRanges', 'first, last, first code point of the decomposition', nfdRanges.flat())}
}  // namespace outpost
// clang-format on
`;
const header = `// Tables made by scripts/lib/unicode-data.mjs: see unicode_data.cpp. Read through unicode.h.
#pragma once

#include <array>
#include <cstdint>

namespace outpost {

extern const std::array<uint32_t, ${classRanges.length}> kUnicodeClassRanges;
extern const std::array<uint32_t, ${lowerRanges.length * 4}> kUnicodeLowerRanges;
extern const std::array<uint32_t, ${nfdRanges.length * 3}> kUnicodeNfdRanges;
/// Hangul syllables decompose by rule: the first code point is the leading consonant, one for 588 syllables.
inline constexpr uint32_t kHangulFirst = 0x${hangul.first.toString(16).toUpperCase()}, kHangulLast = 0x${hangul.last.toString(16).toUpperCase()};

}  // namespace outpost
`;
await writeFile(join(root, 'native', 'tokenizer', 'unicode_data.cpp'), text);
await writeFile(join(root, 'native', 'tokenizer', 'unicode_data.h'), header);
