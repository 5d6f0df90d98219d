// The part of `npm run record-vectors` that asks llama.cpp about the tiny models of all architectures.

import { cpus } from 'node:os';
import { join } from 'node:path';
import { buildNative } from '../lib/native-build.mjs';
import { run } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { chosenModels, tinyModels } from '../model-tests/tiny-models/catalog.mjs';
import { measureReference } from '../model-tests/tiny-models/peer-reference.mjs';
import { readArchitectureRecording, writeArchitectureRecording } from '../model-tests/tiny-models/recording.mjs';

/** @param {string[]} words names or architectures of the models to record anew; all if none is given */
export async function recordArchitectures(words) {
  const directory = await buildNative('release', { withTests: true });
  await run('cmake', ['--build', directory, '--target', 'outpost-peer-dequantize'], { quiet: true });
  const dequantizer = join(directory, 'outpost-peer-dequantize');
  const before = words.length === 0 ? {} : (await readArchitectureRecording()).models;
  /** @type {Record<string, import('../model-tests/tiny-models/recording.mjs').RecordedModel>} */
  const measured = {};
  let build;
  for (const model of chosenModels(words)) {
    const reply = await step(`Distributions of ${model.name}`, () => measureReference(model, dequantizer));
    measured[model.name] = { sha256: reply.sha256, rows: reply.rows };
    build = reply.build;
  }
  const all = { ...before, ...measured };
  await writeArchitectureRecording({
    manifest: {
      what:
        'for each tiny model and position: log-probabilities of every sixth token, computed with an f32 cache and f32 ' +
        'weights, and the root mean square by which normal operation deviates from them (sigma)',
      build,
      processor: cpus()[0]?.model,
      date: new Date().toISOString().slice(0, 10),
    },
    // In the catalog's order, without models that are no longer there.
    models: Object.fromEntries(tinyModels.flatMap(({ name }) => (all[name] === undefined ? [] : [[name, all[name]]]))),
  });
}
