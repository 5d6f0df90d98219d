// `npm run test:model`: the engine on the real default model, against llama.cpp and against itself.
import { join } from 'node:path';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensurePeer } from '../lib/peer.mjs';
import { root } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { finish, runNodeTests } from '../lib/test-results.mjs';

/** The longest first, so that the last two end together. */
const files = [
  'architectures.mjs',
  'vocabularies.mjs',
  'architecture-faults.mjs',
  'next-tokens.mjs',
  'invariance.mjs',
  'tokenizer.mjs',
  'memory.mjs',
  'registry.mjs',
];

export async function testModel() {
  await ensureSystemPackages(['build', 'test']);
  await ensureDependencies();
  finish(await modelPart());
}

export async function modelPart() {
  const program = engineProgram(await buildNative('release', { withTests: true }));
  const env = {
    ...process.env,
    OUTPOST_ENGINE: program,
    OUTPOST_DEFAULT_MODEL: await ensureDefaultModel(),
    OUTPOST_HAS_PEER: (await ensurePeer()) ? '1' : '0',
  };
  // Two at a time: llama.cpp's half of a comparison uses one core. What is measured is memory, of a process of its own.
  return runNodeTests(
    'model.tap',
    files.map((file) => join(root, 'scripts', 'model-tests', file)),
    env,
    2,
  );
}
