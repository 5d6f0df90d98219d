// What the app shows a model besides the excerpt around the cursor: all of the file before it, and the part of another file
// that looks like it. Ours alone is asked: the baseline has no tokens for files.
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { markdownTable } from '../../scripts/lib/doc-section.mjs';
import { root } from '../../scripts/lib/process.mjs';
import { step } from '../../scripts/lib/steps.mjs';
import { filesPerLanguage } from './filled.mjs';
import { measureFilling } from './measure.mjs';
import { appCode } from './models.mjs';
import { lineTasks } from './samples.mjs';
import { difference, estimate } from './statistics.mjs';
import { inWords, percent, signedPercent } from './words.mjs';

/** @typedef {import('./filled.mjs').Context} Context */
/** @typedef {import('./filled.mjs').Section} Section */
/** @typedef {import('./samples.mjs').Task} Task */

/** @param {Context} context @returns {Promise<Section>} */
export async function context(context) {
  const excerpts = await lineTasks(context.corpus, context.manifest, context.isQuick ? 1 : filesPerLanguage);
  const whole = excerpts.map((task) => ({ ...task, prefix: task.wholePrefix ?? task.prefix }));
  const kinds = /** @type {[string, Task[]][]} */ ([
    ['the excerpt', excerpts],
    ['the file', whole],
    ['the file, and what is like it', await withSimilarParts(whole)],
  ]);
  const [ours] = context.contestants;
  const measured = [];
  for (const [what, tasks] of kinds) {
    const rows = await step(`lines, shown ${what}`, (progress) =>
      measureFilling({ ...context, part: 'lines', contestant: ours, tasks, progress }),
    );
    const members = rows.map(({ group, isExact }) => ({ group, part: isExact ? 1 : 0, whole: 1 }));
    const nPrompt = rows.reduce((n, row) => n + row.nPrompt, 0) / rows.length;
    measured.push({ what, members, nPrompt, nFiles: tasks.filter(({ files }) => files?.length).length });
  }
  const first = measured[0]?.members ?? [];
  const rows = measured.map(({ what, members, nPrompt, nFiles }) => [
    what,
    `${nFiles} of ${members.length}`,
    nPrompt.toFixed(0),
    inWords(estimate(members), percent),
    members === first ? '' : inWords(difference(members, first), signedPercent),
  ]);
  const head = ['rest of the line, exact; shown is', 'with a part', 'tokens', ours.name, 'difference to the excerpt'];
  return { title: 'What the app shows besides', text: markdownTable([head, ...rows]) };
}

/** Each with what the app's window would ask the workspace for at its place. @param {Task[]} tasks @returns {Promise<Task[]>} */
export async function withSimilarParts(tasks) {
  /** @type {typeof import('../../electron/workspace/similar.ts') & typeof import('../../renderer/features/completion/context-files.ts')} */
  const { SimilarParts, ContextFiles } = await appCode([
    'electron/workspace/similar.ts',
    'renderer/features/completion/context-files.ts',
  ]);
  const parts = new SimilarParts();
  const result = [];
  for (const task of tasks) {
    const folder = await realpath(join(root, task.folder ?? ''));
    /** @type {any} Of the workspace nothing else is asked. */
    const workspace = {
      similar: async (/** @type {any} */ question) => ({ part: await parts.find(folder, question) }),
    };
    const files = new ContextFiles(workspace, () => 0);
    await files.look(task.path, task);
    result.push({ ...task, files: files.for(task.path) });
  }
  return result;
}
