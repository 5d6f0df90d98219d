// `node scripts/outpost.mjs forge-evaluate [MODEL.gguf ...]`: bits per byte of held-out packages and infilling, for the given
// models beside the default one (TinyLlama).
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { bitsPerByte, infillingScore, readTasks } from '../../forge/evaluate.mjs';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { root } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { formatTable } from '../lib/table.mjs';

const languages = ['typescript', 'python', 'cpp', 'rust', 'go'];
const nTasks = 100;

/** @param {string[]} words */
export async function forgeEvaluate(words) {
  const native = await buildNative('release');
  const program = engineProgram(native);
  const addon = join(native, 'outpost_engine.node');
  const manifest = JSON.parse(await readFile(join(root, 'forge', 'corpus', 'manifest.json'), 'utf8'));
  const models = [...words.map((path) => resolve(path)), await ensureDefaultModel()];
  const rows = [['bits per byte', ...languages]];
  for (const model of models) {
    await step(`bits per byte: ${basename(model)}`, async () => {
      const options = { program, model, corpus: 'build/forge/corpus', manifest, languages, bytes: 60_000, nCtx: 2048 };
      const results = await bitsPerByte(options);
      const value = (/** @type {string} */ language) => results.find((result) => result.language === language);
      rows.push([basename(model), ...languages.map((language) => value(language)?.bitsPerByte.toFixed(3) ?? '')]);
    });
  }
  console.log(`\n${formatTable(rows)}\n`);

  const folder = join(root, '..', 'shared', 'data', 'code', 'human-eval-infilling');
  if (!existsSync(folder)) {
    console.log(`SKIPPED: infilling, because there is no ${folder}.`);
    return;
  }
  const scores = [['infilling', 'task', 'exact', 'of', 'tokens per reply', 'ms per reply']];
  for (const [name, file] of [
    ['single line', 'HumanEval-SingleLineInfilling.jsonl.gz'],
    ['random span', 'HumanEval-RandomSpanInfillingLight.jsonl.gz'],
  ]) {
    const all = await readTasks(join(folder, file ?? ''));
    // Evenly spread: neighbours are of one function.
    const tasks = all.filter(
      (_, i) => Math.floor((i * nTasks) / all.length) !== Math.floor(((i - 1) * nTasks) / all.length),
    );
    for (const model of models) {
      const score = await step(`${name}: ${basename(model)}`, () =>
        infillingScore({ addon, model, tasks, isSingleLine: name === 'single line' }),
      );
      const { exact, tokensPerReply, msPerReply } = score;
      scores.push([
        basename(model),
        name ?? '',
        `${exact}`,
        `${score.tasks}`,
        tokensPerReply.toFixed(1),
        msPerReply.toFixed(0),
      ]);
    }
  }
  console.log(`\n${formatTable(scores)}`);
}
