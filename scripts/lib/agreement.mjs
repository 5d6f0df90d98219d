// Do two implementations compute the same distribution? The tolerance is the reference's own noise.
//
// The model's weights have 2 bits and its activations 8: a last-bit difference in any sum flips the rounding of
// an activation, and the flips add up over 22 layers. llama.cpp disagrees with itself in the same way when only
// the batch size or the attention kernel changes. So the reference runs in several such configurations. For
// every prompt and every token of its top 20, let m be the mean log-probability over the configurations, and
// sigma the standard deviation around m, pooled over all prompts and tokens. A correct implementation is one more
// draw from the same noise: around a mean of c draws its deviation has the standard deviation
// sigma * sqrt(1 + 1/c). We require
//   - the root mean square of all our deviations to be at most 1.5 of that: with some 500 of them, correlated in
//     groups of 20, chance stays well below; a systematic error does not;
//   - every single deviation to be at most 6 of that;
//   - the same top-1 token for every prompt. That asks for prompts whose top-1 the reference itself is sure of:
//     they are chosen, and the recording refuses others, by `unclearPrompts`.

/**
 * @typedef {[number, number][]} TopTokens id and probability, most probable first
 * @typedef {{ id: string, reference: TopTokens[] }} ReferencePrompt one list per configuration
 * @typedef {{ token: number, mean: number, squares: number }} ReferenceToken log-probabilities over configurations
 */

/** The top-1 of every configuration has to lead by this many sigma for a prompt to be used. */
const clearLead = 3;
/** The only prompt of its kind: there is no other one to take if its top-1 is not clear. */
const emptyPrompt = 'empty';
const mostRms = 1.5;
const mostDeviation = 6;

/**
 * The reference's most probable tokens, by the mean over its configurations.
 * @param {TopTokens[]} reference
 * @param {number} nTop
 * @returns {ReferenceToken[]}
 */
function referenceTokens(reference, nTop) {
  const maps = reference.map((top) => new Map(top));
  // Tokens that every configuration lists: the lists are longer than nTop, so that near its end none is lost.
  const ids = (reference[0] ?? []).map(([id]) => id).filter((id) => maps.every((map) => map.has(id)));
  const tokens = ids.map((token) => {
    const logs = maps.map((map) => Math.log(map.get(token) ?? 0));
    const mean = sum(logs) / logs.length;
    return { token, mean, squares: sum(logs.map((log) => (log - mean) ** 2)) };
  });
  return tokens.sort((a, b) => b.mean - a.mean).slice(0, nTop);
}

/**
 * The standard deviation of one configuration's log-probability.
 * @param {ReferencePrompt[]} prompts
 * @param {number} [nTop]
 */
export function noiseOf(prompts, nTop = 20) {
  const nConfigurations = prompts[0]?.reference.length ?? 0;
  const tokens = prompts.flatMap(({ reference }) => referenceTokens(reference, nTop));
  return Math.sqrt(sum(tokens.map((token) => token.squares)) / (tokens.length * (nConfigurations - 1)));
}

/**
 * Prompts whose top-1 token is within the reference's noise, so that a correct implementation may have another.
 * @param {ReferencePrompt[]} prompts
 * @returns {string[]} one sentence for each
 */
export function unclearPrompts(prompts) {
  const sigma = noiseOf(prompts);
  return prompts.flatMap(({ id, reference }) => {
    if (id === emptyPrompt) return [];
    const leads = reference.map(([first, second]) => Math.log((first?.[1] ?? 0) / (second?.[1] ?? 0)));
    const isOneTop = new Set(reference.map((top) => top[0]?.[0])).size === 1;
    if (isOneTop && leads.every((lead) => lead > clearLead * sigma)) return [];
    const text = leads.map((lead) => lead.toFixed(3)).join(', ');
    return [`prompt ${id}: leads of ${text} in log-probability; more than ${(clearLead * sigma).toFixed(3)} needed`];
  });
}

/**
 * @param {(ReferencePrompt & { ours: TopTokens })[]} prompts
 * @param {{ nTop?: number, sigma?: number }} [options] sigma: the noise, if known from more prompts than these
 */
export function measureAgreement(prompts, { nTop = 20, sigma = noiseOf(prompts, nTop) } = {}) {
  const nConfigurations = prompts[0]?.reference.length ?? 0;
  const scale = sigma * Math.sqrt(1 + 1 / nConfigurations);
  const deviations = prompts.flatMap(({ id, reference, ours }) => {
    const ourMap = new Map(ours);
    return referenceTokens(reference, nTop).map(({ token, mean }) => {
      const probability = ourMap.get(token);
      const z = probability === undefined ? Infinity : Math.abs(Math.log(probability) - mean) / scale;
      return { id, token, z };
    });
  });
  const topMismatches = prompts
    .filter(({ reference, ours }) => ours[0]?.[0] !== referenceTokens(reference, 1)[0]?.token)
    .map(({ id }) => id);
  return {
    sigma,
    rms: Math.sqrt(sum(deviations.map(({ z }) => z ** 2)) / deviations.length),
    worst: deviations.reduce((a, b) => (b.z > a.z ? b : a), { id: '', token: -1, z: 0 }),
    topMismatches,
    nDeviations: deviations.length,
    nPrompts: prompts.length,
  };
}

/** @typedef {ReturnType<typeof measureAgreement>} Agreement */

/** @param {Agreement} measured @returns {string[]} what is wrong */
export function disagreements({ rms, worst, topMismatches }) {
  const found = topMismatches.map((id) => `prompt ${id}: another top-1 token`);
  // Negated, so that NaN is a disagreement too.
  if (!(rms <= mostRms))
    found.push(`the deviations are ${rms.toFixed(2)} of the reference's noise; at most ${mostRms}`);
  if (!(worst.z <= mostDeviation)) {
    const where = `prompt ${worst.id}, token ${worst.token}`;
    found.push(`${where}: ${worst.z.toFixed(1)} standard deviations away; at most ${mostDeviation}`);
  }
  return found;
}

/** @param {Agreement} measured */
export function describeAgreement({ nPrompts, nDeviations, sigma, rms, worst, topMismatches }) {
  return (
    `${nPrompts - topMismatches.length} of ${nPrompts} prompts have the same top-1; ${nDeviations} log-probabilities ` +
    `deviate by ${rms.toFixed(3)} (rms) and ${worst.z.toFixed(2)} (most, prompt ${worst.id}) of the reference's ` +
    `noise, sigma ${sigma.toFixed(4)}`
  );
}

/** @param {number[]} values */
function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}
