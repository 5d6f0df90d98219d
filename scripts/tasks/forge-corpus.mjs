// `node scripts/outpost.mjs forge-corpus`: the text that our own models are trained on, below build/forge/corpus.
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildCorpus, corpusTable, readPackageList } from '../../forge/corpus/build.mjs';
import { root } from '../lib/process.mjs';
import { ensurePackageTools } from '../lib/source-packages.mjs';
import { step } from '../lib/steps.mjs';

export async function forgeCorpus() {
  await ensurePackageTools();
  const out = join(root, 'build', 'forge', 'corpus');
  const manifest = await step('Corpus of our own models', async () => buildCorpus(await readPackageList(), out));
  await copyFile(join(out, 'manifest.json'), join(root, 'forge', 'corpus', 'manifest.json'));
  console.log(`\n${corpusTable(manifest)}`);
}
