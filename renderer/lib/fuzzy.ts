// Fuzzy matching for the palette and "Go to File": the letters of the query in order, anywhere in the text.
// The score favours runs, starts of words and the file name over the folders. Twenty thousand paths are matched between
// two keys: most texts are ruled out by a plain search for the letters, and only what is shown gets its positions.

export interface FuzzyMatch {
  score: number;
  /** Indices into the text that matched, ascending. */
  positions: number[];
}

const kRunBonus = 8;
const kWordStartBonus = 10;
const kNameBonus = 4;
/** Between equals the shorter text is meant. */
const kLengthCost = 0.02;
const kNone = -1;
/** No path of ours is longer; of a longer text the start is matched. */
const kLongest = 4096;

/** 1 for characters that end a word. */
const kSeparators = new Uint8Array(128);
for (const letter of ' \t/._-:') kSeparators[letter.charCodeAt(0)] = 1;

/** Scores of the needle so far with its last letter at each place, and of the one before it. */
let best = new Int32Array(kLongest);
let next = new Int32Array(kLongest);
const earliest: number[] = [];
const latest: number[] = [];

function isWordStart(text: string, index: number): boolean {
  if (index === 0) return true;
  const before = text.charCodeAt(index - 1);
  return kSeparators[before] === 1 || (isUpper(text.charCodeAt(index)) && !isUpper(before));
}

function isUpper(code: number): boolean {
  if (code < 128) return code >= 65 && code <= 90;
  const letter = String.fromCharCode(code);
  return letter !== letter.toLowerCase();
}

/** Fills `earliest` and `latest`: between which places each letter can be. False if there is no match. */
function findBounds(needle: string, haystack: string): boolean {
  for (let i = 0, at = 0; i < needle.length; i++, at++) {
    at = haystack.indexOf(needle.charAt(i), at);
    if (at < 0 || at >= kLongest) return false;
    earliest[i] = at;
  }
  for (let i = needle.length - 1, at = Math.min(haystack.length, kLongest) - 1; i >= 0; i--, at--) {
    at = haystack.lastIndexOf(needle.charAt(i), at);
    latest[i] = at;
  }
  return true;
}

/**
 * @param needle lower case, not empty
 * @param trace gets, per letter, where the letter before it was for each place; only needed for positions
 * @returns null for no match
 */
function match(needle: string, text: string, trace: Int32Array[] | null): { score: number; end: number } | null {
  const lower = text.toLowerCase();
  // toLowerCase may change the length (Turkish dotted I); positions would then be off by one, so compare as is.
  const haystack = lower.length === text.length ? lower : text;
  if (!findBounds(needle, haystack)) return null;
  const nameStart = text.lastIndexOf('/') + 1;
  for (let i = 0; i < needle.length; i++) {
    const letter = needle.charCodeAt(i);
    const first = earliest[i] ?? 0;
    const last = latest[i] ?? 0;
    const [firstBefore, lastBefore] = [earliest[i - 1] ?? 0, latest[i - 1] ?? 0];
    const back = trace ? new Int32Array(last + 1) : null;
    let reach = kNone; // the best score that ends at least one letter before the neighbour
    let reachAt = kNone;
    let seen = firstBefore;
    for (let j = first; j <= last; j++) {
      for (; i > 0 && seen <= Math.min(j - 2, lastBefore); seen++) {
        if ((best[seen] ?? kNone) > reach) [reach, reachAt] = [best[seen] ?? kNone, seen];
      }
      next[j] = kNone;
      if (haystack.charCodeAt(j) !== letter) continue;
      const own = 1 + (isWordStart(text, j) ? kWordStartBonus : 0) + (j >= nameStart ? kNameBonus : 0);
      if (i === 0) {
        next[j] = own;
        continue;
      }
      const isNeighbourKnown = j - 1 >= firstBefore && j - 1 <= lastBefore;
      const neighbour = isNeighbourKnown ? (best[j - 1] ?? kNone) : kNone;
      const viaRun = neighbour < 0 ? kNone : neighbour + kRunBonus;
      if (viaRun < 0 && reach < 0) continue;
      next[j] = own + Math.max(viaRun, reach);
      if (back) back[j] = viaRun >= reach ? j - 1 : reachAt;
    }
    [best, next] = [next, best];
    if (back) trace?.push(back);
  }
  const i = needle.length - 1;
  let end = earliest[i] ?? 0;
  for (let j = end; j <= (latest[i] ?? 0); j++) if ((best[j] ?? kNone) > (best[end] ?? kNone)) end = j;
  return { score: (best[end] ?? 0) - text.length * kLengthCost, end };
}

function toNeedle(query: string): string {
  return query.replace(/\s+/g, '').toLowerCase();
}

/**
 * The best match of `query` in `text`, or null. An empty query matches everything with score 0. Spaces in the
 * query are ignored, so "op fo" finds "Open Folder".
 */
export function fuzzyMatch(query: string, text: string): FuzzyMatch | null {
  const needle = toNeedle(query);
  if (needle === '') return { score: 0, positions: [] };
  const trace: Int32Array[] = [];
  const found = match(needle, text, trace);
  if (found === null) return null;
  const positions: number[] = [];
  for (let i = needle.length - 1, j = found.end; i >= 0; i--) {
    positions.push(j);
    j = trace[i]?.[j] ?? kNone;
  }
  return { score: found.score, positions: positions.reverse() };
}

/** The items that match, best first, at most `limit`; equal scores keep their order. */
export function fuzzyFilter<T>(
  query: string,
  items: readonly T[],
  textOf: (item: T) => string,
  limit: number,
): { item: T; positions: number[] }[] {
  const needle = toNeedle(query);
  if (needle === '') return items.slice(0, limit).map((item) => ({ item, positions: [] }));
  const found: { item: T; score: number }[] = [];
  for (const item of items) {
    const matched = match(needle, textOf(item), null);
    if (matched) found.push({ item, score: matched.score });
  }
  found.sort((a, b) => b.score - a.score);
  return found.slice(0, limit).map(({ item }) => {
    return { item, positions: fuzzyMatch(query, textOf(item))?.positions ?? [] };
  });
}
