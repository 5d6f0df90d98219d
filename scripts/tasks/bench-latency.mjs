// `npm run bench -- latency [--model FILE] [--threads N] [--limit N] [--no-write]`: inline requests beside a long prompt, against the
// same on an idle engine, and sixteen replies against one. Writes the section "latency" of docs/speculation.md.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { modelOptions, openEngine, quantile, readCount, submit, sum } from '../lib/bench-addon.mjs';
import { barPlot, markdownTable, writeSection } from '../lib/doc-section.mjs';
import { formatTable } from '../lib/table.mjs';

/** @typedef {import('../../electron/engine/native.d.ts').NativeModel} NativeModel */

const nInline = 20;
const nLong = 4000;

/** @param {string[]} words */
export async function benchLatency(words) {
  const { values } = parseArgs({ args: words, options: modelOptions });
  const nRequests = readCount('limit', values.limit, 200);
  const { model } = await openEngine(values);
  const { idle, busy } = await inlineBesidePrefill(model, nRequests);
  const { one, sixteen, least, most } = await sideBySide(model);
  const ms = (/** @type {number[]} */ all, /** @type {number} */ part) => quantile(all, part).toFixed(1);
  const cells = [
    ['time to first token, ms', 'median', 'p90', 'p99'],
    ['idle engine', ms(idle, 0.5), ms(idle, 0.9), ms(idle, 0.99)],
    [`beside a prompt of ${nLong} tokens`, ms(busy, 0.5), ms(busy, 0.9), ms(busy, 0.99)],
  ];
  const more = quantile(busy, 0.99) - quantile(idle, 0.99);
  const lines = [
    `Inline requests (warm prefix, ${nInline} tokens): p99 is ${more.toFixed(1)} ms more beside the prompt; goal 30 ms. ${busy.length} requests each.`,
    `Sixteen replies at once: ${sixteen.toFixed(1)} tok/s in all, one alone ${one.toFixed(1)}: ${(sixteen / one).toFixed(2)} times; goal 3. The slowest of them had ${((100 * least) / most).toFixed(0)} % of the tokens per second of the fastest.`,
  ];
  console.log(`\n${formatTable(cells)}\n\n${lines.join('\n')}`);
  if (values['no-write']) return;
  const { name, fileType, backend } = model.info;
  const facts = `${name} (${fileType}), ${backend}; ${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} processors; ${new Date().toISOString().slice(0, 10)}.`;
  const bars = barPlot([
    { label: 'idle p50', value: quantile(idle, 0.5) },
    { label: 'idle p99', value: quantile(idle, 0.99) },
    { label: 'busy p50', value: quantile(busy, 0.5) },
    { label: 'busy p99', value: quantile(busy, 0.99) },
  ]);
  await writeSection(
    'docs/speculation.md',
    'latency',
    `${facts}\n\n${markdownTable(cells)}\n\n${bars}\n\n${lines.join('\n\n')}`,
  );
}

/** @param {NativeModel} model @param {number} nRequests */
async function inlineBesidePrefill(model, nRequests) {
  // The inline request's context stays small where the model's own is shorter than the long prompt.
  const nCtx = Math.min(model.info.nCtxTrain, nLong + 64);
  const engine = model.createEngine({ nCtx, kvBytes: 3 * nCtx * model.info.kvBytesPerToken });
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
  return { idle, busy };

  function longPrompt() {
    const nTokens = Math.min(nLong, nCtx - 2);
    salt += 1;
    const tokens = Int32Array.from({ length: nTokens }, (_, i) => (i * 7919 + salt * 104729 + 300) % model.info.nVocab);
    let isDone = false;
    const { done } = submit(engine, { tokens, nPredict: 1, priority: 'chat', draft: false });
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
