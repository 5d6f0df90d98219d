// `npm run bench [-- --pairs N --threads N]`: our engine and llama.cpp on the same model file and threads, in
// turns, so that whatever else the machine does meets both. The ratios of the pairs are what counts.
// `npm run bench -- matrix`, `-- spec`, `-- latency`, `-- kv`, `-- predictions`, `-- ui`: bench-matrix.mjs and so on.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  benchEngine,
  benchPeer,
  bestOfPeer,
  bestSettings,
  comparePairs,
  countOptions,
  enginePeakBytes,
  median,
  nDecode,
  nPrefill,
  othersShare,
  readCounts,
} from '../lib/bench.mjs';
import { ensureDefaultModel, readDefaultModel } from '../lib/default-model.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensurePeer } from '../lib/peer.mjs';
import { capture, root, SetupError } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { formatTable } from '../lib/table.mjs';

/** @typedef {import('../lib/bench.mjs').BenchOptions} BenchOptions */
/** @typedef {import('../lib/bench.mjs').Figures} Figures */

const directory = join(root, 'build', 'bench');

/** @param {string[]} words */
export async function bench(words) {
  if (words[0] === 'kv') return (await import('./bench-kv.mjs')).benchKv(words.slice(1));
  if (words[0] === 'matrix') return (await import('./bench-matrix.mjs')).benchMatrix(words.slice(1));
  if (words[0] === 'spec') return (await import('./bench-spec.mjs')).benchSpec(words.slice(1));
  if (words[0] === 'predictions') return (await import('./bench-predictions.mjs')).benchPredictions();
  if (words[0] === 'latency') return (await import('./bench-latency.mjs')).benchLatency(words.slice(1));
  if (words[0] === 'ui') return (await import('./bench-ui.mjs')).benchUi(words.slice(1));
  const { values } = parseArgs({ args: words, options: countOptions });
  const { nPairs, nThreads } = readCounts(values, { nPairs: 5 });
  await ensureSystemPackages(['build']);
  await ensureDependencies();
  if (!(await ensurePeer())) throw new SetupError('There is no build of llama.cpp for this platform to compare with.');
  const stop = new AbortController();
  const program = engineProgram(await buildNative('release'));
  const options = { program, model: await ensureDefaultModel(), nThreads, signal: stop.signal };
  process.once('SIGINT', () => stop.abort());
  try {
    await report(await measure(options, nPairs));
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    console.log('\nStopped; nothing was written.');
    process.exitCode = 130;
  }
}

/** @param {BenchOptions} options @param {number} nPairs */
async function measure(options, nPairs) {
  console.log('• llama.cpp with and without flash attention, to find its best settings …');
  const trial = await benchPeer(options, [false, true]);
  const settings = bestSettings(trial);
  for (const { flashAttention, prefill, decode } of trial.results) {
    const figures = `prefill ${median(prefill).toFixed(1)}, decode ${median(decode).toFixed(1)} tok/s`;
    console.log(`  flash attention ${flashAttention ? 'on' : 'off'}: ${figures}`);
  }

  const pairs = [];
  let peer = trial;
  for (let i = 0; i < nPairs; ++i) {
    const others = await othersShare();
    // The first of a pair in turns, for what changes slowly: heat, other programs.
    const isOursFirst = i % 2 === 0;
    const before = isOursFirst ? await benchEngine(options) : null;
    peer = await benchPeer(options, settings);
    const ours = before ?? (await benchEngine(options));
    pairs.push({ ours, peer: bestOfPeer(peer), others });
    console.log(`• pair ${i + 1} of ${nPairs}: ours ${summary(ours)}; llama.cpp ${summary(bestOfPeer(peer))}`);
    if (others > 0.1) console.log(`  other programs used ${Math.round(others * 100)} % of the processors before it`);
  }
  return {
    date: new Date().toISOString(),
    model: (await readDefaultModel()).name,
    machine: { processor: cpus()[0]?.model ?? 'unknown', nProcessors: cpus().length, memoryBytes: totalmem() },
    nThreads: options.nThreads,
    versions: { outpost: (await capture('git', ['describe', '--always', '--dirty'])).trim(), ...peer.build },
    peerFlashAttention: settings,
    peakBytes: { ours: await enginePeakBytes(options), peer: peer.peakBytes, node: peer.baseBytes },
    comparison: comparePairs(pairs),
    pairs,
  };
}

/** @param {Figures} figures */
function summary({ loadMs, prefill, decode }) {
  return `${loadMs.toFixed(0)} ms, ${prefill.toFixed(1)} and ${decode.toFixed(1)} tok/s`;
}

/** @param {Awaited<ReturnType<typeof measure>>} measured */
async function report(measured) {
  const { machine, versions, nThreads, model, peakBytes } = measured;
  const facts = [
    `${machine.processor}, ${machine.nProcessors} processors, ${gigabytes(machine.memoryBytes)}; ${nThreads} threads`,
    `${model}; outpost ${versions.outpost}, node-llama-cpp ${versions['node-llama-cpp']} (llama.cpp ${versions['llama.cpp']}, ` +
      `flash attention ${measured.peerFlashAttention.map((isOn) => (isOn ? 'on' : 'off')).join(' or ')})`,
    `Medians of ${measured.pairs.length} pairs (least to most); ratios: above 1 ours is faster.`,
    `Peak memory with the model's file: ours ${megabytes(peakBytes.ours)}, llama.cpp ${megabytes(peakBytes.peer)}, ` +
      `of which Node ${megabytes(peakBytes.node)}`,
  ];
  const titles = {
    loadMs: 'load, ms',
    firstTokenMs: 'load to a first token, ms',
    prefill: `prefill of ${nPrefill}, tok/s`,
    decode: `decode of ${nDecode}, tok/s`,
  };
  const rows = [
    ['', 'ours', 'llama.cpp', 'ratio', 'of the best'],
    ...measured.comparison.map(({ figure, ours, peer, ratio, bestRatio }) => [
      titles[figure],
      range(ours, 1),
      range(peer, 1),
      range(ratio, 2),
      bestRatio.toFixed(2),
    ]),
  ];
  console.log(`\n${facts.join('\n')}\n\n${formatTable(rows)}`);

  await mkdir(directory, { recursive: true });
  const path = join(directory, measured.date.slice(0, 19).replaceAll(':', '-'));
  await writeFile(`${path}.json`, `${JSON.stringify(measured, null, 1)}\n`);
  const [head = '', ...body] = rows.map((row) => `| ${row.join(' | ')} |`);
  await writeFile(
    `${path}.md`,
    `${[...facts.map((f) => `- ${f}`), '', head, '| --- | --- | --- | --- | --- |', ...body].join('\n')}\n`,
  );
  console.log(`\nWritten: ${path.slice(root.length)}.json and .md`);
}

/** @param {{ median: number, min: number, max: number }} spread @param {number} nDigits */
function range({ median: middle, min, max }, nDigits) {
  return `${middle.toFixed(nDigits)} (${min.toFixed(nDigits)} to ${max.toFixed(nDigits)})`;
}

/** @param {number | null} bytes */
function megabytes(bytes) {
  return bytes === null ? 'unknown' : `${Math.round(bytes / 1e6)} MB`;
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(0)} GB`;
}
