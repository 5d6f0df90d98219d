// Does an implementation compute the distributions of a tiny model? The tolerance is llama.cpp's own rounding.
//
// The reference is llama.cpp with as little rounding as it can: a KV cache in f32, and weights in f32 too (quantized
// ones after its own dequantization). With the f16 cache and the 8-bit activations of its normal operation it deviates
// from that, and so may we, who round in the same places or in fewer. For every position let sigma be the root
// mean square of those deviations, over all tokens and several configurations of batch size and attention kernel; with
// it counts what llama.cpp rounds even then, which is GELU (it comes from a table in f16). A
// few roundings decide how large they are at one position, so half of its square is taken from all the file's
// positions. We require of our deviations from the reference, in units of sigma,
//   - a root mean square of at most 1.5 over the file, and of at most 2.5 at each position;
//   - at most 6 for each single token;
//   - the same most probable token where the reference's leads the second by more than 6.

const mostRms = 1.5;
const mostRowRms = 2.5;
const mostDeviation = 6;

/**
 * @typedef {object} ReferenceRow
 * @property {string} where
 * @property {number[]} logProbabilities of every sixth id
 * @property {number} sigma
 * @property {{ id: number, lead: number }} top its lead over the second, in log-probability
 *
 * @typedef {{ where: string, logProbabilities: number[] }} Row by id
 * @typedef {{ rms: number, worst: number, where: string, problems: string[] }} Comparison in units of sigma
 */

const idDistance = 6;

/** Those that are recorded. @param {number[]} logProbabilities by id */
function recordedOnes(logProbabilities) {
  return logProbabilities.filter((_, id) => id % idDistance === 0);
}

/** @param {number[]} values */
const meanSquare = (values) => values.reduce((sum, x) => sum + x * x, 0) / values.length;

/**
 * @param {Row[]} exact
 * @param {Row[][]} configurations the same positions in each
 * @param {number[]} [own] for each position the mean square of roundings in `exact` itself, which not all have to share
 * @returns {ReferenceRow[]}
 */
export function referenceRows(exact, configurations, own = []) {
  const squares = exact.map(
    ({ logProbabilities }, i) =>
      meanSquare(configurations.flatMap((rows) => logProbabilities.map((x, id) => at(rows[i], id) - x))) +
      (own[i] ?? 0),
  );
  const pooled = squares.reduce((sum, x) => sum + x, 0) / squares.length;
  return exact.map(({ where, logProbabilities }, i) => {
    const order = logProbabilities.map((_, id) => id).sort((a, b) => at(exact[i], b) - at(exact[i], a));
    const [first = 0, second = 0] = order;
    return {
      where,
      logProbabilities: recordedOnes(logProbabilities),
      sigma: Math.sqrt(((squares[i] ?? Number.NaN) + pooled) / 2),
      top: { id: first, lead: at(exact[i], first) - at(exact[i], second) },
    };
  });
}

/** @param {Row | undefined} row @param {number} id */
function at(row, id) {
  return row?.logProbabilities[id] ?? Number.NaN;
}

/**
 * @param {ReferenceRow[]} reference
 * @param {Row[]} rows the same positions
 * @returns {Comparison}
 */
export function compareRows(reference, rows) {
  const problems = [];
  const deviations = reference.map(({ where, logProbabilities, sigma, top }, i) => {
    const row = rows[i];
    const values = recordedOnes(row?.logProbabilities ?? []);
    const z = logProbabilities.map((x, k) => ((values[k] ?? Number.NaN) - x) / sigma);
    const rms = Math.sqrt(meanSquare(z));
    const worst = z.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const isTop = (row?.logProbabilities ?? []).every((x) => x <= at(row, top.id));
    // Negated, so that NaN is a problem too.
    if (!(rms <= mostRowRms)) problems.push(`${where}: deviations of ${rms.toFixed(1)} sigma; at most ${mostRowRms}`);
    if (!(worst <= mostDeviation))
      problems.push(`${where}: one of ${worst.toFixed(1)} sigma; at most ${mostDeviation}`);
    if (!isTop && top.lead > mostDeviation * sigma) problems.push(`${where}: another most probable token`);
    return { where, z, rms, worst };
  });
  const rms = Math.sqrt(meanSquare(deviations.flatMap(({ z }) => z)));
  if (!(rms <= mostRms)) problems.push(`all: deviations of ${rms.toFixed(2)} sigma; at most ${mostRms}`);
  const worst = deviations.reduce((a, b) => (b.worst > a.worst ? b : a), { where: '', worst: 0 });
  return { rms, worst: worst.worst, where: worst.where, problems };
}

/** @param {Comparison} comparison @param {ReferenceRow[]} reference */
export function describeComparison({ rms, worst, where }, reference) {
  const sigmas = reference.map(({ sigma }) => sigma.toExponential(1));
  return `rms ${rms.toFixed(2)}, worst ${worst.toFixed(2)} (${where}); sigma ${sigmas.join(' ')}`;
}

/**
 * The mean square of a computation's roundings, from its results for evenly spaced values of one of its inputs, so
 * close together that without roundings they would lie on a parabola.
 * @param {Row[][]} sweep [value][position]
 * @returns {number[]} for each position
 */
export function roundingsOf(sweep) {
  const middle = (sweep.length - 1) / 2;
  const steps = sweep.map((_, i) => i - middle);
  const power = (/** @type {number} */ n) => steps.reduce((sum, x) => sum + x ** n, 0);
  const [n, s2, s4] = [steps.length, power(2), power(4)];
  const determinant = n * s4 - s2 * s2;
  const positions = sweep[0] ?? [];
  return positions.map(({ logProbabilities }, i) => {
    const squares = logProbabilities.map((_, id) => {
      const y = sweep.map((rows) => at(rows[i], id));
      const moment = (/** @type {number} */ k) => steps.reduce((sum, x, j) => sum + x ** k * (y[j] ?? Number.NaN), 0);
      const constant = (moment(0) * s4 - s2 * moment(2)) / determinant;
      const linear = moment(1) / s2;
      const quadratic = (n * moment(2) - s2 * moment(0)) / determinant;
      const residuals = steps.map((x, j) => (y[j] ?? Number.NaN) - constant - linear * x - quadratic * x * x);
      return residuals.reduce((sum, x) => sum + x * x, 0) / (n - 3); // three parameters were fitted
    });
    return squares.reduce((sum, x) => sum + x, 0) / squares.length;
  });
}
