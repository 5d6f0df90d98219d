// `node scripts/outpost.mjs forge-corpus [--verify | --heldout | --megabytes N [--seed S]]`: the text that our own models are
// trained on, below build/forge/corpus. --heldout makes only the part that they are not trained on, which an evaluation
// needs; --megabytes that and some of the rest, other packages with another seed.
// --verify looks at one that is there again, file by file, against forge/corpus/manifest.json.
import { existsSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildCorpus, corpusTable, readPackageList } from '../../forge/corpus/build.mjs';
import { chooseSome } from '../../forge/corpus/some.mjs';
import { verifyCorpus } from '../../forge/corpus/verify.mjs';
import { root, SetupError } from '../lib/process.mjs';
import { ensurePackageTools } from '../lib/source-packages.mjs';
import { step } from '../lib/steps.mjs';

/** @param {string[]} words */
export async function forgeCorpus(words) {
  const { values } = parseArgs({
    args: words,
    options: {
      verify: { type: 'boolean' },
      heldout: { type: 'boolean' },
      megabytes: { type: 'string' },
      seed: { type: 'string' },
    },
  });
  const modes = [values.verify, values.heldout, values.megabytes].filter((mode) => mode !== undefined);
  if (modes.length > 1) throw new SetupError('--verify, --heldout and --megabytes exclude each other.');
  if (values.seed !== undefined && values.megabytes === undefined)
    throw new SetupError('--seed goes with --megabytes.');
  const committed = join(root, 'forge', 'corpus', 'manifest.json');
  /** @returns {Promise<import('../../forge/corpus/build.mjs').ManifestEntry[]>} */
  const readManifest = async () => JSON.parse(await readFile(committed, 'utf8'));
  if (values.verify) {
    const manifest = await readManifest();
    const problems = await step('Corpus, file by file', () => verifyCorpus(manifest, 'build/forge/corpus'));
    console.log(`\n${corpusTable(manifest)}`);
    if (problems.length > 0)
      throw new SetupError(`${problems.length} things are wrong:\n  ${problems.slice(0, 50).join('\n  ')}`);
    const nFiles = manifest.reduce((sum, { files }) => sum + files, 0);
    console.log(
      `${nFiles} files of ${manifest.length} packages are as the manifest says, once each, and by the rules.`,
    );
    return;
  }
  await ensurePackageTools();
  const out = join(root, 'build', 'forge', 'corpus');
  if (values.heldout) {
    if (existsSync(join(out, 'train'))) throw new SetupError('The whole corpus is there, with what is held out.');
    const { heldout } = await readPackageList();
    await step('What is held out', () => buildCorpus({ train: [], heldout }, out));
    return;
  }
  if (values.megabytes !== undefined) {
    const [megabytes, seed] = [Number(values.megabytes), Number(values.seed ?? 0)];
    if (!(megabytes > 0) || !Number.isInteger(seed))
      throw new SetupError(`Expected a number above 0 and a whole seed, not ${values.megabytes} and ${values.seed}.`);
    const { train, heldout } = await readPackageList();
    const some = chooseSome(train, await readManifest(), 1e6 * megabytes, seed);
    const built = await step('A part of the corpus', () => buildCorpus({ train: some, heldout }, out));
    console.log(`\n${corpusTable(built)}`);
    return;
  }
  const manifest = await step('Corpus of our own models', async () => buildCorpus(await readPackageList(), out));
  await copyFile(join(out, 'manifest.json'), committed);
  console.log(`\n${corpusTable(manifest)}`);
}
