// `npm run bench -- latency [--model FILE] [--chat FILE] [--only ROWS] [--threads N] [--limit N] [--no-write]`: inline
// requests beside a long prompt, against the same on an idle engine, and sixteen replies against one. ROWS are some of
// same (the prompt is of the inline model), other (of another model, in its own engine, as in the app) and sixteen.
// Writes the section "latency" of docs/speculation.md from the rows of this run and those of earlier ones.
import { parseArgs } from 'node:util';
import { modelOptions, openEngine, quantile, readCount, submit, sum } from '../lib/bench-addon.mjs';
import { keepRows, machineFacts, modelName } from '../lib/bench-rows.mjs';
import { bundledModel } from '../lib/bundled-models.mjs';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { barPlot, markdownTable, writeSection } from '../lib/doc-section.mjs';
import { SetupError } from '../lib/process.mjs';

/** @typedef {import('../../electron/engine/native.d.ts').NativeModel} NativeModel */
/** @typedef {{ name: string, model: string, idle: number[], busy: number[] }} LatencyRow time to first token, ms */
/** @typedef {{ name: string, model: string, one: number, sixteen: number, least: number, most: number }} TogetherRow tok/s */

const nInline = 20;
const nLong = 4000;
const kinds = ['same', 'other', 'sixteen'];

/** @param {string[]} words */
export async function benchLatency(words) {
  const string = /** @type {const} */ ({ type: 'string' });
  const { values } = parseArgs({ args: words, options: { ...modelOptions, chat: string, only: string } });
  const nRequests = readCount('limit', values.limit, 200);
  const chosen = values.only?.split(',') ?? kinds;
  const unknown = chosen.find((kind) => !kinds.includes(kind));
  if (unknown !== undefined) throw new SetupError(`--only knows ${kinds.join(', ')}; not ${unknown}.`);
  const { model, draft: chat } = await openEngine({
    model: values.model ?? bundledModel('outpost-code'),
    ...(chosen.includes('other') ? { draft: values.chat ?? (await ensureDefaultModel()) } : {}),
    ...(values.threads === undefined ? {} : { threads: values.threads }),
  });
  const name = modelName(model);
  /** @type {(LatencyRow | TogetherRow)[]} */
  const measured = [];
  if (chosen.includes('same')) {
    const times = await inlineBesidePrefill(model, model, nRequests);
    measured.push({ name: 'beside a prompt of the same model', model: name, ...times });
  }
  if (chat) {
    const times = await inlineBesidePrefill(model, chat, nRequests);
    measured.push({ name: `beside a prompt of ${modelName(chat)}`, model: name, ...times });
  }
  if (chosen.includes('sixteen')) measured.push({ name: 'sixteen', model: name, ...(await sideBySide(model)) });
  const isKept = !values['no-write'];
  const text = sectionOf(isKept ? await keepRows('latency', measured) : measured);
  console.log(`\n${text}`);
  if (isKept) {
    const facts = machineFacts(model.info.backend);
    await writeSection('docs/speculation.md', 'latency', `${facts}\n\n${text}`);
  }
}

/** @param {(LatencyRow | TogetherRow)[]} rows */
function sectionOf(rows) {
  const latency = rows.flatMap((row) => ('idle' in row ? [row] : []));
  const together = rows.flatMap((row) => ('sixteen' in row ? [row] : []));
  const ms = (/** @type {number[]} */ all) => [0.5, 0.9, 0.99].map((part) => quantile(all, part).toFixed(1));
  const head = ['time to first token, ms', 'model', 'median', 'p90', 'p99', 'p99 more than idle', 'goal', 'requests'];
  const cells = latency.flatMap(({ name, model, idle, busy }) => {
    const more = quantile(busy, 0.99) - quantile(idle, 0.99);
    return [
      ['idle engine', model, ...ms(idle), '', '', `${idle.length}`],
      [name, model, ...ms(busy), more.toFixed(1), '30', `${busy.length}`],
    ];
  });
  const bars = latency.flatMap(({ name, idle, busy }) => [
    { label: 'idle, p99', value: quantile(idle, 0.99) },
    { label: `${name}, p99`, value: quantile(busy, 0.99) },
  ]);
  const lines = together.map(
    ({ model, one, sixteen, least, most }) =>
      `Sixteen replies of ${model} at once: ${sixteen.toFixed(1)} tok/s in all, one alone ${one.toFixed(1)}: ` +
      `${(sixteen / one).toFixed(2)} times; goal 3. The slowest of them had ${((100 * least) / most).toFixed(0)} % of ` +
      'the tokens per second of the fastest.',
  );
  const table = latency.length === 0 ? [] : [markdownTable([head, ...cells]), barPlot(bars)];
  return [...table, ...lines].join('\n\n');
}

/** @param {NativeModel} model of the inline requests @param {NativeModel} chat of the prompt @param {number} nRequests */
async function inlineBesidePrefill(model, chat, nRequests) {
  const create = (/** @type {NativeModel} */ of) => {
    const nCtx = Math.min(of.info.nCtxTrain, nLong + 64);
    return { nCtx, engine: of.createEngine({ nCtx, kvBytes: 3 * nCtx * of.info.kvBytesPerToken }) };
  };
  const { engine } = create(model);
  const { engine: chatEngine, nCtx: nChat } = chat === model ? { engine, nCtx: nLong + 64 } : create(chat);
  const prefix = model.tokenize('function add(a, b) {\n  return a + b;\n}\n\nfunction multiply(a, b) {\n');
  const inline = () =>
    submit(engine, { tokens: prefix, nPredict: nInline, temperature: 0, priority: 'inline', draft: false });
  await inline().done; // warms the prefix
  const idle = [];
  const busy = [];
  console.log('• inline requests on an idle engine …');
  for (let i = 0; i < nRequests; ++i) {
    const request = inline();
    idle.push(await request.firstMs);
    await request.done;
  }
  console.log('• inline requests beside a long prompt …');
  let salt = 0;
  let long = longPrompt();
  // Of those that found the prompt done when they ended nothing can be said.
  for (let i = 0; i < 4 * nRequests && busy.length < nRequests; ++i) {
    if (long.isDone()) long = longPrompt();
    // At any place of a slice.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
    const request = inline();
    const firstMs = await request.firstMs;
    await request.done;
    if (!long.isDone()) busy.push(firstMs);
  }
  engine.dispose();
  if (chatEngine !== engine) chatEngine.dispose();
  return { idle, busy };

  function longPrompt() {
    const nTokens = Math.min(nLong, nChat - 2);
    salt += 1;
    const tokens = Int32Array.from({ length: nTokens }, (_, i) => (i * 7919 + salt * 104729 + 300) % chat.info.nVocab);
    let isDone = false;
    const { done } = submit(chatEngine, { tokens, nPredict: 1, priority: 'chat', draft: false });
    void done.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    return { isDone: () => isDone };
  }
}

/** @param {NativeModel} model */
async function sideBySide(model) {
  console.log('• one reply, and sixteen at once …');
  const engine = model.createEngine({ nCtx: 512, kvBytes: 16 * 512 * model.info.kvBytesPerToken });
  const nPredict = 96;
  const run = async (/** @type {number} */ n) => {
    const requests = Array.from({ length: n }, (_, i) =>
      submit(engine, {
        tokens: model.tokenize(`Story number ${i}: once upon a time`),
        nPredict,
        temperature: 1,
        seed: i,
        draft: false,
      }),
    );
    const startMs = performance.now();
    const replies = await Promise.all(requests.map(({ done }) => done));
    const seconds = (performance.now() - startMs) / 1000;
    const each = replies.map(({ stats }) => stats.nDecoded / Math.max(stats.decodeMs, 1e-3));
    return { rate: sum(replies.map(({ stats }) => stats.nDecoded)) / seconds, each };
  };
  await run(1);
  const one = await run(1);
  const all = await run(16);
  engine.dispose();
  return { one: one.rate, sixteen: all.rate, least: Math.min(...all.each), most: Math.max(...all.each) };
}
