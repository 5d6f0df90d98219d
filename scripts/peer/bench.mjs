// Run by `npm run bench` in a process of its own: a PeerBenchRequest on stdin, a PeerBench on stdout, both JSON.
import { openPeer } from './peer.mjs';
import { readStdin } from './stdin.mjs';

/** @typedef {import('node-llama-cpp').Token} Token */

const input = await readStdin();
/** @type {import('../lib/bench.mjs').PeerBenchRequest} */
const { model, nThreads, nPrefill, nDecode, nRepetitions, flashAttention: settings, depth = 0 } = JSON.parse(input);

const baseBytes = peakBytes();
const peer = await openPeer(model);
let loadMs = 0; // until the first context is ready
let firstTokenMs = 0; // and until it has read the weights once
const results = [];
for (const flashAttention of settings) {
  const context = await peer.model.createContext({
    contextSize: Math.max(2048, depth + nDecode + 64),
    batchSize: 512,
    flashAttention,
    sequences: 1,
    threads: nThreads,
  });
  const sequence = context.getSequence();
  if (loadMs === 0) {
    loadMs = performance.now() - peer.startMs;
    for await (const _ of sequence.evaluate(promptOf(8, 0), { temperature: 0, yieldEogToken: true })) break;
    firstTokenMs = performance.now() - peer.startMs;
  }
  const prefill = [];
  const decode = [];
  if (depth > 0) {
    prefill.push(await measurePrefill(sequence, promptOf(depth, 1)));
    decode.push(await measureDecode(sequence, promptOf(1, 2)));
  }
  for (let repetition = 1; depth === 0 && repetition <= nRepetitions; ++repetition) {
    prefill.push(await measurePrefill(sequence, promptOf(nPrefill, repetition)));
    await sequence.clearHistory();
    decode.push(await measureDecode(sequence, promptOf(2, repetition + 1000)));
  }
  await context.dispose();
  results.push({ flashAttention, prefill, decode });
}
const reply = { loadMs, firstTokenMs, results, peakBytes: peakBytes(), baseBytes, build: peer.build };
process.stdout.write(JSON.stringify(reply), () => process.exit(0));

/** @param {import('node-llama-cpp').LlamaContextSequence} sequence @param {Token[]} prompt @returns tokens per second */
async function measurePrefill(sequence, prompt) {
  await sequence.clearHistory();
  const from = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(prompt);
  return (prompt.length * 1000) / (performance.now() - from);
}

/**
 * Greedy decoding behind what the sequence has; the time starts with the first token, as in our own benchmark.
 * @param {import('node-llama-cpp').LlamaContextSequence} sequence
 * @param {Token[]} prompt
 */
async function measureDecode(sequence, prompt) {
  let n = 0;
  let from = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (n === 0) from = performance.now();
    if (++n === nDecode) break;
  }
  return ((n - 1) * 1000) / (performance.now() - from);
}

/**
 * Arbitrary tokens, others for each `salt`; the ids exist in every vocabulary.
 * @param {number} n
 * @param {number} salt
 */
function promptOf(n, salt) {
  return Array.from({ length: n }, (_, i) => /** @type {Token} */ (((i * 7919 + salt * 104729) % 20000) + 300));
}

/** The most memory this process had, pages of the model's file included. */
function peakBytes() {
  return process.resourceUsage().maxRSS * 1024;
}
