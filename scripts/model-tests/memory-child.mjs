// One model loaded in a process of its own: how much memory that took. Arguments: addon, model, context.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [addonPath = '', modelPath = '', nCtx = '0'] = process.argv.slice(2);

/** Memory that is this process's alone, without mapped files. */
function anonymousBytes() {
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kib) * 1024;
}

const addon = createRequire(import.meta.url)(addonPath);
const before = anonymousBytes();
const model = await addon.loadModel(modelPath, { nThreads: 2 }).promise;
const kvBytes = 2 * Number(nCtx) * model.info.kvBytesPerToken;
const engine = model.createEngine({ nCtx: Number(nCtx), kvBytes });
// A prompt that touches a slice's working memory and both contexts' first pages.
await new Promise((resolve, reject) => {
  const tokens = Int32Array.from({ length: Math.min(200, Number(nCtx) - 8) }, (_, i) => 3 + (i % 200));
  engine.submit(
    { tokens, nPredict: 2, temperature: 0 },
    {
      onDone: (/** @type {string} */ reason, /** @type {unknown} */ _stats, /** @type {Error} */ error) =>
        reason === 'error' ? reject(error) : resolve(null),
    },
  );
});
const { kvBytesTotal, kvBytesUsed } = engine.stats();
console.log(
  JSON.stringify({
    grown: anonymousBytes() - before,
    kv: kvBytesTotal,
    kvUntouched: kvBytesTotal - kvBytesUsed,
    weights: model.info.weightBytes,
  }),
);
engine.dispose();
model.dispose();
