// Our next-token distributions against llama.cpp's: the recorded ones everywhere, live ones where it runs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeAgreement, disagreements, measureAgreement, noiseOf, unclearPrompts } from '../lib/agreement.mjs';
import { readDefaultModel } from '../lib/default-model.mjs';
import { engineLogits, engineTokenize } from '../lib/engine-cli.mjs';
import { askPeer } from '../lib/peer.mjs';
import { readPrompts, readRecording } from '../lib/vectors.mjs';
import { engine, skipWithoutPeer } from './setup.mjs';

const recording = await readRecording();
const prompts = await readPrompts();
const recorded = recording.prompts.map(({ id, top }) => ({ id, reference: top }));
const sigma = noiseOf(recorded);

// Short ones of every kind; the configurations that are fast.
const liveIds = ['python', 'cpp', 'rust', 'json', 'prose-en', 'chinese', 'emoji', 'chat'];
const liveConfigurations = ['batch 512', 'batch 512, flash attention'];

/** @param {Parameters<typeof measureAgreement>[0]} compared */
function assertAgreement(compared) {
  const measured = measureAgreement(compared, { sigma });
  console.log(describeAgreement(measured));
  assert.deepEqual(disagreements(measured), []);
}

test('the recording belongs to the default model and to the prompts', async () => {
  assert.equal(recording.manifest.model.sha256, (await readDefaultModel()).sha256);
  assert.deepEqual(
    recording.prompts.map(({ id }) => id),
    prompts.map(({ id }) => id),
  );
  assert.deepEqual(unclearPrompts(recorded), []);
});

test('the prompts have the recorded tokens', async () => {
  for (const [i, { text }] of prompts.entries())
    assert.deepEqual(await engineTokenize(engine, text), recording.prompts[i]?.tokens.slice(1), text);
});

test('next tokens agree with the recorded ones of llama.cpp', async () => {
  const logits = await engineLogits(
    engine,
    recording.prompts.map(({ tokens }) => tokens),
  );
  assertAgreement(recorded.map((prompt, i) => ({ ...prompt, ours: logits[i]?.top ?? [] })));
});

test('the comparison notices prompts whose first token is left out', async () => {
  const chosen = recording.prompts.filter(({ id }) => liveIds.includes(id));
  const logits = await engineLogits(
    engine,
    chosen.map(({ tokens }) => tokens.slice(1)),
  );
  const compared = chosen.map(({ id, top }, i) => ({ id, reference: top, ours: logits[i]?.top ?? [] }));
  assert.notDeepEqual(disagreements(measureAgreement(compared, { sigma })), []);
});

test('next tokens agree with llama.cpp, live', { skip: skipWithoutPeer }, async (t) => {
  const chosen = prompts.filter(({ id }) => liveIds.includes(id));
  assert.equal(chosen.length, liveIds.length);
  const texts = chosen.map(({ text }) => text);
  const peer = await askPeer({ model: engine.model, prompts: texts, configurations: liveConfigurations });
  const ours = await engineLogits(engine, peer.ids);

  await t.test('ours', () =>
    assertAgreement(
      chosen.map(({ id }, i) => ({
        id,
        reference: peer.configurations.map(({ top }) => top[i] ?? []),
        ours: ours[i]?.top ?? [],
      })),
    ),
  );
  // Otherwise the recording is of another build or of another model.
  for (const { name, top } of peer.configurations) {
    await t.test(`its own record, ${name}`, () =>
      assertAgreement(
        chosen.map(({ id }, i) => ({
          id,
          reference: recorded.find((prompt) => prompt.id === id)?.reference ?? [],
          ours: top[i] ?? [],
        })),
      ),
    );
  }
});
