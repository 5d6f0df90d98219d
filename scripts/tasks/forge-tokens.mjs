// `node scripts/outpost.mjs forge-tokens [--continue [--pair]]`: the corpus's vocabulary, its token shards, and parts of
// them that can be carried to a machine with a GPU, below build/forge. Needs `forge-corpus` first. --continue takes the
// vocabulary of the model that is shipped in the place of a new one, and puts the model first among the parts: training goes
// on from it; with --pair from its draft, too.
import { copyFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { importWeights } from '../../forge/import.mjs';
import { packTokens } from '../../forge/pack-tokens.mjs';
import { findPython } from '../../forge/python.mjs';
import { bundledModel } from '../lib/bundled-models.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { root, run, SetupError } from '../lib/process.mjs';
import { stampedStep, step } from '../lib/steps.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { sha256 } from '../tokenizer/corpus.mjs';

const folder = join(root, 'build', 'forge');
const shardTokens = 12e6; // 24 MB, and about 9 MB on the way: the first has room beside the target's file in a part

const shipped = /** @type {const} */ ({ target: 'outpost-code', draft: 'outpost-code-draft' });

/** @param {string[]} words */
export async function forgeTokens(words) {
  const { values } = parseArgs({ args: words, options: { continue: { type: 'boolean' }, pair: { type: 'boolean' } } });
  if (values.pair && !values.continue) throw new SetupError('--pair goes with --continue.');
  await ensureSystemPackages(['build', 'forge']);
  await ensureDependencies();
  const program = engineProgram(await buildNative('release'));
  const python = await findPython();
  const text = await readFile(join(folder, 'corpus', 'manifest.json'), 'utf8').catch(() => {
    throw new SetupError('There is no corpus yet.', 'Run `node scripts/outpost.mjs forge-corpus` first.');
  });
  /** @type {import('../../forge/corpus/build.mjs').ManifestEntry[]} */
  const manifest = JSON.parse(text);
  const vocabulary = join(folder, 'vocabulary.gguf');
  const inputs = async () => sha256(`${text} ${values.continue}`);
  const presets = /** @type {('target' | 'draft')[]} */ (values.pair ? ['target', 'draft'] : ['target']);
  const models = values.continue ? await step('A model to go on from', () => shippedModels(python, presets)) : [];
  await stampedStep('forge-vocabulary', 'Vocabulary of 32,768 entries', inputs, async () => {
    if (values.continue) return copyFile(join(folder, 'continue', 'target.gguf'), vocabulary);
    const words = ['train-tokenizer', join(folder, 'corpus', 'train'), '--vocabulary', '32768', '--source-depth', '1'];
    await run(program, [...words, '--out', vocabulary, '--json', join(folder, 'vocabulary.json')]);
  });
  await stampedStep('forge-tokens', 'Token shards', inputs, async () => {
    for (const part of /** @type {const} */ (['heldout', 'train'])) {
      const entries = manifest.filter((entry) => entry.part === part);
      const out = join(folder, 'tokens', part);
      const options = { program, vocabulary, corpus: 'build/forge/corpus', entries, out, name: part, shardTokens };
      const shards = await packTokens(options);
      const nTokens = shards.reduce((sum, { tokens }) => sum + tokens, 0);
      console.log(`  ${part}: ${(nTokens / 1e6).toFixed(1)} million tokens in ${shards.length} shards`);
    }
  });
  await step('Parts to carry', async () => {
    const shards = join(folder, 'tokens', 'train');
    const files = (await readdir(shards)).sort().map((name) => join(shards, name));
    await rm(join(folder, 'parts'), { recursive: true, force: true });
    const first = values.continue ? models : [join(folder, 'vocabulary.json')]; // a model holds its vocabulary
    await run(python, [join(root, 'forge', 'carry.py'), 'pack', join(folder, 'parts'), ...first, ...files]);
  });
}

/**
 * The shipped models under the names of their presets, and build/forge/vocabulary.json.
 * @param {string} python @param {('target' | 'draft')[]} presets
 * @returns {Promise<string[]>} paths of PRESET.gguf
 */
async function shippedModels(python, presets) {
  const out = join(folder, 'continue');
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const paths = [];
  for (const preset of presets) {
    const path = join(out, `${preset}.gguf`);
    await copyFile(bundledModel(shipped[preset]), path);
    paths.push(path);
  }
  const [target = ''] = paths;
  const weights = join(out, 'target.safetensors');
  await importWeights({ python, model: target, weights, vocabulary: join(folder, 'vocabulary.json') });
  return paths;
}
