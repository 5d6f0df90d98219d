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
//   - the same top-1 token wherever the reference's configurations agree on it by more than the noise: mean
//     log-probabilities of first and second further apart than 3 sigma.

/** @typedef {[number, number][]} TopTokens id and probability, most probable first */

/**
 * @param {{ id: string, reference: TopTokens[], ours: TopTokens }[]} prompts reference: one entry per configuration
 * @param {number} [nTop]
 */
export function measureAgreement(prompts, nTop = 20) {
  const rows = prompts.map(({ id, reference, ours }) => {
    const maps = reference.map((top) => new Map(top));
    const ourMap = new Map(ours);
    // Tokens that every configuration lists: the list is longer than nTop, so that near its end none is lost.
    const ids = (reference[0] ?? []).map(([token]) => token).filter((token) => maps.every((map) => map.has(token)));
    const tokens = ids.slice(0, nTop).map((token) => {
      const logs = maps.map((map) => Math.log(map.get(token) ?? 0));
      const mean = logs.reduce((a, b) => a + b, 0) / logs.length;
      const squares = logs.reduce((a, b) => a + (b - mean) ** 2, 0);
      const probability = ourMap.get(token);
      return { token, mean, squares, ours: probability === undefined ? null : Math.log(probability) };
    });
    const ranked = [...tokens].sort((a, b) => b.mean - a.mean);
    const gap = (ranked[0]?.mean ?? 0) - (ranked[1]?.mean ?? 0);
    return { id, tokens, gap, isSameTop: ours[0]?.[0] === ranked[0]?.token };
  });

  const all = rows.flatMap((row) => row.tokens);
  const nConfigurations = prompts[0]?.reference.length ?? 0;
  const sigma = Math.sqrt(all.reduce((sum, t) => sum + t.squares, 0) / (all.length * (nConfigurations - 1)));
  const scale = sigma * Math.sqrt(1 + 1 / nConfigurations);
  const deviations = rows.flatMap((row) =>
    row.tokens.map((t) => ({ id: row.id, ...t, z: t.ours === null ? Infinity : Math.abs(t.ours - t.mean) / scale })),
  );
  const rms = Math.sqrt(deviations.reduce((sum, d) => sum + d.z ** 2, 0) / deviations.length);
  const worst = deviations.reduce((a, b) => (b.z > a.z ? b : a));
  const topMismatches = rows
    .filter((row) => !row.isSameTop)
    .map((row) => ({ id: row.id, gap: row.gap, isTie: row.gap <= 3 * sigma }));
  return { n: all.length, sigma, rms, worst, topMismatches, nPrompts: rows.length };
}

/** @param {ReturnType<typeof measureAgreement>} measured @returns {string[]} what is wrong */
export function disagreements(measured) {
  const found = [];
  if (!(measured.rms <= 1.5))
    found.push(`the deviations are ${measured.rms.toFixed(2)} times the reference's noise; at most 1.5`);
  if (!(measured.worst.z <= 6))
    found.push(
      `prompt ${measured.worst.id}, token ${measured.worst.token}: ${measured.worst.z.toFixed(1)} standard deviations away; at most 6`,
    );
  for (const { id, gap, isTie } of measured.topMismatches) {
    if (!isTie)
      found.push(
        `prompt ${id}: another top-1 token, although the reference's lead is ${gap.toFixed(3)} in log-probability`,
      );
  }
  return found;
}
