// What the two filled in of HumanEval's gaps, which several parts of the report look at.
import { step } from '../../scripts/lib/steps.mjs';
import { measureFilling } from './measure.mjs';
import { infillingTasks } from './samples.mjs';

/** @typedef {import('./measure.mjs').Contestant} Contestant */
/** @typedef {import('./measure.mjs').FilledRow} FilledRow */
/** @typedef {import('./samples.mjs').Task} Task */
/** @typedef {import('./statistics.mjs').Member} Member */
/** @typedef {{ title: string, text: string }} Section */
/**
 * @typedef {object} Context
 * @property {string} folder of the results
 * @property {string} program @property {string} addon
 * @property {string} corpus relative to the root
 * @property {string} data of human-eval-infilling
 * @property {import('../corpus/build.mjs').ManifestEntry[]} manifest
 * @property {number} nThreads
 * @property {boolean} isQuick
 * @property {[Contestant, Contestant]} contestants ours and the baseline
 */

/** Of 124: TinyLlama takes half an hour for so many. */
const nProblems = 60;

/** Of held-out packages, for the tasks in them. */
export const filesPerLanguage = 4;

/** Tasks, and what both filled in. @param {Context} context */
export async function filled(context) {
  const { tasks: all } = await infillingTasks(context.data);
  const problems = [...new Set(all.map(({ group }) => group))];
  const chosen = new Set(problems.slice(0, context.isQuick ? nProblems / 10 : nProblems));
  const tasks = all.filter(({ group }) => chosen.has(group));
  const [ours = [], theirs = []] = await fillByBoth(context, 'infilling', tasks);
  return { tasks, ours, theirs };
}

/**
 * @param {Context} context @param {string} part names the file of the results @param {Task[]} tasks
 * @returns {Promise<FilledRow[][]>} of each contestant, one for each task
 */
export async function fillByBoth(context, part, tasks) {
  const results = [];
  for (const contestant of context.contestants)
    results.push(
      await step(`${part}: ${contestant.name}`, (progress) =>
        measureFilling({ ...context, part, contestant, tasks, progress }),
      ),
    );
  return results;
}

/** @param {FilledRow} row */
export const isExact = (row) => row.isExact;

/** @param {Task[]} tasks @param {boolean[]} hits @param {Task['kind']} kind @returns {Member[]} */
export function membersOf(tasks, hits, kind) {
  return tasks.flatMap((task, i) =>
    task.kind === kind ? [{ group: task.group, part: hits[i] ? 1 : 0, whole: 1 }] : [],
  );
}
