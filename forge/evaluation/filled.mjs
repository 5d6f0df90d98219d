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

/** Problems that the baseline, which is slow, is asked; ours is asked all. */
const nBaselineProblems = 60;

/** What was filled in, by both, and our own of all problems. @param {Context} context */
export async function filled(context) {
  const { tasks } = await infillingTasks(context.data);
  const problems = [...new Set(tasks.map(({ group }) => group))];
  const firstOf = (/** @type {number} */ n) => {
    const chosen = new Set(problems.slice(0, n));
    return tasks.filter(({ group }) => chosen.has(group));
  };
  const few = firstOf(context.isQuick ? nBaselineProblems / 8 : nBaselineProblems);
  const all = context.isQuick ? few : tasks;
  /** @type {FilledRow[][]} */
  const results = [];
  for (const [contestant, asked] of /** @type {const} */ ([
    [context.contestants[0], all],
    [context.contestants[1], few],
  ]))
    results.push(
      await step(`infilling: ${contestant.name}`, (progress) =>
        measureFilling({ ...context, part: 'infilling', contestant, tasks: asked, progress }),
      ),
    );
  const [ours = [], theirs = []] = results;
  return { few, all, ours, theirs };
}

/** @param {FilledRow} row */
export const isExact = (row) => row.isExact;

/** @param {Task[]} tasks @param {boolean[]} hits @param {Task['kind']} kind @returns {Member[]} */
export function membersOf(tasks, hits, kind) {
  return tasks.flatMap((task, i) =>
    task.kind === kind ? [{ group: task.group, part: hits[i] ? 1 : 0, whole: 1 }] : [],
  );
}
