// Every npm script comes here: `node scripts/outpost.mjs TASK`. Works from an empty clone; brings Node itself up
// to date first, then runs the task, which prepares what it needs.
import { SetupError } from './lib/process.mjs';
import { ensureNode } from './lib/toolchain.mjs';

/** Modules are loaded when needed: most of them use packages that the first run has yet to install. */
const tasks = /** @type {Record<string, () => Promise<(words: string[]) => Promise<void>>>} */ ({
  start: async () => (await import('./tasks/start.mjs')).start,
  build: async () => (await import('./tasks/build.mjs')).build,
  test: async () => (await import('./tasks/test.mjs')).test,
  check: async () => (await import('./tasks/check.mjs')).check,
  format: async () => (await import('./tasks/check.mjs')).format,
  'test:unit': async () => (await import('./tasks/test.mjs')).testUnit,
  'test:native': async () => (await import('./tasks/test-native.mjs')).testNative,
  'test:model': async () => (await import('./tasks/test-model.mjs')).testModel,
  'test:e2e': async () => (await import('./tasks/test.mjs')).testE2e,
  'record-vectors': async () => (await import('./tasks/record-vectors.mjs')).recordVectors,
  bench: async () => (await import('./tasks/bench.mjs')).bench,
  soak: async () => (await import('./tasks/soak.mjs')).soak,
  pictures: async () => (await import('./tasks/pictures.mjs')).pictures,
  'gpu-resources': async () => (await import('./tasks/gpu-resources.mjs')).gpuResources,
  'gpu-models': async () => (await import('./tasks/gpu-models.mjs')).gpuModels,
  'gpu-lease': async () => (await import('./tasks/gpu-lease.mjs')).gpuLease,
  'evaluate-tokenizer': async () => (await import('./tasks/evaluate-tokenizer.mjs')).evaluateTokenizer,
  'tokenizer-corpus': async () => (await import('./tasks/tokenizer-corpus.mjs')).tokenizerCorpus,
  'test:forge': async () => (await import('./tasks/test-forge.mjs')).testForge,
  'forge-corpus': async () => (await import('./tasks/forge-corpus.mjs')).forgeCorpus,
  'forge-tokens': async () => (await import('./tasks/forge-tokens.mjs')).forgeTokens,
  'forge-export': async () => (await import('./tasks/forge-export.mjs')).forgeExport,
  'forge-evaluate': async () => (await import('./tasks/forge-evaluate.mjs')).forgeEvaluate,
});

const [name = '', ...words] = process.argv.slice(2);
try {
  const load = tasks[name];
  if (load === undefined) throw new SetupError(`There is no task "${name}". Tasks: ${Object.keys(tasks).join(', ')}.`);
  await ensureNode();
  const task = await load();
  await task(words);
} catch (error) {
  console.error(error instanceof SetupError ? `\n${error.message}` : error);
  process.exitCode = 1;
}
