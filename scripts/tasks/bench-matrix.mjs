// `npm run bench -- matrix [--types q4_K,15m-q8_0] [--pairs N] [--threads N] [--quick] [--write]`: our engine and llama.cpp per
// tensor type, on models of a real one's shape with random weights: speed does not depend on how good they are. Decoding,
// prefill, what passes over 2 to 16 tokens cost, the wait for a first token and memory, with the bandwidth of the same
// minute as the ceiling. Rows add up in build/bench/matrix.json from run to run, so that types can be measured in turn;
// --quick decodes fewer tokens, once per pair, against llama.cpp with flash attention only; --write puts all rows into
// docs/performance.md. --depths 8192,32768 measures decoding behind so many tokens instead, with keys and values in f16,
// and writes that table.
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  benchAtDepth,
  benchEngine,
  benchPeer,
  bestOfPeer,
  countOptions,
  enginePeakBytes,
  median,
  othersShare,
  readCounts,
} from '../lib/bench.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { barPlot, markdownTable, writeSection } from '../lib/doc-section.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensurePeer } from '../lib/peer.mjs';
import { capture, root, run, SetupError } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { formatTable } from '../lib/table.mjs';

const directory = join(root, 'build', 'bench');
const rowsPath = join(directory, 'matrix.json');
const page = 'docs/performance.md';
const large = ['iq2_xxs', 'iq2_s', 'iq3_xxs', 'q2_K', 'q3_K', 'q4_K', 'q5_K', 'q6_K', 'iq4_xs', 'q4_0', 'q8_0', 'f16'];
/** A tensor type in TinyLlama's shape, or in that of a model that fits the caches. */
const models = [...large, 'bf16', '15m-q8_0', '110m-q4_K'];
const steps = ['2', '4', '8', '16'];

/**
 * @typedef {object} Row
 * @property {string} model
 * @property {string} facts of the machine and the run
 * @property {number} decode tokens per second, of ours; medians of the pairs like all below
 * @property {number} peerDecode
 * @property {number} prefill
 * @property {number} peerPrefill
 * @property {number} firstTokenMs from the start of loading
 * @property {number} peerFirstTokenMs
 * @property {number} decodeRatio median of the pairs' ratios; above 1 we are faster
 * @property {number} prefillRatio
 * @property {number} firstTokenRatio
 * @property {number} readRate bytes of weights per second that decoding reads
 * @property {number} readBandwidth bytes per second of the same minute
 * @property {number} macRate multiplications per second of a prefill
 * @property {number} peakRate of the same minute, on registers alone
 * @property {Record<string, number>} stepCosts of so many tokens at once, in passes over one
 * @property {number} fileBytes
 * @property {number | null} peakBytes
 * @property {number} othersShare of the processors that other programs had, 0 to 1
 */

/** @param {string[]} words */
export async function benchMatrix(words) {
  const { values } = parseArgs({
    args: words,
    options: {
      types: { type: 'string' },
      depths: { type: 'string' },
      quick: { type: 'boolean' },
      write: { type: 'boolean' },
      ...countOptions,
    },
  });
  const chosen = values.types?.split(',') ?? models;
  const unknown = chosen.find((model) => !models.includes(model));
  if (unknown !== undefined)
    throw new SetupError(`There is no type ${unknown}.`, `Expected some of ${models.join(', ')}.`);
  const { nPairs, nThreads } = readCounts(values, { nPairs: 3 });
  await ensureSystemPackages(['build']);
  await ensureDependencies();
  if (!(await ensurePeer())) throw new SetupError('There is no build of llama.cpp for this platform to compare with.');
  const build = await buildNative('release');
  await run('cmake', ['--build', build, '--target', 'outpost-write-large-model'], { quiet: true });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const { signal } = stop;
  const isQuick = values.quick ?? false;
  const counts = isQuick ? { nDecode: 48, nRepetitions: 1 } : {};
  const facts = `${cpus()[0]?.model ?? 'unknown processor'}, ${nThreads} threads, pairs: ${nPairs}${isQuick ? ', quick' : ''}, ${new Date().toISOString().slice(0, 10)}`;

  await mkdir(directory, { recursive: true });
  if (values.depths !== undefined) {
    const write = join(build, 'outpost-write-large-model');
    return measureDepths(values.depths.split(',').map(Number), write, {
      program: engineProgram(build),
      nThreads,
      signal,
    });
  }
  for (const model of chosen) {
    const path = join(directory, `${model}.gguf`);
    try {
      const [shape = '', type = ''] = model.includes('-') ? model.split('-') : ['1b', model];
      await capture(join(build, 'outpost-write-large-model'), [path, shape, type], { signal });
      const options = { program: engineProgram(build), model: path, nThreads, signal, ...counts };
      const flashAttention = isQuick ? [true] : [false, true];
      await keep({ model, facts, ...(await measure(model, options, nPairs, flashAttention)) });
    } finally {
      await rm(path, { force: true });
    }
  }
  const rows = await keptRows();
  console.log(`\n${formatTable(speedTable(rows))}\n\n${formatTable(loadTable(rows))}`);
  if (values.write) await writePage(rows);
}

/**
 * The model is a small one with a KV head for every query head, where attention takes most of the time.
 * @param {number[]} depths
 * @param {string} write the program that writes models
 * @param {Omit<import('../lib/bench.mjs').BenchOptions, 'model'>} options
 */
async function measureDepths(depths, write, options) {
  const wrong = depths.find((depth) => !Number.isInteger(depth) || depth < 1);
  if (wrong !== undefined) throw new SetupError('--depths expects numbers of tokens, such as 8192,32768.');
  const model = join(directory, 'depth.gguf');
  const table = [['tokens before', 'ours, tok/s', 'llama.cpp', 'ratio']];
  try {
    const nContext = Math.max(...depths) + 64;
    await capture(write, [model, '110m', 'q4_K', `${nContext}`], { signal: options.signal });
    for (const depth of depths) {
      const { ours, peer } = await benchAtDepth({ ...options, model }, depth);
      table.push([`${depth}`, ours.toFixed(1), peer.toFixed(1), (ours / peer).toFixed(2)]);
      console.log(`• behind ${depth} tokens: ours ${ours.toFixed(1)}, llama.cpp ${peer.toFixed(1)} tok/s`);
    }
  } finally {
    await rm(model, { force: true });
  }
  const facts = `${cpus()[0]?.model ?? 'unknown processor'}, ${options.nThreads} threads, ${new Date().toISOString().slice(0, 10)}; 110m-q4_K, 12 heads of 64 with keys and values of their own, in f16, flash attention on`;
  await writeSection(page, 'depths', `${facts}\n\n${markdownTable(table)}`);
  console.log(`\nWritten: ${page}`);
}

/**
 * @param {string} model
 * @param {import('../lib/bench.mjs').BenchOptions} options
 * @param {number} nPairs
 * @param {boolean[]} flashAttention llama.cpp's settings to take the better of
 */
async function measure(model, options, nPairs, flashAttention) {
  const share = await othersShare();
  /** @type {{ ours: Awaited<ReturnType<typeof benchEngine>>, peer: import('../lib/bench.mjs').Figures }[]} */
  const pairs = [];
  for (let i = 0; i < nPairs; ++i) {
    const before = i % 2 === 0 ? await benchEngine(options) : null;
    const peer = bestOfPeer(await benchPeer(options, flashAttention));
    const ours = before ?? (await benchEngine(options));
    pairs.push({ ours, peer });
    console.log(
      `• ${model}, pair ${i + 1}: ours ${ours.prefill.toFixed(0)} and ${ours.decode.toFixed(1)} tok/s; ` +
        `llama.cpp ${peer.prefill.toFixed(0)} and ${peer.decode.toFixed(1)} tok/s`,
    );
  }
  const of = (/** @type {(pair: typeof pairs[number]) => number} */ figure) => median(pairs.map(figure));
  return {
    decode: of(({ ours }) => ours.decode),
    peerDecode: of(({ peer }) => peer.decode),
    prefill: of(({ ours }) => ours.prefill),
    peerPrefill: of(({ peer }) => peer.prefill),
    firstTokenMs: of(({ ours }) => ours.firstTokenMs),
    peerFirstTokenMs: of(({ peer }) => peer.firstTokenMs),
    decodeRatio: of(({ ours, peer }) => ours.decode / peer.decode),
    prefillRatio: of(({ ours, peer }) => ours.prefill / peer.prefill),
    firstTokenRatio: of(({ ours, peer }) => peer.firstTokenMs / ours.firstTokenMs),
    readRate: of(({ ours }) => ours.decode * ours.bytesPerToken),
    readBandwidth: of(({ ours }) => ours.readBandwidth),
    macRate: of(({ ours }) => ours.prefill * macsPerToken(model)),
    peakRate: of(({ ours }) => (model.endsWith('f16') ? ours.peakF32 : ours.peakInt8)),
    stepCosts: Object.fromEntries(
      steps.map((n) => [n, of(({ ours }) => (ours.stepMs[n] ?? Number.NaN) / (ours.stepMs['1'] ?? Number.NaN))]),
    ),
    fileBytes: (await stat(options.model)).size,
    peakBytes: await enginePeakBytes(options),
    othersShare: share,
  };
}

/** Multiplications of weights that a token of a prompt takes, without embeddings and output. @param {string} model */
function macsPerToken(model) {
  if (model.startsWith('15m-')) return 6 * (4 * 288 * 288 + 3 * 288 * 768);
  if (model.startsWith('110m-')) return 12 * (4 * 768 * 768 + 3 * 768 * 2048);
  return 22 * (2048 * (2048 + 256 + 256 + 2048) + 3 * 2048 * 5632);
}

/** @returns {Promise<Row[]>} in the order of `models` */
async function keptRows() {
  const text = await readFile(rowsPath, 'utf8').catch(() => '[]');
  /** @type {Row[]} */
  const rows = JSON.parse(text);
  return models.flatMap((model) => rows.filter((row) => row.model === model));
}

/** @param {Row} row in place of an earlier one of its model */
async function keep(row) {
  const rows = [...(await keptRows()).filter(({ model }) => model !== row.model), row];
  await writeFile(rowsPath, `${JSON.stringify(rows, null, 1)}\n`);
}

/** @param {Row[]} rows */
function speedTable(rows) {
  const head = [
    'model',
    'decode',
    'llama.cpp',
    'ratio',
    'GB/s',
    'of memory',
    'prefill',
    'llama.cpp',
    'ratio',
    'GMAC/s',
    'of registers',
  ];
  return [
    [...head, ...steps.map((n) => `${n} tokens`)],
    ...rows.map((row) => [
      row.model,
      row.decode.toFixed(1),
      row.peerDecode.toFixed(1),
      row.decodeRatio.toFixed(2),
      (row.readRate * 1e-9).toFixed(1),
      `${Math.round((100 * row.readRate) / row.readBandwidth)} %`,
      row.prefill.toFixed(0),
      row.peerPrefill.toFixed(0),
      row.prefillRatio.toFixed(2),
      (row.macRate * 1e-9).toFixed(0),
      `${Math.round((100 * row.macRate) / row.peakRate)} %`,
      ...steps.map((n) => row.stepCosts[n]?.toFixed(2) ?? ''),
    ]),
  ];
}

/** @param {Row[]} rows */
function loadTable(rows) {
  const mebibytes = (/** @type {number} */ bytes) => (bytes / 2 ** 20).toFixed(0);
  return [
    ['model', 'first token', 'llama.cpp', 'ratio', 'file', 'peak memory', 'other programs'],
    ...rows.map((row) => [
      row.model,
      `${row.firstTokenMs.toFixed(0)} ms`,
      `${row.peerFirstTokenMs.toFixed(0)} ms`,
      row.firstTokenRatio.toFixed(2),
      `${mebibytes(row.fileBytes)} MiB`,
      row.peakBytes === null ? 'unknown' : `${mebibytes(row.peakBytes)} MiB`,
      `${Math.round(100 * row.othersShare)} %`,
    ]),
  ];
}

/** @param {Row[]} rows */
async function writePage(rows) {
  const facts = [...new Set(rows.map((row) => row.facts))].map((line) => `- ${line}`).join('\n');
  const plot = (/** @type {(row: Row) => number} */ value) =>
    barPlot(rows.map((row) => ({ label: row.model, value: value(row) })));
  await writeSection(
    page,
    'matrix',
    [
      facts,
      markdownTable(speedTable(rows)),
      markdownTable(loadTable(rows)),
      'Decoding, times the speed of llama.cpp:',
      plot((row) => row.decodeRatio),
      'Prefill, times the speed of llama.cpp:',
      plot((row) => row.prefillRatio),
    ].join('\n\n'),
  );
  console.log(`\nWritten: ${page}`);
}
