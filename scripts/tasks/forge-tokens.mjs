// `node scripts/outpost.mjs forge-tokens [--continue]`: the corpus's vocabulary, its token shards, and parts of them that can
// be carried to a machine with a GPU, below build/forge. Needs `forge-corpus` first. --continue takes the vocabulary of the
// models that are shipped in the place of a new one, and puts their weights first among the parts: training goes on from
// them.
import { copyFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { importWeights } from '../../forge/import.mjs';
import { packTokens } from '../../forge/pack-tokens.mjs';
import { findPython } from '../../forge/python.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { root, run, SetupError } from '../lib/process.mjs';
import { stampedStep, step } from '../lib/steps.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { sha256 } from '../tokenizer/corpus.mjs';

const folder = join(root, 'build', 'forge');
const shardTokens = 16e6; // 32 MB, and about 12 MB on the way

const shipped = { target: 'outpost-code', draft: 'outpost-code-draft' };

/** @param {string[]} words */
export async function forgeTokens(words) {
  const { values } = parseArgs({ args: words, options: { continue: { type: 'boolean' } } });
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
  const weights = values.continue ? await step('Weights to go on from', () => shippedWeights(program, python)) : [];
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
    const first = [...weights, join(folder, 'vocabulary.json'), ...files];
    await run(python, [join(root, 'forge', 'carry.py'), 'pack', join(folder, 'parts'), ...first]);
  });
}

/**
 * The shipped models as weights, and build/forge/vocabulary.json.
 * @param {string} program @param {string} python
 * @returns {Promise<string[]>} paths of PRESET.safetensors, the small one first
 */
async function shippedWeights(program, python) {
  const out = join(folder, 'continue');
  await mkdir(out, { recursive: true });
  const paths = [];
  for (const preset of /** @type {const} */ (['draft', 'target'])) {
    const [file] = (await readdir(join(root, 'resources', 'models'))).filter((name) =>
      new RegExp(`^${shipped[preset]}-[a-z]+[0-9].*\\.gguf$`).test(name),
    );
    if (file === undefined) throw new SetupError(`There is no ${shipped[preset]} in resources/models.`);
    const path = join(out, `${preset}.safetensors`);
    const model = join(root, 'resources', 'models', file);
    await importWeights({ program, python, model, weights: path, vocabulary: join(folder, 'vocabulary.json') });
    // Only the metadata of it is used, the vocabulary among them.
    if (preset === 'target') await copyFile(model, join(out, 'target.gguf'));
    paths.push(path);
  }
  return paths;
}
