// `npm run bench -- predictions`: tokens per second as the view of models expects them, from what the
// engine measures of single tensor types, against what models then do. On a quiet machine they have to agree within 20 %.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { predictTokensPerSecond } from '../../electron/common/model-facts.ts';
import { benchmark } from '../../electron/engine/self-test.ts';
import { readFacts } from '../../electron/services/models/library.ts';
import { guess } from '../../electron/services/models/machine-speed.ts';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';
import { prepare } from './build.mjs';

/**
 * Some hundred megabytes of weights each, as models that people use have at least.
 * @type {Record<string, Parameters<typeof tinyModelBytes>[0]>}
 */
const generated = {
  q8_0: { nLayer: 8, nEmbd: 2048, nCtxTrain: 1024, type: 'q8_0' },
  q4_K: { nLayer: 16, nEmbd: 2048, nCtxTrain: 1024, type: 'q4_K' },
  q4_0: { nLayer: 16, nEmbd: 2048, nCtxTrain: 1024, type: 'q4_0' },
  f16: { nLayer: 5, nEmbd: 2048, nCtxTrain: 1024, type: 'f16' },
};

/** Both sides take the best of so many: what else runs on the machine only makes either slower. */
const nRounds = 3;

export async function benchPredictions() {
  const { native, model: defaultModel } = await prepare();
  /** @type {import('../../electron/engine/native.d.ts').NativeAddon} */
  const addon = createRequire(import.meta.url)(join(native, 'outpost_engine.node'));
  const folder = await mkdtemp(join(tmpdir(), 'outpost-predictions-'));
  /** @type {Record<string, number>} */
  const bytesPerSecond = {};
  const layer = { secondsPerLayer: Number.POSITIVE_INFINITY, kvBytesPerSecond: 0 };
  /** What this machine does at its best so far, on the types of a model. @param {string[]} types */
  const measureMachine = async (types) => {
    for (const type of types) {
      bytesPerSecond[type] = Math.max(bytesPerSecond[type] ?? 0, await addon.measureWeightSpeed(type));
    }
    const { secondsPerLayer, kvBytesPerSecond } = await addon.measureLayerSpeed();
    layer.secondsPerLayer = Math.min(layer.secondsPerLayer, secondsPerLayer);
    layer.kvBytesPerSecond = Math.max(layer.kvBytesPerSecond, kvBytesPerSecond);
  };
  let nOff = 0;
  /** @param {string} name @param {string} path */
  const compare = async (name, path) => {
    const facts = await readFacts(path);
    const model = await addon.loadModel(path).promise;
    const engine = model.createEngine({ nCtx: 1024, kvBytes: 2 * 1024 * model.info.kvBytesPerToken });
    const loaded = /** @type {Parameters<typeof benchmark>[0]} */ (
      /** @type {unknown} */ ({ model, engine, nCtx: 1024 })
    );
    let measured = 0;
    let nPast = 0;
    for (let i = 0; i < nRounds; i++) {
      await measureMachine(Object.keys(facts.readPerToken));
      const { decodeTokensPerSecond, nPrompt, nDecoded } = await benchmark(loaded, Date.now());
      measured = Math.max(measured, decodeTokensPerSecond);
      nPast = nPrompt + nDecoded / 2; // what a token of the benchmark finds in the context, on average
    }
    engine.dispose();
    model.dispose();
    const expected = predictTokensPerSecond(facts, { ...guess, bytesPerSecond, layer }, nPast);
    const ratio = expected / measured;
    if (Math.abs(ratio - 1) > 0.2) nOff += 1;
    console.log(`${name}: expected ${expected.toFixed(1)}, measured ${measured.toFixed(1)} tok/s: ${ratio.toFixed(2)}`);
  };
  try {
    await compare('default model', defaultModel);
    for (const [name, options] of Object.entries(generated)) {
      const path = join(folder, `${name}.gguf`);
      await writeFile(path, tinyModelBytes({ ...options, isUniform: true }));
      await compare(name, path);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { secondsPerLayer, kvBytesPerSecond } = layer;
  console.log(
    `  a layer: ${(secondsPerLayer * 1e6).toFixed(0)} us; its context: ${(kvBytesPerSecond / 1e9).toFixed(1)} GB/s`,
  );
  for (const [type, speed] of Object.entries(bytesPerSecond))
    console.log(`  ${type}: ${(speed / 1e9).toFixed(1)} GB/s`);
  console.log(nOff === 0 ? 'All are within 20 %.' : `${nOff} are not within 20 %.`);
  if (nOff > 0) process.exitCode = 1;
}
