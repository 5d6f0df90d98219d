// Would the comparison of architectures notice a reader who ignores a key or a kind of tensor? The faulty reader is
// simulated by a file in which that key or tensor is what such a reader would take instead.
//
//   node scripts/model-tests/architecture-faults.mjs [--peer] [gemma3 llama-biases ...]    --peer: llama.cpp reads it
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { chosenModels, writeTinyModel } from './tiny-models/catalog.mjs';
import { compareRows } from './tiny-models/comparison.mjs';
import { engineRows } from './tiny-models/engine-rows.mjs';
import { faultsOf } from './tiny-models/faults.mjs';
import { normal, peerRows } from './tiny-models/peer-reference.mjs';
import { readArchitectureRecording } from './tiny-models/recording.mjs';

const words = process.argv.slice(2);
const isPeer = words.includes('--peer');
const { models: recorded } = await readArchitectureRecording();

/** @param {string} path */
const rowsOf = async (path) => (isPeer ? (await peerRows(path, [normal])).rows[0] : await engineRows(path)) ?? [];

// Quantized models differ from the plain one in their types only.
for (const model of chosenModels(words.filter((word) => word !== '--peer')).filter(
  ({ types }) => types === undefined,
)) {
  test(`faulty readers of ${model.name} are noticed`, async (t) => {
    const { rows = [] } = recorded[model.name] ?? {};
    const { path } = await writeTinyModel(model);
    assert.deepEqual(compareRows(rows, await rowsOf(path)).problems, [], 'the model without a fault');
    /** @type {string[]} */
    const missed = [];
    /** @type {string[]} */
    const found = [];
    for (const [i, fault] of faultsOf(model).entries()) {
      const { path: faulty } = await writeTinyModel(fault.model, `${model.name}-fault-${i}`, fault.tensors);
      const { rms, problems } = compareRows(rows, await rowsOf(faulty));
      (problems.length === 0 ? missed : found).push(`${fault.what} (${rms.toFixed(1)})`);
      await rm(faulty);
    }
    t.diagnostic(`${model.name}: deviations in sigma: ${found.join(', ')}`);
    assert.deepEqual(missed, []);
  });
}
