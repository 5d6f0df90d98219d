// `node scripts/outpost.mjs forge-evaluate [--quick] [--only PARTS] [--model MODEL.gguf] [--threads N]`: our pair beside
// TinyLlama. Writes its part of forge/evaluation/README.md, which says what is asked. PARTS are some of bits, infilling, lines, context,
// blocks, tokens, acceptance and latency, with commas between them. What was measured before is kept below build/forge/evaluation and
// not measured again: a run that is cut off goes on. --quick takes about an eighth of the tasks; it, --only and --model, which
// measures another model in the place of ours, write nothing but what they print.
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parts, reportOf } from '../../forge/evaluation/parts.mjs';
import { bundledModel } from '../lib/bundled-models.mjs';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { writeSection } from '../lib/doc-section.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { root, SetupError } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';

/** @typedef {import('../../forge/evaluation/measure.mjs').Contestant} Contestant */

/** @param {string[]} words */
export async function forgeEvaluate(words) {
  const string = /** @type {const} */ ({ type: 'string' });
  const boolean = /** @type {const} */ ({ type: 'boolean' });
  const { values } = parseArgs({
    args: words,
    options: { quick: boolean, only: string, model: string, threads: string },
  });
  const chosen = values.only?.split(',') ?? Object.keys(parts);
  const unknown = chosen.find((part) => !(part in parts));
  if (unknown !== undefined) throw new SetupError(`--only knows ${Object.keys(parts).join(', ')}; not ${unknown}.`);
  await ensureSystemPackages(['build']);
  await ensureDependencies();
  const native = await buildNative('release');
  const manifest = JSON.parse(await readFile(join(root, 'forge', 'corpus', 'manifest.json'), 'utf8'));
  /** @type {Contestant} */
  const ours = {
    name: values.model === undefined ? 'outpost-code' : basename(values.model, '.gguf'),
    path: values.model === undefined ? bundledModel('outpost-code') : resolve(values.model),
    draft: bundledModel('outpost-code-draft'),
  };
  /** @type {Contestant} */
  const baseline = { name: 'TinyLlama-1.1B', path: await ensureDefaultModel() };
  const context = {
    folder: join(root, 'build', 'forge', 'evaluation'),
    program: engineProgram(native),
    addon: join(native, 'outpost_engine.node'),
    corpus: 'build/forge/corpus',
    data: join(root, '..', 'shared', 'data', 'code', 'human-eval-infilling'),
    manifest,
    nThreads: Number(values.threads ?? 0),
    isQuick: values.quick === true,
    contestants: [ours, baseline],
  };
  /** @type {import('../../forge/evaluation/parts.mjs').Section[]} */
  const sections = [];
  for (const part of chosen) sections.push(await /** @type {any} */ (parts)[part](context));
  const text = reportOf(sections);
  console.log(`\n${text}`);
  if (!context.isQuick && values.model === undefined && values.only === undefined)
    await writeSection('forge/evaluation/README.md', 'evaluation', text);
}
