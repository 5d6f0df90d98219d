// `npm run bench -- spec [--model FILE] [--draft FILE] [--threads N] [--limit N] [--no-write]`: what drafts are worth, each kind of text
// with and without them in turns on the same engine, and recorded edits replayed with the cost of real passes. Writes
// the section "spec" of docs/speculation.md.
import { readdir, readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { decodeRate, modelOptions, openEngine, quantile, readCount, submit, sum } from '../lib/bench-addon.mjs';
import { barPlot, markdownTable, writeSection } from '../lib/doc-section.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { capture, root, SetupError } from '../lib/process.mjs';
import { formatTable } from '../lib/table.mjs';

/** @typedef {Awaited<ReturnType<typeof openEngine>>} Opened */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateRequest} NativeGenerateRequest */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateStats} NativeGenerateStats */
/** @typedef {{ name: string, goal: number, ratio: number, plainMs: number, draftedMs: number, accepted: number, perPass: number, n: number }} Row */

const editsFile = join(root, '..', 'shared', 'data', 'code', 'canitedit', 'canitedit.jsonl');
const nReply = 96;

/** @param {string[]} words */
export async function benchSpec(words) {
  const { values } = parseArgs({ args: words, options: modelOptions });
  const limit = readCount('limit', values.limit, 0);
  const opened = await openEngine(values);
  const rows = [
    await replayEdits(opened, limit || 105),
    await completions(opened, limit || 12),
    ...(opened.draft === null ? [] : [await stories(opened, limit || 8)]),
    await unpredictable(opened, limit || 8),
  ].filter((row) => row !== null);
  if (opened.draft === null) console.log('• no draft model: --draft FILE names one of the same vocabulary');
  const cells = [
    ['text', 'faster by', 'goal', 'plain ms/token', 'drafted ms/token', 'accepted', 'tokens/pass', 'samples'],
    ...rows.map((row) => [
      row.name,
      row.ratio.toFixed(2),
      row.goal.toFixed(2),
      row.plainMs.toFixed(2),
      row.draftedMs.toFixed(2),
      `${Math.round(100 * row.accepted)} %`,
      row.perPass.toFixed(2),
      `${row.n}`,
    ]),
  ];
  console.log(`\n${formatTable(cells)}`);
  if (values['no-write']) return;
  const { name, fileType, backend } = opened.model.info;
  const facts = `${name} (${fileType}), ${backend}; ${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} processors; ${new Date().toISOString().slice(0, 10)}.`;
  const bars = barPlot(rows.map(({ name: label, ratio: value }) => ({ label, value })));
  await writeSection('docs/speculation.md', 'spec', `${facts}\n\n${markdownTable(cells)}\n\n${bars}`);
}

/** The whole file as the reply, with the file before the edit as the draft. @param {Opened} opened @param {number} n */
async function replayEdits({ build, model, nThreads }, n) {
  const input = await readFile(editsFile, 'utf8').catch(() => {
    throw new SetupError(`There are no recorded edits at ${editsFile}.`, 'The benchmark needs the shared test data.');
  });
  console.log('• recorded edits …');
  const threads = nThreads > 0 ? ['--threads', `${nThreads}`] : [];
  const output = await capture(engineProgram(build), ['replay', model.info.path, '--limit', `${n}`, ...threads], {
    input,
  });
  /** @type {{ tokens: number, plainMsPerToken: number, draftedMsPerToken: number, passes: number, drafted: number, accepted: number }[]} */
  const edits = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const nTokens = sum(edits.map(({ tokens }) => tokens));
  const plainMs = sum(edits.map((edit) => edit.plainMsPerToken * edit.tokens)) / nTokens;
  const draftedMs = sum(edits.map((edit) => edit.draftedMsPerToken * edit.tokens)) / nTokens;
  return {
    name: 'whole-file edits, replayed',
    goal: 5,
    ratio: plainMs / draftedMs,
    plainMs,
    draftedMs,
    accepted: sum(edits.map((edit) => edit.accepted)) / Math.max(1, sum(edits.map((edit) => edit.drafted))),
    perPass: nTokens / sum(edits.map((edit) => edit.passes)),
    n: edits.length,
  };
}

/** The end of functions of this repository, with its other files as texts. @param {Opened} opened @param {number} n */
async function completions({ model }, n) {
  console.log('• completions of code of this repository …');
  const folder = join(root, 'native', 'tests');
  const names = (await readdir(folder)).filter((name) => name.endsWith('_test.cpp')).toSorted();
  const files = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const requests = files.slice(0, n).map((file, i) => {
    const cut = Math.floor(file.length * 0.6);
    const tokens = model.tokenize(file.slice(Math.max(0, cut - 1500), cut));
    return { tokens, nPredict: nReply, temperature: 0, texts: files.filter((_, other) => other !== i).slice(0, 16) };
  });
  return compare('completion of code, open repository', 1.5, model.createEngine({ nCtx: 2048 }), requests);
}

/** @param {Opened} opened @param {number} n */
async function stories({ model, draft }, n) {
  if (draft === null) return null;
  const fit = model.draftCompatibility(draft);
  if (fit.kind === 'none') throw new SetupError(`${draft.info.name} cannot draft. ${fit.reason}`);
  console.log(`• stories with ${draft.info.name} …`);
  const starts = ['Once upon a time, there was a little', 'Tom and Lily went to the park.', 'One day, a small dog'];
  const requests = Array.from({ length: n }, (_, i) => ({
    tokens: model.tokenize(starts[i % starts.length] ?? ''),
    nPredict: nReply,
    temperature: i % 2 === 0 ? 0 : 0.7,
    seed: i,
  }));
  return compare(
    `stories, ${draft.info.name} drafting`,
    1.5,
    model.createEngine({ nCtx: 1024, draftModel: draft }),
    requests,
  );
}

/** Words at random: nothing can be guessed. @param {Opened} opened @param {number} n */
async function unpredictable({ model, draft }, n) {
  console.log('• text that cannot be predicted …');
  const requests = Array.from({ length: n }, (_, i) => ({
    tokens: model.tokenize(`${i}: `),
    nPredict: nReply,
    temperature: 3,
    topK: 0,
    topP: 1,
    minP: 0,
    seed: i,
  }));
  const engine = model.createEngine({ nCtx: 1024, ...(draft === null ? {} : { draftModel: draft }) });
  return compare('text at random', 0.97, engine, requests);
}

/**
 * Each request with and without drafts, the first in turns; the replies must be the same.
 * @param {string} name @param {number} goal
 * @param {import('../../electron/engine/native.d.ts').NativeEngine} engine @param {NativeGenerateRequest[]} requests
 * @returns {Promise<Row>}
 */
async function compare(name, goal, engine, requests) {
  /** @type {{ plain: NativeGenerateStats, drafted: NativeGenerateStats }[]} */
  const pairs = [];
  for (const [i, request] of requests.entries()) {
    // A reply is remembered for later drafts, which the same reply once more would only repeat: without drafts first.
    const plain = await submit(engine, { ...request, draft: false }).done;
    const drafted = await submit(engine, request).done;
    if (plain.text !== drafted.text) throw new Error(`${name}, reply ${i + 1}: drafts have changed it.`);
    if (plain.stats.nDecoded > 8) pairs.push({ plain: plain.stats, drafted: drafted.stats });
  }
  engine.dispose();
  const msPerToken = (/** @type {'plain' | 'drafted'} */ which) =>
    quantile(
      pairs.map((pair) => 1000 / decodeRate(pair[which])),
      0.5,
    );
  const counts = pairs.flatMap(({ drafted }) => Object.values(drafted.drafts));
  return {
    name,
    goal,
    ratio: msPerToken('plain') / msPerToken('drafted'),
    plainMs: msPerToken('plain'),
    draftedMs: msPerToken('drafted'),
    accepted: sum(counts.map(({ nAccepted }) => nAccepted)) / Math.max(1, sum(counts.map(({ nDrafted }) => nDrafted))),
    perPass: sum(pairs.map(({ drafted }) => drafted.nDecoded)) / sum(pairs.map(({ drafted }) => drafted.nPasses)),
    n: pairs.length,
  };
}
