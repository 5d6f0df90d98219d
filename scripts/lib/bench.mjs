// One run of each engine on the same model, in a process of its own, and the figures that come out of several.
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { peerDirectory } from './peer.mjs';
import { capture, SetupError } from './process.mjs';

/**
 * @typedef {object} BenchOptions
 * @property {string} program our command line
 * @property {string} model path
 * @property {number} nThreads
 * @property {AbortSignal} signal ends the running program
 * @property {number} [nDecode] tokens
 * @property {number} [nRepetitions] of which the median counts
 *
 * @typedef {{ loadMs: number, firstTokenMs: number, prefill: number, decode: number }} Figures tokens per second
 *
 * @typedef {object} PeerBenchRequest
 * @property {string} model
 * @property {number} nThreads
 * @property {number} nPrefill
 * @property {number} nDecode
 * @property {number} nRepetitions
 * @property {boolean[]} flashAttention the settings to measure, one after the other
 * @property {number} [depth] tokens to prefill once; decoding is measured behind them
 *
 * @typedef {object} PeerBench
 * @property {number} loadMs
 * @property {number} firstTokenMs since the start
 * @property {{ flashAttention: boolean, prefill: number[], decode: number[] }[]} results tokens per second
 * @property {number} peakBytes of the process
 * @property {number} baseBytes of Node alone
 * @property {import('./peer.mjs').PeerBuild} build
 */

export const nPrefill = 512;
export const nDecode = 128;
const defaults = { nDecode, nRepetitions: 3 };

/** For parseArgs. */
export const countOptions = /** @type {const} */ ({ pairs: { type: 'string' }, threads: { type: 'string' } });

/** @param {{ pairs?: string, threads?: string }} values @param {{ nPairs: number }} defaults */
export function readCounts({ pairs, threads }, defaults) {
  const nPairs = Number(pairs ?? defaults.nPairs);
  const nThreads = Number(threads ?? availableParallelism());
  for (const [name, value] of Object.entries({ pairs: nPairs, threads: nThreads }))
    if (!Number.isInteger(value) || value < 1) throw new SetupError(`--${name} expects a whole number from 1.`);
  return { nPairs, nThreads };
}

/** @param {BenchOptions} options @returns {Promise<Figures & { readBandwidth: number, peakInt8: number, peakF32: number, bytesPerToken: number, stepMs: Record<string, number> }>} */
export async function benchEngine({ program, model, nThreads, signal, ...counts }) {
  const { nDecode, nRepetitions } = { ...defaults, ...counts };
  const sizes = ['--prefill', `${nPrefill}`, '--decode', `${nDecode}`, '--reps', `${nRepetitions}`];
  const output = await capture(program, ['bench', model, '--json', '--threads', `${nThreads}`, ...sizes], { signal });
  const { prefillTokensPerSecond, decodeTokensPerSecond, ...rest } = JSON.parse(output);
  return { prefill: prefillTokensPerSecond, decode: decodeTokensPerSecond, ...rest };
}

/** @param {BenchOptions} options @param {boolean[]} flashAttention @returns {Promise<PeerBench>} */
export async function benchPeer({ model, nThreads, signal, ...counts }, flashAttention) {
  const { nDecode, nRepetitions } = { ...defaults, ...counts };
  const request = { model, nThreads, nPrefill, nDecode, nRepetitions, flashAttention };
  const input = JSON.stringify(request);
  return JSON.parse(await capture(process.execPath, ['bench.mjs'], { cwd: peerDirectory, input, signal }));
}

/**
 * Decoding behind `depth` tokens, in f16: tokens per second of ours and of the peer.
 * @param {BenchOptions} options
 * @param {number} depth
 */
export async function benchAtDepth({ program, model, nThreads, signal }, depth) {
  const threads = ['--threads', `${nThreads}`];
  const sizes = ['--depth', `${depth}`, '--prefill', '8', '--decode', '2', '--reps', '3'];
  const ours = JSON.parse(await capture(program, ['bench', model, '--json', ...threads, ...sizes], { signal }));
  const request = { model, nThreads, nPrefill: 0, nDecode: 24, nRepetitions: 0, flashAttention: [true], depth };
  const input = JSON.stringify(request);
  /** @type {PeerBench} */
  const peer = JSON.parse(await capture(process.execPath, ['bench.mjs'], { cwd: peerDirectory, input, signal }));
  return { ours: 1000 / ours.stepMs['1'], peer: median(peer.results.flatMap(({ decode }) => decode)) };
}

/** The better of the measured settings for each figure. @param {PeerBench} bench @returns {Figures} */
export function bestOfPeer({ loadMs, firstTokenMs, results }) {
  return {
    loadMs,
    firstTokenMs,
    prefill: Math.max(...results.map(({ prefill }) => median(prefill))),
    decode: Math.max(...results.map(({ decode }) => median(decode))),
  };
}

/** The settings that give the peer its best figures: one, or one for each figure. @param {PeerBench} bench */
export function bestSettings({ results }) {
  const best = (/** @type {'prefill' | 'decode'} */ figure) =>
    results.reduce((a, b) => (median(b[figure]) > median(a[figure]) ? b : a)).flashAttention;
  return [...new Set([best('prefill'), best('decode')])];
}

/**
 * The most memory our engine has for the work of one benchmark run. The `bench` command itself would not tell: it
 * also takes memory to measure the machine's bandwidth.
 * @param {BenchOptions} options
 * @returns {Promise<number | null>} null where the system does not tell
 */
export async function enginePeakBytes({ program, model, nThreads, signal }) {
  if (process.platform !== 'linux') return null;
  // Vocabularies without this word spell it in six tokens.
  const prompt = 'one '.repeat(Math.floor(nPrefill / 6));
  const args = ['run', model, '-p', prompt, '-n', `${nDecode}`, '--temp', '0', '--threads', `${nThreads}`];
  let peakBytes = 0;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const onStart = (/** @type {number} */ pid) => {
    // A high-water mark, so that only what happens after the last look is missed.
    timer = setInterval(() => {
      peakBytes = highWaterBytes(pid) ?? peakBytes;
    }, 50);
  };
  await capture(program, args, { signal, onStart }).finally(() => clearInterval(timer));
  return peakBytes;
}

/** @param {number} pid @returns {number | null} null once the process is gone */
function highWaterBytes(pid) {
  try {
    const kilobytes = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmHWM:\s*(\d+) kB$/m)?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** @param {number[]} values */
export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * The share of all processors that other programs use, over one second in which we use none.
 * @returns {Promise<number>} 0 to 1
 */
export async function othersShare() {
  const before = processorTimes();
  await new Promise((wake) => setTimeout(wake, 1000));
  const after = processorTimes();
  return 1 - (after.idle - before.idle) / (after.all - before.all);
}

function processorTimes() {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0);
  return { idle: sum(times.map(({ idle }) => idle)), all: sum(times.flatMap((each) => Object.values(each))) };
}

/**
 * Of every figure our spread, the peer's, that of the ratios pair by pair and the ratio of the best runs; above 1
 * we are faster. Other programs only ever slow a run down, and engines that wait by spinning most of all: on a
 * machine that is not quiet the ratio of the best runs is the fair one.
 * @param {{ ours: Figures, peer: Figures }[]} pairs
 */
export function comparePairs(pairs) {
  return /** @type {const} */ (['loadMs', 'firstTokenMs', 'prefill', 'decode']).map((figure) => {
    const isTime = figure.endsWith('Ms');
    const ours = spread(pairs.map((pair) => pair.ours[figure]));
    const peer = spread(pairs.map((pair) => pair.peer[figure]));
    const ratios = pairs.map((pair) => pair.ours[figure] / pair.peer[figure]);
    return {
      figure,
      ours,
      peer,
      ratio: spread(isTime ? ratios.map((ratio) => 1 / ratio) : ratios),
      bestRatio: isTime ? peer.min / ours.min : ours.max / peer.max,
    };
  });
}
