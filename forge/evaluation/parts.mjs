// The parts of the evaluation, each of which measures what is not measured yet and says what came out, as Markdown.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sum } from '../../scripts/lib/bench-addon.mjs';
import { barPlot, markdownTable } from '../../scripts/lib/doc-section.mjs';
import { capture, root } from '../../scripts/lib/process.mjs';
import { step } from '../../scripts/lib/steps.mjs';
import { importWeights } from '../import.mjs';
import { findPython } from '../python.mjs';
import { context } from './context.mjs';
import { filesPerLanguage, fillByBoth, filled, isExact, membersOf } from './filled.mjs';
import { latency } from './latency.mjs';
import { measureBits, measurePasses } from './measure.mjs';
import { blockTasks, excerpts, lineTasks, tokenTexts } from './samples.mjs';
import { difference, estimate } from './statistics.mjs';
import { countTokens } from './tokens.mjs';
import { inWords, percent, plain, signed, signedPercent } from './words.mjs';

/** @typedef {import('./measure.mjs').Contestant} Contestant */
/** @typedef {import('./measure.mjs').FilledRow} FilledRow */
/** @typedef {import('./samples.mjs').Task} Task */
/** @typedef {import('./statistics.mjs').Estimate} Estimate */
/** @typedef {import('./statistics.mjs').Member} Member */
/** @typedef {import('./filled.mjs').Context} Context */
/** @typedef {import('./filled.mjs').Section} Section */

/** @type {Record<string, (context: Context) => Promise<Section>>} */
export const parts = { bits, infilling, lines, context, blocks, tokens, acceptance, latency };

/** @param {Section[]} sections */
export function reportOf(sections) {
  return sections.map(({ title, text }) => `### ${title}\n\n${text}`).join('\n\n');
}

/** @param {Context} context @returns {Promise<Section>} */
async function bits(context) {
  const texts = await excerpts(context.corpus, context.manifest, context.isQuick ? 1 / 8 : 1);
  const results = [];
  for (const contestant of context.contestants)
    results.push(
      await step(`bits per byte: ${contestant.name}`, (progress) =>
        measureBits({ ...context, contestant, excerpts: texts, progress }),
      ),
    );
  const [ours = [], theirs = []] = results;
  const languages = [...new Set(texts.map(({ language }) => language)), ''];
  const rows = languages.map((language) => {
    const [mine, others] = [bitsMembers(ours, language), bitsMembers(theirs, language)];
    return [
      language === '' ? 'all' : language,
      `${mine.length}`,
      inWords(estimate(mine), plain),
      inWords(estimate(others), plain),
      inWords(difference(mine, others), signed),
    ];
  });
  const head = ['bits per byte', 'excerpts', ...context.contestants.map(({ name }) => name), 'difference'];
  return { title: 'Bits per byte of held-out packages', text: markdownTable([head, ...rows]) };
}

/**
 * Excerpts of one package resemble each other.
 * @param {import('./measure.mjs').BitsRow[]} rows @param {string} language "" for all
 * @returns {Member[]}
 */
export function bitsMembers(rows, language) {
  return rows
    .filter((row) => language === '' || row.language === language)
    .map(({ group, bits, bytes }) => ({ group, part: bits, whole: bytes }));
}

/** @param {Context} context @returns {Promise<Section>} */
async function infilling(context) {
  const { tasks, ours, theirs } = await filled(context);
  const passes = await step('running the tests of what was filled in', (progress) =>
    measurePasses({ ...context, answers: [...answers(tasks, ours), ...answers(tasks, theirs)], progress }),
  );
  const rows = [];
  for (const kind of /** @type {const} */ (['single line', 'random span']))
    for (const [what, mine, others] of /** @type {[string, boolean[], boolean[]][]} */ ([
      ['exact', ours.map(isExact), theirs.map(isExact)],
      ['tests pass', passes.slice(0, tasks.length), passes.slice(tasks.length)],
    ])) {
      const [a, b] = [mine, others].map((hits) => membersOf(tasks, hits, kind));
      const cells = [inWords(estimate(a ?? []), percent), inWords(estimate(b ?? []), percent)];
      rows.push([`${kind}, ${what}`, `${a?.length}`, ...cells, inWords(difference(a ?? [], b ?? []), signedPercent)]);
    }
  const head = ['HumanEval infilling', 'tasks', ...context.contestants.map(({ name }) => name), 'difference'];
  return { title: 'Filling in', text: markdownTable([head, ...rows]) };
}

/** @param {Task[]} tasks @param {FilledRow[]} rows */
function answers(tasks, rows) {
  return tasks.map(({ program }, i) => `${program?.before ?? ''}${rows[i]?.text ?? ''}${program?.after ?? ''}`);
}

/** @param {Context} context @returns {Promise<Section>} */
async function lines(context) {
  const tasks = await lineTasks(context.corpus, context.manifest, context.isQuick ? 1 : filesPerLanguage);
  const results = await fillByBoth(context, 'lines', tasks);
  const languages = [...new Set(tasks.map(({ group }) => group.split('/')[0] ?? '')), ''];
  const rows = languages.map((language) => {
    const [mine = [], others = []] = results.map((all) =>
      all
        .filter(({ group }) => group.startsWith(language))
        .map((row) => ({ group: row.group, part: row.isExact ? 1 : 0, whole: 1 })),
    );
    return [
      language === '' ? 'all' : language,
      `${mine.length}`,
      inWords(estimate(mine), percent),
      inWords(estimate(others), percent),
      inWords(difference(mine, others), signedPercent),
    ];
  });
  const head = ['rest of the line, exact', 'tasks', ...context.contestants.map(({ name }) => name), 'difference'];
  const bars = languages.flatMap((language) =>
    context.contestants.map(({ name }, i) => {
      const hits = (results[i] ?? []).filter(({ group }) => group.startsWith(language)).map(isExact);
      return { label: `${language || 'all'}, ${name}`, value: (100 * hits.filter(Boolean).length) / hits.length };
    }),
  );
  return { title: 'Ends of lines in held-out files', text: `${markdownTable([head, ...rows])}\n\n${barPlot(bars)}` };
}

/** @param {Context} context @returns {Promise<Section>} */
async function blocks(context) {
  const tasks = await blockTasks(context.corpus, context.manifest, context.isQuick ? 1 : filesPerLanguage);
  const results = await fillByBoth(context, 'blocks', tasks);
  const firstLine = (/** @type {string | undefined} */ text) => (text ?? '').split('\n', 1)[0]?.trimEnd();
  const hits = /** @type {[string, (row: FilledRow, i: number) => boolean][]} */ ([
    ['all that is missing', isExact],
    ['its first line', (row, i) => firstLine(row.text) === firstLine(tasks[i]?.expected)],
  ]);
  const rows = hits.map(([what, isHit]) => {
    const [mine = [], others = []] = results.map((all) =>
      all.map((row, i) => ({ group: row.group, part: isHit(row, i) ? 1 : 0, whole: 1 })),
    );
    const cells = [inWords(estimate(mine), percent), inWords(estimate(others), percent)];
    return [what, `${mine.length}`, ...cells, inWords(difference(mine, others), signedPercent)];
  });
  const head = ['first lines of blocks, exact', 'tasks', ...context.contestants.map(({ name }) => name), 'difference'];
  return { title: 'Blocks in held-out files', text: markdownTable([head, ...rows]) };
}

/** @param {Context} context @returns {Promise<Section>} */
async function tokens(context) {
  const texts = await tokenTexts(context.corpus, context.manifest, context.isQuick ? 5 : 40);
  const models = context.contestants.map(({ name, path }) => ({ name, path }));
  const { counts, missing } = await step('tokens per line', () => countTokens({ ...context, models, texts }));
  const names = Object.keys(counts);
  const languages = [...new Set(texts.map(({ language }) => language)), ''];
  const rows = languages.map((language) => {
    const chosen = texts.flatMap((text, i) => (language === '' || text.language === language ? [i] : []));
    const nLines = sum(chosen.map((i) => (texts[i]?.text ?? '').split('\n').length - 1));
    const nTokens = names.map((name) => sum(chosen.map((i) => counts[name]?.[i] ?? 0)));
    const o200k = nTokens[names.indexOf('o200k')];
    const cell = (/** @type {number} */ n) =>
      `${(n / nLines).toFixed(2)}${o200k === undefined ? '' : ` (${signedPercent(n / o200k - 1)})`}`;
    return [language === '' ? 'all' : language, `${nLines}`, ...nTokens.map(cell)];
  });
  const table = markdownTable([['tokens per line (against o200k)', 'lines', ...names], ...rows]);
  return {
    title: 'Tokens per line',
    text: [table, ...missing.map((text) => `Not to be had here: ${text}.`)].join('\n\n'),
  };
}

/** @param {Context} context @returns {Promise<Section>} */
async function acceptance(context) {
  const { ours } = await filled(context);
  // Lines are searched for, without drafts.
  const spans = ours.filter(({ kind }) => kind === 'random span');
  const total = (/** @type {keyof import('./models.mjs').Filled} */ field) =>
    sum(spans.map((row) => Number(row[field])));
  const table = markdownTable([
    ['as the app uses the pair', 'tokens', 'drafted', 'accepted', 'tokens a pass'],
    [
      'random span',
      `${total('nTokens')}`,
      `${total('nDrafted')}`,
      percent(total('nAccepted') / Math.max(1, total('nDrafted'))),
      (total('nTokens') / total('nPasses')).toFixed(2),
    ],
  ]);
  return { title: 'Acceptance of the draft', text: [table, await agreement(context)].join('\n\n') };
}

/**
 * What the two models think of held-out text. The weights are those of the quantized files.
 * @param {Context} context
 */
async function agreement({ folder, isQuick, contestants: [{ path, draft }] }) {
  const data = join(root, 'build', 'forge', 'tokens', 'heldout');
  if (draft === undefined || !existsSync(data))
    return 'Agreement on held-out text is not measured: it needs `forge-tokens`.';
  const vocabulary = join(folder, 'vocabulary.json');
  const weights = ['target', 'draft'].map((name) => join(folder, `${name}.safetensors`));
  const output = await step('agreement on held-out text', async () => {
    const python = await findPython();
    for (const [i, model] of [path, draft].entries())
      await importWeights({ python, model, weights: weights[i] ?? '', vocabulary });
    const words = ['--data', data, '--vocabulary', vocabulary, '--sequences', '8', '--ctx', isQuick ? '128' : '1024'];
    return capture(python, [join(root, 'forge', 'acceptance.py'), ...weights, ...words]);
  });
  return `After the true text, on held-out sequences in the training's form: ${output.trim().split('\n').join('; ')} (nats a token).`;
}
