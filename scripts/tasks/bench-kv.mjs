// `npm run bench -- kv [--model FILE.gguf] [--text FILE] [--windows N] [--context N] [--threads N] [--peer] [--quality]`: what
// formats of keys and values cost in quality, with and without a calibration, beside f16 rounded as llama.cpp's q4_0
// cache; whole steps, attention and bytes at 1K to 128K positions; going on with a saved session; a second question
// about one prefix. --peer asks llama.cpp itself as well, which takes minutes. Writes tables, a plot and the raw figures
// into build/bench/ and docs/kv-cache.md. --quality measures a second model's quality only, for a section of its own; it
// does not mind a busy machine.
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { markdownTable, writeSection } from '../lib/doc-section.mjs';
import { engineProgram, engineTokenize } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensurePeer, peerDirectory } from '../lib/peer.mjs';
import { scatterPlot } from '../lib/plot.mjs';
import { capture, root, run, SetupError } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { formatTable } from '../lib/table.mjs';

const directory = join(root, 'build', 'bench');
const presets = ['safe', 'compact', 'max'];
const formats = [
  ...presets,
  ...presets.map((name) => `${name}-plain`),
  'k8v8-plain',
  'k4v4-plain',
  'k4v4',
  'k3v3',
  'q4_0',
];
/** Bits per element of llama.cpp's caches, with the f16 scale of each 32. */
const peerBits = { Q4_0: 4.5, Q8_0: 8.5 };

/**
 * @typedef {{ kv: string, bits: number, bits_32k: number, mean_kld: number, p99_kld: number, top1_flips: number,
 *   perplexity: number, perplexity_exact: number, n_tokens: number }} Ours
 * @typedef {{ kvCache: 'Q4_0' | 'Q8_0', meanKld: number, p99Kld: number, flips: number, nTokens: number }} Peers
 * @typedef {{ shape: string, depth: number, kv: string, ms: number, bytes: number }} Timed
 * @typedef {Omit<Timed, 'shape'> & { step: string }} Step a whole step of a model
 * @typedef {{ session: number, kv: string, prefill_ms: number, resume_ms: number, prefix: number, question: number,
 *   second_ms: number, alone_ms: number }} Reuse
 */

/** @param {string[]} words */
export async function benchKv(words) {
  const { values } = parseArgs({
    args: words,
    options: {
      model: { type: 'string' },
      text: { type: 'string' },
      windows: { type: 'string', default: '2' },
      context: { type: 'string', default: '2048' },
      threads: { type: 'string', default: String(Math.max(1, cpus().length)) },
      peer: { type: 'boolean', default: false },
      quality: { type: 'boolean', default: false },
    },
  });
  const [nWindows, nCtx, nThreads] = [values.windows, values.context, values.threads].map(Number);
  if (![nWindows, nCtx, nThreads].every((n) => Number.isInteger(n) && Number(n) > 0))
    throw new SetupError('--windows, --context and --threads are whole numbers above 0.');
  await ensureSystemPackages(['build']);
  await ensureDependencies();
  const hasPeer = values.peer && (await ensurePeer());
  const build = await buildNative('release');
  await run('cmake', ['--build', build, '--target', 'outpost-kv-bench'], { quiet: true });
  const program = engineProgram(build);
  const model = resolve(values.model ?? (await ensureDefaultModel()));
  await mkdir(directory, { recursive: true });
  const text = values.text ?? (await writeOwnCode());

  // A link: the calibration is written beside the model, and this one is for the benchmark only.
  const linked = join(directory, 'kv-model.gguf');
  await rm(linked, { force: true });
  await symlink(model, linked);
  console.log('• the calibration, on another text than the measurement …');
  await run(program, ['calibrate', linked, await writeCalibrationText(), '--tokens', '4096'], { quiet: true });
  console.log('• our formats against f16 …');
  const options = ['--ctx', `${nCtx}`, '--chunks', `${nWindows}`, '--threads', `${nThreads}`, '--json'];
  const ours = /** @type {Ours[]} */ (
    parseLines(await capture(program, ['kld', linked, text, '--kv', formats.join(','), ...options]))
  );
  console.log('• llama.cpp with q4_0 and q8_0 caches against its f16 …');
  const peers = hasPeer ? await askPeer({ program, model }, text, Number(nCtx), Number(nWindows)) : [];
  const facts = `${cpus()[0]?.model ?? 'unknown'}, ${nThreads} threads, ${new Date().toISOString().slice(0, 10)}; ${model.split('/').at(-1)}, own code, windows: ${nWindows}`;
  const quality = qualityTable(Number(nCtx), ours, peers);
  if (values.quality) {
    console.log(`\n${facts}\n\n${formatTable(quality)}`);
    const plot = await writePlot('kv-second', ours, peers);
    await writeSection('docs/kv-cache.md', 'kv-second', [facts, markdownTable(quality), plot].join('\n\n'));
    return;
  }
  console.log('• attention at depth …');
  const timed = /** @type {Timed[]} */ (
    parseLines(await capture(join(build, 'outpost-kv-bench'), ['--threads', `${nThreads}`]))
  );
  console.log('• whole steps at depth, saved sessions, shared prefixes …');
  const whole = /** @type {(Step | Reuse)[]} */ (
    parseLines(await capture(join(build, 'outpost-kv-bench'), ['--model', model, '--threads', `${nThreads}`]))
  );
  // By its file: a model may call itself anything.
  const steps = whole.flatMap((line) => ('step' in line ? [{ ...line, shape: basename(model, '.gguf') }] : []));
  const reuse = whole.filter((line) => 'session' in line);
  await report({ facts, quality, ours, peers, timed, steps, reuse });
}

/** Code that no model was trained on: our own. @returns {Promise<string>} its path */
async function writeOwnCode() {
  const files = (await capture('git', ['ls-files', 'native/*.cpp', 'electron/*.ts', 'renderer/*.tsx']))
    .trim()
    .split('\n');
  // Every seventh file, so that both languages are in the first windows.
  const chosen = files.filter((_, i) => i % 7 === 0).sort((a, b) => a.length - b.length);
  const texts = await Promise.all(chosen.map((file) => readFile(join(root, file), 'utf8')));
  const path = join(directory, 'kv-text.txt');
  await writeFile(path, texts.join('\n').slice(0, 400_000));
  return path;
}

/** Nothing of what is measured. @returns {Promise<string>} its path */
async function writeCalibrationText() {
  const files = (await capture('git', ['ls-files', 'scripts/lib/*.mjs', 'native/model/*.cpp'])).trim().split('\n');
  const texts = await Promise.all(files.map((file) => readFile(join(root, file), 'utf8')));
  const path = join(directory, 'kv-calibration-text.txt');
  await writeFile(path, texts.join('\n').slice(0, 60_000));
  return path;
}

/** @param {string} output @returns {unknown[]} */
function parseLines(output) {
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/**
 * The windows that `outpost-engine kld` takes: each begins with BOS, its second half is scored.
 * @param {import('../lib/engine-cli.mjs').EngineCli} engine
 * @param {string} text path
 * @param {number} nCtx
 * @param {number} nWindows
 * @returns {Promise<Peers[]>}
 */
async function askPeer(engine, text, nCtx, nWindows) {
  const bos = JSON.parse(await capture(engine.program, ['tokenize', engine.model, '--text', '']))[0];
  const tokens = [bos, ...(await engineTokenize(engine, await readFile(text, 'utf8')))];
  const windows = [];
  for (let i = 0; i < nWindows && (i + 1) * nCtx <= tokens.length; ++i)
    windows.push([bos, ...tokens.slice(i * nCtx + 1, (i + 1) * nCtx)]);
  const request = { model: engine.model, windows, nLast: nCtx / 2, kvCaches: ['Q4_0', 'Q8_0'] };
  const output = await capture(process.execPath, [join(peerDirectory, 'kv-cache.mjs')], {
    cwd: peerDirectory,
    input: JSON.stringify(request),
  });
  return JSON.parse(output).figures;
}

/** @param {number} nCtx @param {Ours[]} ours @param {Peers[]} peers */
function qualityTable(nCtx, ours, peers) {
  return [
    ['keys and values', `bits at ${nCtx}`, 'bits at 32K', 'mean KLD', 'p99 KLD', 'flips, %', 'perplexity', 'of f16'],
    ...ours.map((o) => [
      o.kv,
      o.bits.toFixed(2),
      o.bits_32k.toFixed(2),
      o.mean_kld.toFixed(5),
      o.p99_kld.toFixed(4),
      (100 * o.top1_flips).toFixed(2),
      o.perplexity.toFixed(3),
      o.perplexity_exact.toFixed(3),
    ]),
    ...peers.map((p) => {
      const bits = peerBits[p.kvCache].toFixed(2);
      const flips = (100 * p.flips).toFixed(2);
      return [`llama.cpp ${p.kvCache}`, bits, bits, p.meanKld.toFixed(5), p.p99Kld.toFixed(4), flips, '', ''];
    }),
  ];
}

/** @param {string} name @param {Ours[]} ours @param {Peers[]} peers @returns {Promise<string>} Markdown that shows it */
async function writePlot(name, ours, peers) {
  const points = [
    ...ours.map((o) => ({ x: o.bits_32k, y: o.mean_kld, label: o.kv, group: presets.includes(o.kv) ? 0 : 2 })),
    ...peers.map((p) => ({ x: peerBits[p.kvCache], y: p.meanKld, label: `llama.cpp ${p.kvCache}`, group: 1 })),
  ];
  const axes = { title: 'KV formats', xTitle: 'bits per element at 32K', yTitle: 'mean KL divergence from f16' };
  await writeFile(join(root, 'docs', 'pictures', `${name}.svg`), scatterPlot({ ...axes, points }));
  return `![Bits per element and divergence of each format](pictures/${name}.svg)`;
}

/**
 * @param {{ facts: string, quality: string[][], ours: Ours[], peers: Peers[], timed: Timed[], steps: Timed[],
 *   reuse: Reuse[] }} measured
 */
async function report({ facts, quality, ours, peers, timed, steps, reuse }) {
  const measuredTables = [
    quality,
    speedTable('attention of one layer of', timed),
    speedTable('a step of', steps),
    [
      [
        'session',
        'keys and values',
        'prefill, ms',
        'from its file, ms',
        'times as fast',
        'question',
        'alone, ms',
        'ratio',
      ],
      ...reuse.map((r) => [
        `${r.session}`,
        r.kv,
        r.prefill_ms.toFixed(1),
        r.resume_ms.toFixed(1),
        (r.prefill_ms / r.resume_ms).toFixed(1),
        `${r.question} after ${r.prefix}: ${r.second_ms.toFixed(1)} ms`,
        r.alone_ms.toFixed(1),
        (r.second_ms / r.alone_ms).toFixed(2),
      ]),
    ],
  ];
  console.log(`\n${facts}\n\n${measuredTables.map(formatTable).join('\n\n')}`);
  const tables = measuredTables.map(markdownTable);
  await writeFile(join(directory, 'kv.md'), `${facts}\n\n${tables.join('\n\n')}\n`);
  await writeFile(
    join(directory, 'kv.json'),
    `${JSON.stringify({ facts, ours, peers, timed, steps, reuse }, null, 1)}\n`,
  );
  const plot = await writePlot('kv', ours, peers);
  await writeSection('docs/kv-cache.md', 'kv', `${facts}\n\n${tables.join('\n\n')}\n\n${plot}`);
  console.log('\nWritten: docs/kv-cache.md, build/bench/kv.md and kv.json');
}

/** @param {string} what @param {Timed[]} timed */
function speedTable(what, timed) {
  const exact = new Map(timed.filter(({ kv }) => kv === 'exact').map((t) => [`${t.shape} ${t.depth}`, t]));
  return [
    [what, 'positions', 'keys and values', 'ms', 'bytes', 'of f16', 'times as fast'],
    ...timed.map((t) => {
      const f16 = exact.get(`${t.shape} ${t.depth}`);
      const share = f16 === undefined ? '' : `${((100 * t.bytes) / f16.bytes).toFixed(1)} %`;
      const ratio = f16 === undefined ? '' : (f16.ms / t.ms).toFixed(2);
      return [t.shape, `${t.depth}`, t.kv, t.ms.toFixed(3), `${t.bytes}`, share, ratio];
    }),
  ];
}
