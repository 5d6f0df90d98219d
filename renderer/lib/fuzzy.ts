// Fuzzy matching for the palette and "Go to File": the letters of the query in order, anywhere in the text.
// The score favours runs, starts of words and the file name over the folders. Cost: query × text per item.

export interface FuzzyMatch {
  score: number;
  /** Indices into the text that matched, ascending. */
  positions: number[];
}

const kRunBonus = 8;
const kWordStartBonus = 10;
const kNameBonus = 4;

function isWordStart(text: string, index: number): boolean {
  if (index === 0) return true;
  const before = text.charAt(index - 1);
  if (/[\s/._\-:]/.test(before)) return true;
  const here = text.charAt(index);
  return here !== here.toLowerCase() && before === before.toLowerCase();
}

/**
 * The best match of `query` in `text`, or null. An empty query matches everything with score 0. Spaces in the
 * query are ignored, so "op fo" finds "Open Folder".
 */
export function fuzzyMatch(query: string, text: string): FuzzyMatch | null {
  const needle = query.replace(/\s+/g, '').toLowerCase();
  if (needle === '') return { score: 0, positions: [] };
  const hay = text.toLowerCase();
  // toLowerCase may change the length (Turkish dotted I); positions would then be off by one, so compare as is.
  const haystack = hay.length === text.length ? hay : text;
  const nameStart = text.lastIndexOf('/') + 1;
  const n = haystack.length;

  // best[j]: best score of the needle so far with its last letter at j; from[i][j]: where the letter before was.
  let best: number[] = new Array(n).fill(-1);
  const from: Int32Array[] = [];
  for (let i = 0; i < needle.length; i++) {
    const next: number[] = new Array(n).fill(-1);
    const back = new Int32Array(n).fill(-1);
    let reach = -1; // best score among best[0..j-2]
    let reachAt = -1;
    for (let j = i; j < n; j++) {
      if (i > 0 && j >= 2 && (best[j - 2] ?? -1) > reach) {
        reach = best[j - 2] ?? -1;
        reachAt = j - 2;
      }
      if (haystack.charAt(j) !== needle.charAt(i)) continue;
      const own = 1 + (isWordStart(text, j) ? kWordStartBonus : 0) + (j >= nameStart ? kNameBonus : 0);
      if (i === 0) {
        next[j] = own;
        continue;
      }
      const adjacent = j > 0 ? (best[j - 1] ?? -1) : -1;
      const viaRun = adjacent < 0 ? -1 : adjacent + kRunBonus;
      if (viaRun < 0 && reach < 0) continue;
      next[j] = own + Math.max(viaRun, reach);
      back[j] = viaRun >= reach ? j - 1 : reachAt;
    }
    best = next;
    from.push(back);
  }

  let end = -1;
  for (let j = 0; j < n; j++) if ((best[j] ?? -1) >= 0 && (end < 0 || (best[j] ?? -1) > (best[end] ?? -1))) end = j;
  if (end < 0) return null;
  const score = (best[end] ?? 0) - n * 0.02; // between equals the shorter text is meant
  const positions: number[] = [];
  for (let i = needle.length - 1, j = end; i >= 0; i--) {
    positions.push(j);
    j = from[i]?.[j] ?? -1;
  }
  return { score, positions: positions.reverse() };
}

/** The items that match, best first, at most `limit`; equal scores keep their order. */
export function fuzzyFilter<T>(
  query: string,
  items: readonly T[],
  textOf: (item: T) => string,
  limit: number,
): { item: T; positions: number[] }[] {
  const found: { item: T; score: number; positions: number[] }[] = [];
  for (const item of items) {
    const match = fuzzyMatch(query, textOf(item));
    if (match) found.push({ item, ...match });
  }
  found.sort((a, b) => b.score - a.score);
  return found.slice(0, limit);
}
