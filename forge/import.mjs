// A model that is shipped -> weights that train.py and acceptance.py read.
import { join } from 'node:path';
import { root, run } from '../scripts/lib/process.mjs';

/**
 * @param {{ python: string, model: string, weights: string, vocabulary: string }} options weights: the .safetensors to
 *   write; vocabulary: the .json
 */
export async function importWeights({ python, model, weights, vocabulary }) {
  const words = [model, '--weights', weights, '--vocabulary', vocabulary];
  await run(python, [join(root, 'forge', 'import_gguf.py'), ...words], { quiet: true });
}
