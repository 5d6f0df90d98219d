// What is predicted of a model's memory from its head, against what a process takes that loads it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { predictMemory } from '../../electron/common/model-facts.ts';
import { readFacts } from '../../electron/services/models/library.ts';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';

const child = fileURLToPath(new URL('memory-child.mjs', import.meta.url));
const addon = join(dirname(process.env.OUTPOST_ENGINE ?? ''), 'outpost_engine.node');
const folder = await mkdtemp(join(tmpdir(), 'outpost-memory-'));
after(() => rm(folder, { recursive: true, force: true }));

/** @type {Record<string, Parameters<typeof tinyModelBytes>[0]>} */
const generated = {
  q8_0: { nLayer: 8, nEmbd: 1024, nCtxTrain: 2048, type: 'q8_0' },
  q4_K: { nLayer: 3, nEmbd: 2048, nCtxTrain: 2048, type: 'q4_K' },
  f16: { nLayer: 5, nEmbd: 1024, nCtxTrain: 2048, type: 'f16' },
  q4_0: { nLayer: 12, nEmbd: 1024, nCtxTrain: 2048, type: 'q4_0' },
};

/** @param {string} path */
async function compare(path) {
  const facts = await readFacts(path);
  for (const nCtx of [256, 1024, 2048]) {
    const predicted = predictMemory(facts, { nCtx, kvBits: 16, draftBytes: 0 });
    const measured = JSON.parse(
      execFileSync(process.execPath, [child, addon, path, String(nCtx)], { encoding: 'utf8' }),
    );
    assert.equal(predicted.weights, measured.weights, 'weights');
    assert.equal(predicted.kv, measured.kv, 'KV cache');
    // The table of embeddings stays in the file; pages of the cache count when they are first written.
    const ratio = (predicted.total - facts.tableBytes) / (measured.grown + measured.kvUntouched);
    console.log(`# ${facts.fileType}, context ${nCtx}: ${ratio.toFixed(3)} of what was measured`);
    assert.ok(Math.abs(ratio - 1) <= 0.05, `context ${nCtx}: predicted ${ratio.toFixed(3)} of what was measured`);
  }
}

test('the memory of the default model is predicted within 5 %', { skip: process.platform !== 'linux' }, () =>
  compare(process.env.OUTPOST_DEFAULT_MODEL ?? ''),
);

for (const [type, options] of Object.entries(generated)) {
  test(`the memory of a generated model in ${type} is predicted within 5 %`, {
    skip: process.platform !== 'linux',
  }, async () => {
    const path = join(folder, `${type}.gguf`);
    await writeFile(path, tinyModelBytes({ ...options, isUniform: true }));
    await compare(path);
  });
}
