// `node scripts/outpost.mjs forge-export NAME WEIGHTS.safetensors [TYPE [EMBEDDING]]`: what training left ->
// build/forge/NAME.gguf, and NAME-TYPE.gguf (q4_K by default, its embedding of the same type unless another is named),
// checked by a prompt that both our engine and llama.cpp answer.
import { join, resolve } from 'node:path';
import { exportGguf } from '../../forge/export.mjs';
import { engineLogits, engineProgram, engineTokenize } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { askPeer, ensurePeer } from '../lib/peer.mjs';
import { root, run, SetupError } from '../lib/process.mjs';

const probe =
  'import { readFile } from "node:fs/promises";\n\nexport async function readLines(path: string) {\n  const ';

/** @param {string[]} words */
export async function forgeExport([name, weights, type = 'q4_K', embedding = type]) {
  if (name === undefined || weights === undefined)
    throw new SetupError('Expected: NAME WEIGHTS.safetensors [TYPE [EMBEDDING]]');
  const program = engineProgram(await buildNative('release'));
  const folder = join(root, 'build', 'forge');
  const out = join(folder, `${name}.gguf`);
  const description =
    'A code completion model with fill-in-the-middle, trained from scratch on permissively licensed code. ' +
    'The weights are under the MIT licence; forge/corpus/manifest.json names every package and its licence.';
  const vocabulary = join(folder, 'vocabulary.gguf');
  const { nParams, nTokens } = await exportGguf({ weights: resolve(weights), vocabulary, out, name, description });
  console.log(`${(nParams / 1e6).toFixed(1)} M parameters, trained on ${(nTokens / 1e6).toFixed(0)} M tokens`);
  const small = join(folder, `${name}-${type}.gguf`);
  // On held-out code q6_K for the embedding changes the perplexity by a thousandth, and takes 6.5 MB more than q4_K.
  await run(program, ['quantize', out, small, type, '--embedding', embedding, '--force'], { quiet: true });
  const hasPeer = await ensurePeer();
  for (const model of [out, small]) {
    const ids = await engineTokenize({ program, model }, probe);
    const [logits] = await engineLogits({ program, model }, [[0, ...ids]]);
    const [ours] = logits?.top ?? [];
    console.log(`${model}: most probable next token ${ours?.[0]}, ${ours?.[1].toFixed(3)}`);
    if (!hasPeer) continue;
    const reply = await askPeer({ model, prompts: [probe], nTop: 1 });
    for (const { name: configuration, top } of reply.configurations) {
      const theirs = top[0]?.[0];
      console.log(`  llama.cpp, ${configuration}: ${theirs?.[0]}, ${theirs?.[1].toFixed(3)}`);
    }
  }
}
