// `npm run record-vectors [-- tensor-types | default-model | architectures [NAME...]]`: asks llama.cpp for the values of
// tensor blocks (seconds), and for next tokens of the default model and of the tiny models of all architectures (many
// minutes: long prompts, also one token at a time), and writes native/tests/vectors/.
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { unclearPrompts } from '../lib/agreement.mjs';
import { ensureDefaultModel, readDefaultModel } from '../lib/default-model.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { askPeer, ensurePeer, peerLibrary, peerPackage } from '../lib/peer.mjs';
import { run, SetupError } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { readPrompts, vectorsDirectory, writeRecording } from '../lib/vectors.mjs';
import { recordArchitectures } from './record-architectures.mjs';

const nTop = 40;

const parts = ['tensor-types', 'default-model', 'architectures'];

/** @param {string[]} words the part to record, all by default, and names of its models */
export async function recordVectors([part, ...names]) {
  if (part !== undefined && !parts.includes(part))
    throw new SetupError(`There is no part "${part}". Parts: ${parts.join(', ')}.`);
  if (!(await ensurePeer())) throw new SetupError('There is no build of llama.cpp for this platform to record.');
  if (part === undefined || part === 'tensor-types') await recordTensorTypes();
  if (part === undefined || part === 'default-model') await recordNextTokens();
  if (part === undefined || part === 'architectures') await recordArchitectures(names);
}

async function recordTensorTypes() {
  const directory = await buildNative('release', { withTests: true });
  await run('cmake', ['--build', directory, '--target', 'outpost-record-tensor-types'], { quiet: true });
  const { name, version } = JSON.parse(await readFile(join(peerPackage, 'package.json'), 'utf8'));
  await step('Values of tensor blocks', () =>
    run(join(directory, 'outpost-record-tensor-types'), [
      peerLibrary,
      `${name} ${version}`,
      join(vectorsDirectory, 'tensor-types.txt'),
    ]),
  );
}

async function recordNextTokens() {
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
