// Every architecture and tensor type on tiny models with random weights: our distributions against those that
// llama.cpp computed for the same file, recorded everywhere and live where it runs.
//
//   node scripts/model-tests/architectures.mjs [gemma3 llama-q4_K ...]    names or architectures; all if none is given
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chosenModels, tinyModels, writeTinyModel } from './tiny-models/catalog.mjs';
import { compareRows, describeComparison } from './tiny-models/comparison.mjs';
import { emulatedRows, engineHash, engineRows, whyNotEmulated } from './tiny-models/engine-rows.mjs';
import { normal, peerRows } from './tiny-models/peer-reference.mjs';
import { prompts } from './tiny-models/prompts.mjs';
import { readArchitectureRecording } from './tiny-models/recording.mjs';

const { models: recorded } = await readArchitectureRecording();
const chunks = [1, 7, 64];
const chunkedTokens = prompts.find(({ tokens }) => tokens.length === 129)?.tokens ?? [];
const skipWithoutPeer = process.env.OUTPOST_HAS_PEER === '1' ? false : 'llama.cpp is not there to be asked';

test('every tiny model is recorded, and no other', () => {
  const names = tinyModels.map(({ name }) => name);
  assert.deepEqual(Object.keys(recorded).sort(), names.sort());
});

/** Layers of the devices after the processor: of one, of two, and of one behind each layer. @param {number} nLayer */
function splits(nLayer) {
  const all = [[1], [nLayer >> 1], [nLayer - 1], ...(nLayer > 2 ? [[1, nLayer - 2]] : []), Array(nLayer - 1).fill(1)];
  return new Map(all.map((split) => [split.join(), split])).values();
}

const names = process.argv.slice(2);

/** All by name; without one the first of each architecture and of each type, as an emulated thread takes its time. */
function whyNotHere(/** @type {import('./tiny-models/tiny-model.mjs').TinyModel} */ model) {
  const isFirst = tinyModels.find(({ architecture }) => architecture === model.architecture) === model;
  if (names.length === 0 && !isFirst && model.types === undefined) return 'another one stands for its architecture';
  return whyNotEmulated(model);
}

for (const model of chosenModels(names)) {
  test(`${model.name} (${model.architecture})`, async (t) => {
    const { path, sha256 } = await writeTinyModel(model);
    const reference = recorded[model.name];
    assert.equal(sha256, reference?.sha256, 'the generator gives another file: npm run record-vectors');
    const { rows = [] } = reference ?? {};

    await t.test('next tokens agree with the recorded ones of llama.cpp', async () => {
      const comparison = compareRows(rows, await engineRows(path));
      t.diagnostic(describeComparison(comparison, rows));
      assert.deepEqual(comparison.problems, []);
    });
    await t.test(`logits are the same to the bit for chunks of ${chunks.join(', ')} tokens and all`, async () => {
      assert.equal(chunkedTokens.length, 129);
      const expected = await engineHash(path, chunkedTokens, chunkedTokens.length);
      for (const chunk of chunks)
        assert.equal(await engineHash(path, chunkedTokens, chunk), expected, `chunks of ${chunk}`);
    });
    await t.test('logits are the same to the bit wherever devices share its layers', async () => {
      const expected = await engineHash(path, chunkedTokens, 64);
      const nLayer = Number(model.metadata.block_count);
      assert.ok(nLayer > 1);
      for (const split of splits(nLayer))
        assert.equal(await engineHash(path, chunkedTokens, 64, split), expected, `the last ${split} of ${nLayer}`);
    });
    await t.test('an emulated GPU agrees as well', { skip: whyNotHere(model) }, async () => {
      const deviceRows = await emulatedRows(path);
      const asked = rows.slice(0, deviceRows.length);
      const comparison = compareRows(asked, deviceRows);
      t.diagnostic(`emulated: ${describeComparison(comparison, asked)}`);
      assert.deepEqual(comparison.problems, []);
    });
    await t.test('llama.cpp agrees with its own record, live', { skip: skipWithoutPeer }, async () => {
      const {
        rows: [live = []],
      } = await peerRows(path, [normal]);
      assert.deepEqual(compareRows(rows, live).problems, []);
    });
  });
}
