// What tiny models are asked: random tokens, and where to look at the next one's distribution.
import { Random } from './random.mjs';
import { bos, firstToken, nVocab } from './vocabulary.mjs';

/** Around the sizes of pages, windows, batches and tiles; the longest is beyond most of them several times. */
const lengths = [1, 2, 17, 64, 129, 300, 600];
/** Rows inside of the longest prompt's last batch, counted from its end. */
const innerRows = [-64, -34, -9];

const random = new Random('prompts');

/** @typedef {{ tokens: number[], nLast: number }} TinyPrompt nLast: how many of the last tokens to look after */

/** @type {TinyPrompt[]} */
export const prompts = lengths.map((length, i) => ({
  tokens: [bos, ...Array.from({ length: length - 1 }, () => random.integer(firstToken, nVocab - 1))],
  nLast: i === lengths.length - 1 ? -(innerRows[0] ?? 0) : 1,
}));

/**
 * The distributions that are compared, out of all those asked for.
 * @param {number[][][]} rows [prompt][one of its last tokens][id], of the first prompts at least
 * @returns {{ where: string, logProbabilities: number[] }[]}
 */
export function comparedRows(rows) {
  return prompts.slice(0, rows.length).flatMap(({ tokens }, i) => {
    const places = i === prompts.length - 1 ? [...innerRows, -1] : [-1];
    return places.map((at) => ({
      where: `token ${tokens.length + at + 1} of ${tokens.length}`,
      logProbabilities: rows[i]?.at(at) ?? [],
    }));
  });
}
