// `npm run record-vectors [-- default-model | architectures [NAME...]]`: asks llama.cpp for next tokens and writes
// native/tests/vectors/: of the default model for all prompts, and of the tiny models of all architectures.
// Takes some minutes, most of them for long prompts one token at a time.
import { cpus } from 'node:os';
import { unclearPrompts } from '../lib/agreement.mjs';
import { ensureDefaultModel, readDefaultModel } from '../lib/default-model.mjs';
import { askPeer, ensurePeer } from '../lib/peer.mjs';
import { SetupError } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { readPrompts, writeRecording } from '../lib/vectors.mjs';
import { recordArchitectures } from './record-architectures.mjs';

const nTop = 40;

const parts = ['default-model', 'architectures'];

/** @param {string[]} words the part to record, and names of its models; all if none is given */
export async function recordVectors([part, ...names] = []) {
  if (part !== undefined && !parts.includes(part))
    throw new SetupError(`There is no part "${part}". Parts: ${parts.join(', ')}.`);
  if (!(await ensurePeer())) throw new SetupError('There is no build of llama.cpp for this platform to record.');
  if (part !== 'architectures') await recordDefaultModel();
  if (part !== 'default-model') await recordArchitectures(names);
}

async function recordDefaultModel() {
  const path = await ensureDefaultModel({ verify: true });
  const { file, sha256 } = await readDefaultModel();
  const prompts = await readPrompts();
  const texts = prompts.map((prompt) => prompt.text);
  const reply = await step(`Next tokens of ${prompts.length} prompts`, () =>
    askPeer({ model: path, prompts: texts, nTop }),
  );

  const recorded = prompts.map(({ id }, i) => ({
    id,
    tokens: reply.ids[i] ?? [],
    top: reply.configurations.map(({ top }) => top[i] ?? []),
  }));
  const unclear = unclearPrompts(recorded.map(({ id, top }) => ({ id, reference: top })));
  if (unclear.length > 0) {
    throw new SetupError(
      `The reference is not sure of its own top-1 token:\n  ${unclear.join('\n  ')}`,
      'Replace these prompts in native/tests/vectors/prompts.json; its notes say how they are chosen.',
    );
  }
  await writeRecording({
    manifest: {
      what: `the ${nTop} most probable next tokens of each prompt, [id, probability], one list per configuration`,
      model: { file, sha256 },
      configurations: reply.configurations.map(({ name }) => name),
      options: { threads: 2, contextSize: 2048, kvCache: 'f16', gpu: false },
      build: reply.build,
      processor: cpus()[0]?.model,
      date: new Date().toISOString().slice(0, 10),
    },
    prompts: recorded,
  });
}
