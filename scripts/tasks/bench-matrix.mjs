// `npm run bench -- matrix [--types q4_K,q8_0] [--pairs N] [--threads N]`: our engine and llama.cpp per tensor type, on
// files that our quantizer makes of the default model. Prefill, decode, what passes over 2 to 16 tokens cost, and the
// bandwidth of the same minute as the ceiling. Speed does not depend on how good the weights are.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchEngine, benchPeer, bestOfPeer, comparePairs, countOptions, median, readCounts } from '../lib/bench.mjs';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensurePeer } from '../lib/peer.mjs';
import { capture, root, SetupError } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { formatTable } from '../lib/table.mjs';

const directory = join(root, 'build', 'bench');
/** The type that the default model has, and those that the quantizer makes. */
const ownType = 'iq2_xxs';
const types = [ownType, 'q2_K', 'q3_K', 'q4_K', 'q5_K', 'q6_K', 'iq4_xs', 'q4_0', 'q8_0', 'f16', 'bf16'];

/** @typedef {Awaited<ReturnType<typeof benchEngine>>} Ours */

/** @param {string[]} words */
export async function benchMatrix(words) {
  const { values } = parseArgs({
    args: words,
    options: { types: { type: 'string' }, ...countOptions },
  });
  const chosen = values.types?.split(',') ?? types;
  const unknown = chosen.find((type) => !types.includes(type));
  if (unknown !== undefined)
    throw new SetupError(`There is no type ${unknown}.`, `Expected some of ${types.join(', ')}.`);
  const { nPairs, nThreads } = readCounts(values, { nPairs: 3 });
  await ensureSystemPackages(['build']);
  await ensureDependencies();
  if (!(await ensurePeer())) throw new SetupError('There is no build of llama.cpp for this platform to compare with.');
  const program = engineProgram(await buildNative('release'));
  const source = await ensureDefaultModel();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());

  const rows = [];
  await mkdir(directory, { recursive: true });
  for (const type of chosen) {
    const model = type === ownType ? source : join(directory, `${type}.gguf`);
    try {
      if (model !== source)
        await capture(program, ['quantize', source, model, type, '--force'], { signal: stop.signal });
      rows.push(await measureType(type, { program, model, nThreads, signal: stop.signal }, nPairs));
    } finally {
      if (model !== source) await rm(model, { force: true });
    }
  }
  const facts = `${cpus()[0]?.model ?? 'unknown'}, ${nThreads} threads, medians of ${nPairs} pairs, ${new Date().toISOString().slice(0, 10)}`;
  console.log(`\n${facts}\n\n${formatTable([head, ...rows.map(({ cells }) => cells)])}`);
  const lines = [head, head.map(() => '---'), ...rows.map(({ cells }) => cells)].map((row) => `| ${row.join(' | ')} |`);
  await writeFile(join(directory, 'matrix.md'), `${facts}\n\n${lines.join('\n')}\n`);
  await writeFile(join(directory, 'matrix.json'), `${JSON.stringify(rows, null, 1)}\n`);
  console.log('\nWritten: build/bench/matrix.md and .json');
}

const head = [
  'type',
  'decode',
  'llama.cpp',
  'ratio',
  'GB/s',
  'of memory',
  'prefill',
  'llama.cpp',
  'ratio',
  'GMAC/s',
  '2',
  '4',
  '8',
  '16',
  'load',
];

/**
 * @param {string} type
 * @param {import('../lib/bench.mjs').BenchOptions} options
 * @param {number} nPairs
 */
async function measureType(type, options, nPairs) {
  /** @type {{ ours: Ours, peer: import('../lib/bench.mjs').Figures }[]} */
  const pairs = [];
  for (let i = 0; i < nPairs; ++i) {
    const before = i % 2 === 0 ? await benchEngine(options) : null;
    const peer = bestOfPeer(await benchPeer(options, [false, true]));
    const ours = before ?? (await benchEngine(options));
    pairs.push({ ours, peer });
    console.log(
      `• ${type}, pair ${i + 1}: ours ${ours.prefill.toFixed(0)} and ${ours.decode.toFixed(1)} tok/s; ` +
        `llama.cpp ${peer.prefill.toFixed(0)} and ${peer.decode.toFixed(1)} tok/s`,
    );
  }
  const [load, prefill, decode] = comparePairs(pairs).map(({ ours, peer, ratio }) => ({
    ours: ours.median,
    peer: peer.median,
    ratio: ratio.median,
  }));
  if (load === undefined || prefill === undefined || decode === undefined)
    throw new Error('Three figures were compared.');
  const of = (/** @type {(ours: Ours) => number} */ figure) => median(pairs.map(({ ours }) => figure(ours)));
  const readRate = of((ours) => ours.decode * ours.weightBytes);
  const step = (/** @type {string} */ n) =>
    of((ours) => (ours.stepMs[n] ?? Number.NaN) / (ours.stepMs['1'] ?? Number.NaN));
  return {
    type,
    pairs,
    cells: [
      type,
      decode.ours.toFixed(1),
      decode.peer.toFixed(1),
      decode.ratio.toFixed(2),
      (readRate * 1e-9).toFixed(1),
      `${Math.round(100 * of((ours) => (ours.decode * ours.weightBytes) / ours.readBandwidth))} %`,
      prefill.ours.toFixed(0),
      prefill.peer.toFixed(0),
      prefill.ratio.toFixed(2),
      Math.round(prefill.ours * macsPerToken * 1e-9).toString(),
      ...['2', '4', '8', '16'].map((n) => step(n).toFixed(2)),
      load.ratio.toFixed(2),
    ],
  };
}

/** Multiplications of weights that a token of TinyLlama's prompt takes: 22 layers, without embeddings and output. */
const macsPerToken = 22 * (2048 * (2048 + 256 + 256 + 2048) + 3 * 2048 * 5632);
