// Figures as the report shows them.

/** @typedef {import('./statistics.mjs').Estimate} Estimate */

/** @param {number} value */
export const plain = (value) => value.toFixed(3);
/** @param {number} value */
export const signed = (value) => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(3)}`;
/** @param {number} value */
export const percent = (value) => `${(100 * value).toFixed(1)} %`;
/** @param {number} value */
export const signedPercent = (value) => `${value >= 0 ? '+' : '−'}${percent(Math.abs(value))}`;

/** Of fewer, drawing again knows too few others to say how far a rate may be off. */
const leastGroups = 8;

/** @param {Estimate} estimate @param {(value: number) => string} show */
export function inWords({ value, low, high, nGroups }, show) {
  const reach = nGroups < leastGroups ? `${nGroups} groups: no interval` : `${show(low)} to ${show(high)}`;
  return `${show(value)} (${reach})`;
}
