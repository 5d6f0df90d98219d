// Encodes with a vocabulary that `outpost-engine train-tokenizer` wrote as JSON, by the definition of byte-pair
// encoding: the reference for the GGUF file's runtimes, and what the figures are counted with.

/** @typedef {{ id: number, left?: number, right?: number }} VocabularyToken */

/**
 * @param {{ tokens: VocabularyToken[] }} vocabulary
 * @returns {(text: string) => number[]} ids, special tokens not parsed
 */
export function createEncoder({ tokens }) {
  const firstByte = tokens.findIndex((token) => !('special' in token));
  const nTokens = tokens.length;
  /** @type {Map<number, number>} pair of ids -> id of the joined token; ids are in the order of learning */
  const merges = new Map();
  for (const { id, left, right } of tokens)
    if (left !== undefined && right !== undefined) merges.set(left * nTokens + right, id);
  /** @param {number | undefined} left @param {number | undefined} right */
  const merged = (left, right) =>
    left === undefined || right === undefined ? undefined : merges.get(left * nTokens + right);

  /** @param {string} text */
  const encodePiece = (text) => {
    const ids = [...new TextEncoder().encode(text)].map((byte) => firstByte + byte);
    const joined = ids.map((id, i) => merged(id, ids[i + 1]));
    for (;;) {
      let best = -1;
      for (let i = 0; i < joined.length; ++i) {
        const id = joined[i];
        if (id !== undefined && (best < 0 || id < (joined[best] ?? Infinity))) best = i;
      }
      const id = joined[best];
      if (id === undefined) return ids;
      ids.splice(best, 2, id);
      joined.splice(best, 1);
      joined[best] = merged(ids[best], ids[best + 1]);
      if (best > 0) joined[best - 1] = merged(ids[best - 1], ids[best]);
    }
  };

  /** @type {Map<string, number[]>} */
  const known = new Map();
  return (text) =>
    splitPieces(text).flatMap((piece) => {
      const ids = known.get(piece) ?? encodePiece(piece);
      if (known.size < 1e6) known.set(piece, ids);
      return ids;
    });
}

/**
 * The pre-tokenizer "superbpe": numbers apart, ASCII digits in groups of three from their right end. Lines are cut
 * in addition, which changes nothing, because no token reaches over a line's start.
 * @param {string} text
 */
export function splitPieces(text) {
  return text
    .split(/(\p{N}+)/u)
    .flatMap((part) =>
      /^\p{N}/u.test(part) ? part.split(/(?=(?:[0-9]{3})+(?![0-9]))/) : part.split(/(?<=[^\r\n])(?=[\r\n])/),
    )
    .filter((part) => part !== '');
}
