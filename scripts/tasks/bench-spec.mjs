// `npm run bench -- spec [--model FILE] [--type TYPE] [--draft FILE] [--only ROWS] [--threads N] [--limit N]
// [--no-write]`: what drafts are worth, each kind of text with and without them in turns on the same engine, and recorded
// edits replayed with the cost of real passes. `--type q4_K` quantizes the model again, for what passes of another type
// cost. `--draft stories15M` fetches and converts that model. ROWS are some of edits, copy, completion,
// draft and random, with commas between them. Writes the section "spec" of docs/speculation.md from the rows of this run
// and those of earlier ones on this machine.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { modelOptions, openEngine, readCount, submit, sum } from '../lib/bench-addon.mjs';
import { keepRows, machineFacts, modelName } from '../lib/bench-rows.mjs';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { barPlot, markdownTable, writeSection } from '../lib/doc-section.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { capture, root, run, SetupError } from '../lib/process.mjs';
import { ensureStoriesModel } from '../lib/stories-model.mjs';
import { formatTable } from '../lib/table.mjs';

/** @typedef {Awaited<ReturnType<typeof openEngine>>} Opened */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateRequest} NativeGenerateRequest */
/** @typedef {import('../../electron/engine/native.d.ts').NativeGenerateStats} NativeGenerateStats */
/** @typedef {{ name: string, goal: number, ratio: number, plainMs: number, draftedMs: number, accepted: number, perPass: number, n: number }} Measured */
/** @typedef {Measured & { model: string }} Row */

const editsFile = join(root, '..', 'shared', 'data', 'code', 'canitedit', 'canitedit.jsonl');
const nReply = 96;

/** @type {Record<string, { n: number, run: (opened: Opened, n: number) => Promise<Measured> }>} */
const parts = {
  edits: { n: 105, run: replayEdits },
  copy: { n: 8, run: copies },
  completion: { n: 12, run: completions },
  draft: { n: 8, run: draftModel },
  random: { n: 8, run: unpredictable },
};

/** @param {string[]} words */
export async function benchSpec(words) {
  const string = /** @type {const} */ ({ type: 'string' });
  const options = { ...modelOptions, only: string, type: string };
  const { values } = parseArgs({ args: words, options });
  const limit = readCount('limit', values.limit, 0);
  const chosen = values.only?.split(',') ?? Object.keys(parts).filter((part) => part !== 'draft' || values.draft);
  const unknown = chosen.find((part) => !(part in parts));
  if (unknown !== undefined) throw new SetupError(`--only knows ${Object.keys(parts).join(', ')}; not ${unknown}.`);
  const program = engineProgram(await buildNative('release'));
  const draft = values.draft === 'stories15M' ? await ensureStoriesModel(program) : values.draft;
  const original = values.model ?? (await ensureDefaultModel());
  const model = values.type === undefined ? original : await quantized(program, original, values.type);
  const opened = await openEngine({ ...values, model, ...(draft === undefined ? {} : { draft }) });
  /** @type {Row[]} */
  const measured = [];
  for (const name of chosen) {
    const part = parts[name];
    if (part) measured.push({ ...(await part.run(opened, limit || part.n)), model: modelName(opened.model) });
  }
  const isKept = !values['no-write'];
  const rows = isKept ? await keepRows('spec', measured) : measured;
  const cells = [
    ['text', 'model', 'faster by', 'goal', 'plain ms/token', 'drafted ms/token', 'accepted', 'tokens/pass', 'samples'],
    ...rows.map((row) => [
      row.name,
      row.model,
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
  if (!isKept) return;
  const bars = barPlot(rows.map(({ name, model, ratio: value }) => ({ label: `${name}, ${model}`, value })));
  const facts = machineFacts(opened.model.info.backend);
  await writeSection('docs/speculation.md', 'spec', `${facts}\n\n${markdownTable(cells)}\n\n${bars}`);
}

/** The model in another type. @param {string} program @param {string} path @param {string} type */
async function quantized(program, path, type) {
  const out = join(root, 'build', 'bench', `${basename(path, '.gguf')}-as-${type}.gguf`);
  await mkdir(dirname(out), { recursive: true });
  await run(program, ['quantize', path, out, type, '--force'], { quiet: true });
  return out;
}

/** The whole file as the reply, with the file before the edit as the draft. @param {Opened} opened @param {number} n */
async function replayEdits({ build, model, draft, nThreads }, n) {
  const input = await readFile(editsFile, 'utf8').catch(() => {
    throw new SetupError(`There are no recorded edits at ${editsFile}.`, 'The benchmark needs the shared test data.');
  });
  console.log('• recorded edits …');
  const options = [
    ...(nThreads > 0 ? ['--threads', `${nThreads}`] : []),
    ...(draft === null ? [] : ['--draft-model', draft.info.path]),
  ];
  const words = ['replay', model.info.path, '--limit', `${n}`, ...options];
  const output = await capture(engineProgram(build), words, { input });
  /** @type {{ tokens: number, plainMsPerToken: number, draftedMsPerToken: number, passes: number, drafted: number, accepted: number }[]} */
  const edits = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const nTokens = sum(edits.map(({ tokens }) => tokens));
  const plainMs = sum(edits.map((edit) => edit.plainMsPerToken * edit.tokens)) / nTokens;
  const draftedMs = sum(edits.map((edit) => edit.draftedMsPerToken * edit.tokens)) / nTokens;
  return {
    name: `whole-file edits, replayed${draft === null ? '' : ', with a draft model'}`,
    goal: 5,
    ratio: plainMs / draftedMs,
    plainMs,
    draftedMs,
    accepted: sum(edits.map((edit) => edit.accepted)) / Math.max(1, sum(edits.map((edit) => edit.drafted))),
    perPass: nTokens / sum(edits.map((edit) => edit.passes)),
    n: edits.length,
  };
}

/** Files of this repository's native tests: code that is like its neighbours, as in any repository. */
async function repositoryFiles() {
  const folder = join(root, 'native', 'tests');
  const names = (await readdir(folder)).filter((name) => name.endsWith('_test.cpp')).toSorted();
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}

/**
 * A file once more behind itself, which models of any size continue: what a model that follows an edit does with the
 * parts that stay. @param {Opened} opened @param {number} n
 */
async function copies({ model }, n) {
  console.log('• a file that is copied …');
  const requests = (await repositoryFiles()).slice(0, n).map((file) => {
    const original = file.slice(0, 1400);
    const tokens = model.tokenize(`${original}\n\n${file.slice(0, 200)}`);
    return { tokens, nPredict: nReply * 2, temperature: 0, original };
  });
  return compare('a file copied, live', 5, model.createEngine({ nCtx: 2048 }), requests);
}

/** The end of functions of this repository, with its other files as texts. @param {Opened} opened @param {number} n */
async function completions({ model }, n) {
  console.log('• completions of code of this repository …');
  const files = await repositoryFiles();
  const requests = files.slice(0, n).map((file, i) => {
    const cut = Math.floor(file.length * 0.6);
    const tokens = model.tokenize(file.slice(Math.max(0, cut - 1500), cut));
    return { tokens, nPredict: nReply, temperature: 0, texts: files.filter((_, other) => other !== i).slice(0, 16) };
  });
  return compare('completion of code, open repository', 1.5, model.createEngine({ nCtx: 2048 }), requests);
}

/** Code and stories with a draft model, half of them sampled, and no other texts. @param {Opened} opened @param {number} n */
async function draftModel({ model, draft }, n) {
  if (draft === null) throw new SetupError('There is no draft model.', '--draft FILE names one.');
  const fit = model.draftCompatibility(draft);
  if (fit.kind === 'none') throw new SetupError(`${draft.info.name} cannot draft. ${fit.reason}`);
  console.log(`• ${modelName(draft)} drafts …`);
  const isForCode = draft.info.hasFim;
  const code = isForCode ? (await repositoryFiles()).map((file) => file.slice(0, 1200)) : [];
  const stories = ['Once upon a time, there was a little', 'Tom and Lily went to the park.', 'One day, a small dog'];
  const starts = isForCode ? code : stories;
  const requests = Array.from({ length: n }, (_, i) => ({
    tokens: model.tokenize(starts[i % starts.length] ?? ''),
    nPredict: nReply,
    temperature: i % 2 === 0 ? 0 : 0.7,
    seed: i,
  }));
  const engine = model.createEngine({ nCtx: 1024, draftModel: draft });
  return compare(`${isForCode ? 'code' : 'stories'}, ${modelName(draft)} drafting`, 1.5, engine, requests);
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
  return compare(`text at random${draft === null ? '' : ', with a draft model'}`, 0.97, engine, requests);
}

/**
 * Each request with and without drafts, the first in turns; the replies must be the same.
 * @param {string} name @param {number} goal
 * @param {import('../../electron/engine/native.d.ts').NativeEngine} engine @param {NativeGenerateRequest[]} requests
 * @returns {Promise<Measured>}
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
  // By tokens in all: what a user waits for. A median over replies would hide those that drafts made slower.
  const msPerToken = (/** @type {'plain' | 'drafted'} */ which) =>
    sum(pairs.map((pair) => pair[which].decodeMs)) / sum(pairs.map((pair) => pair[which].nDecoded - 1));
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
