// A model that is shipped -> weights that train.py and acceptance.py read.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run } from '../scripts/lib/process.mjs';

/**
 * @param {{ program: string, python: string, model: string, weights: string, vocabulary: string }} options program: the
 *   engine's; weights: the .safetensors to write; vocabulary: the .json
 */
export async function importWeights({ program, python, model, weights, vocabulary }) {
  const wide = `${weights}.gguf`;
  await run(program, ['quantize', model, wide, 'bf16', '--embedding', 'bf16', '--force'], { quiet: true });
  const words = [wide, '--weights', weights, '--vocabulary', vocabulary];
  await run(python, [join(root, 'forge', 'import_gguf.py'), ...words], { quiet: true });
  await rm(wide);
}
