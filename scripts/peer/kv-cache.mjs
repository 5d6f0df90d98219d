// Run by `npm run bench -- kv` in a process of its own: what llama.cpp's quantized KV caches do to the distributions of
// the next token, beside its own f16 cache. A request on stdin, a list of figures on stdout, both JSON.
import { openPeer } from './peer.mjs';
import { readStdin } from './stdin.mjs';

/** @type {{ model: string, windows: number[][], nLast: number, kvCaches: ('Q4_0' | 'Q8_0')[] }} */
const { model, windows, nLast, kvCaches } = JSON.parse(await readStdin());
const peer = await openPeer(model);
const figures = [];
for (const kvCache of kvCaches) figures.push({ kvCache, klds: /** @type {number[]} */ ([]), nFlips: 0 });
const nCtx = Math.max(...windows.map((window) => window.length));
for (const tokens of windows) {
  const prompts = [{ tokens, nLast }];
  // Quantized values need flash attention; the exact cache has it as well, so that only the cache differs.
  const settings = { name: '', batchSize: 512, flashAttention: true };
  const [exact] = await peer.distributions(prompts, { ...settings, kvCache: 'F16' }, nCtx);
  for (const figure of figures) {
    const [other] = await peer.distributions(prompts, { ...settings, kvCache: figure.kvCache }, nCtx);
    for (const [row, logP] of (exact ?? []).entries()) compare(figure, logP, other?.[row] ?? []);
  }
}
const reply = figures.map(({ kvCache, klds, nFlips }) => {
  klds.sort((a, b) => a - b);
  return {
    kvCache,
    meanKld: klds.reduce((sum, kld) => sum + kld, 0) / klds.length,
    p99Kld: klds[Math.floor(0.99 * (klds.length - 1))],
    flips: nFlips / klds.length,
    nTokens: klds.length,
  };
});
process.stdout.write(JSON.stringify({ figures: reply, build: peer.build }), () => process.exit(0));

/** @param {{ klds: number[], nFlips: number }} figure @param {number[]} logP @param {number[]} logQ */
function compare(figure, logP, logQ) {
  let kld = 0;
  let topP = 0;
  let topQ = 0;
  for (const [id, p] of logP.entries()) {
    const q = logQ[id] ?? Number.NaN;
    kld += Math.exp(p) * (p - q);
    if (p > (logP[topP] ?? 0)) topP = id;
    if (q > (logQ[topQ] ?? 0)) topQ = id;
  }
  figure.klds.push(kld);
  if (topP !== topQ) figure.nFlips += 1;
}
