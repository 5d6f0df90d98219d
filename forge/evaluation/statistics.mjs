// Rates and their intervals, for samples in which some members belong together.

/** @typedef {{ value: number, low: number, high: number, n: number, nGroups: number }} Estimate with its 95 % interval */
/** @typedef {{ group: string, part: number, whole: number }} Member of a ratio: the sum of parts by the sum of wholes */

const resamples = 2000;

/**
 * The ratio of sums, its interval by drawing whole groups again (bootstrap). Where all members agree, which drawing again
 * cannot tell from certainty, Wilson's interval of as many members as there are groups.
 * @param {Member[]} members
 * @returns {Estimate}
 */
export function estimate(members) {
  const groups = summedGroups(members);
  const value = ratio(groups);
  const size = { n: members.length, nGroups: groups.length };
  if (members.every(({ whole }) => whole === 1) && (value === 0 || value === 1))
    return { value, ...wilson(value * groups.length, groups.length), ...size };
  return { value, ...interval(groups.length, (drawn) => ratio(drawn.map((i) => groups[i] ?? nothing))), ...size };
}

/**
 * How much more the ratio of `ours` is than that of `theirs`, of the same groups. Where all groups say the same, it may be
 * off by what Wilson's interval allows of groups that say something else.
 * @param {Member[]} ours @param {Member[]} theirs
 * @returns {Estimate}
 */
export function difference(ours, theirs) {
  const [a, b] = [summedGroups(ours), summedGroups(theirs)];
  const of = (/** @type {number[]} */ drawn) =>
    ratio(drawn.map((i) => a[i] ?? nothing)) - ratio(drawn.map((i) => b[i] ?? nothing));
  const all = a.map((_, i) => i);
  const value = of(all);
  const size = { n: ours.length, nGroups: a.length };
  if (ours.every(({ whole }) => whole === 1) && all.every((i) => of([i]) === value)) {
    const { high } = wilson(0, a.length);
    return { value, low: Math.max(-1, value - high), high: Math.min(1, value + high), ...size };
  }
  return { value, ...interval(a.length, of), ...size };
}

const nothing = { part: 0, whole: 0 };

/** @param {Member[]} members @returns {{ part: number, whole: number }[]} in the order of the groups' first members */
function summedGroups(members) {
  /** @type {Map<string, { part: number, whole: number }>} */
  const groups = new Map();
  for (const { group, part, whole } of members) {
    const sum = groups.get(group) ?? nothing;
    groups.set(group, { part: sum.part + part, whole: sum.whole + whole });
  }
  return [...groups.values()];
}

/** @param {{ part: number, whole: number }[]} groups */
function ratio(groups) {
  let part = 0;
  let whole = 0;
  for (const group of groups) {
    part += group.part;
    whole += group.whole;
  }
  return part / whole;
}

/** @param {number} n @param {(drawn: number[]) => number} statistic */
function interval(n, statistic) {
  // The same draws in every run: a linear congruential generator modulo 2^32 (Numerical Recipes' constants).
  let state = 12345;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const values = Array.from({ length: resamples }, () =>
    statistic(Array.from({ length: n }, () => Math.floor(random() * n))),
  ).sort((a, b) => a - b);
  return { low: values[Math.floor(0.025 * resamples)] ?? 0, high: values[Math.floor(0.975 * resamples)] ?? 0 };
}

/** @param {number} nTrue @param {number} n @returns {{ low: number, high: number }} */
export function wilson(nTrue, n) {
  const z = 1.96;
  const p = nTrue / n;
  const centre = p + (z * z) / (2 * n);
  const reach = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  return { low: Math.max(0, (centre - reach) / scale), high: Math.min(1, (centre + reach) / scale) };
}
