// What models are evaluated on: fixed samples, the same for every model and on every machine. A sample in a smaller
// number is the beginning of one in a larger number.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { root, SetupError } from '../../scripts/lib/process.mjs';
import { filesBelow } from '../../scripts/lib/steps.mjs';
import { sha256 } from '../../scripts/tokenizer/corpus.mjs';
import { languageOf } from '../corpus/files.mjs';

/** @typedef {import('../corpus/build.mjs').ManifestEntry} ManifestEntry */
/** @typedef {import('../corpus/files.mjs').Language} Language */
/** @typedef {'single line' | 'random span' | 'end of line' | 'block'} TaskKind */
/**
 * @typedef {object} Task a gap to fill in
 * @property {string} id
 * @property {TaskKind} kind
 * @property {string} group tasks of one group share text, and are not independent of each other
 * @property {string} path of the file, as the model is told
 * @property {string} repository
 * @property {string} prefix
 * @property {string} suffix as an editor has it: where a line is asked for, its end belongs to the suffix
 * @property {string} expected
 * @property {number} maxTokens
 * @property {string} [wholePrefix] all of its file before the gap
 * @property {string} [folder] of its package, relative to the root
 * @property {{ path: string, text: string }[]} [files] parts of others, as the app adds them
 * @property {{ before: string, after: string }} [program] that runs the task's tests with the reply between the two
 */
/** @typedef {{ id: string, language: Language, group: string, text: string }} Excerpt */
/**
 * @typedef {object} InfillingRecord of openai/human-eval-infilling
 * @property {string} task_id
 * @property {string} entry_point
 * @property {string} prompt
 * @property {string} suffix
 * @property {string} canonical_solution
 * @property {string} test
 */

/** Of 164 problems: those that settings are chosen on, and that no figure is reported of. */
export const nTuningProblems = 40;

/** Excerpts of each language: the goal names TypeScript and Python, which therefore have more. */
export const excerptCounts = /** @type {const} */ ({
  typescript: 10,
  python: 10,
  javascript: 3,
  cpp: 3,
  rust: 3,
  go: 3,
});
const excerptChars = 2000;

/** A fixed number from 0 up to, not including, `n` for a name. @param {string} name @param {number} n */
function pick(name, n) {
  return Number.parseInt(sha256(name).slice(0, 12), 16) % n;
}

/** @template T @param {T[]} items @param {(item: T) => string} nameOf @returns {T[]} in a fixed arbitrary order */
function shuffled(items, nameOf) {
  const keyed = items.map((item) => ({ item, key: sha256(nameOf(item)) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ item }) => item);
}

/**
 * Gaps in HumanEval's solutions, of whole problems: a single line each, and one random span a problem.
 * @param {string} folder of the data
 * @returns {Promise<{ tuning: Task[], tasks: Task[] }>}
 */
export async function infillingTasks(folder) {
  const [lines, spans] = await Promise.all(
    ['SingleLineInfilling', 'RandomSpanInfillingLight'].map((name) =>
      readRecords(join(folder, `HumanEval-${name}.jsonl.gz`)),
    ),
  );
  /** @type {Map<string, Task[]>} */
  const byProblem = new Map();
  for (const [kind, records] of /** @type {const} */ ([
    ['random span', spans ?? []],
    ['single line', lines ?? []],
  ]))
    for (const record of records) {
      const problem = record.task_id.split('/').slice(1, 3).join('/');
      byProblem.set(problem, [...(byProblem.get(problem) ?? []), infillingTask(record, kind, problem)]);
    }
  const problems = shuffled([...byProblem.keys()], (problem) => `infilling ${problem}`);
  const tasksOf = (/** @type {string[]} */ names) => names.flatMap((name) => byProblem.get(name) ?? []);
  return { tuning: tasksOf(problems.slice(-nTuningProblems)), tasks: tasksOf(problems.slice(0, -nTuningProblems)) };
}

/** @param {InfillingRecord} record @param {TaskKind} kind @param {string} problem @returns {Task} */
function infillingTask({ task_id, entry_point, prompt, suffix, canonical_solution, test }, kind, problem) {
  // A line is asked for as an editor does, from an empty line: the line's end is there already.
  const isLine = kind === 'single line';
  return {
    id: task_id,
    kind,
    group: problem,
    path: 'solution.py',
    repository: 'workspace',
    prefix: prompt,
    suffix: isLine ? `\n${suffix}` : suffix,
    expected: isLine ? canonical_solution.replace(/\n$/, '') : canonical_solution,
    maxTokens: isLine ? 48 : 96,
    program: { before: prompt, after: `${isLine ? '\n' : ''}${suffix}\n${test}\ncheck(${entry_point})\n` },
  };
}

/** @param {string} path of a .jsonl.gz @returns {Promise<InfillingRecord[]>} */
async function readRecords(path) {
  const bytes = await readFile(path).catch(() => {
    throw new SetupError(`There is no ${path}.`, 'Infilling needs the shared test data.');
  });
  const lines = gunzipSync(bytes).toString('utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

/**
 * Files of held-out packages in one language: one of each package in turn.
 * @param {string} corpus relative to the root @param {ManifestEntry[]} manifest @param {Language} language
 * @param {number} leastChars
 * @returns {Promise<SourceFile[]>}
 */
async function heldOutFiles(corpus, manifest, language, leastChars) {
  /** @type {SourceFile[][]} */
  const packages = [];
  for (const entry of manifest.filter((entry) => entry.part === 'heldout' && entry.languages[language] !== undefined)) {
    const folder = `${corpus}/heldout/${entry.folder}`;
    const files = [];
    for (const file of await filesBelow(folder)) {
      const path = file.slice(folder.length + 1);
      if (languageOf(path) !== language) continue;
      const text = await readFile(join(root, file), 'utf8');
      if (text.length >= leastChars)
        files.push({ name: `${entry.folder}/${path}`, folder, repository: entry.name, path, text });
    }
    if (files.length > 0) packages.push(shuffled(files, ({ name }) => `file ${name}`));
  }
  const turns = Math.max(0, ...packages.map((files) => files.length));
  return Array.from({ length: turns }, (_, i) => packages.flatMap((files) => files.slice(i, i + 1))).flat();
}

/**
 * Excerpts for bits per byte, each from the beginning of a line.
 * @param {string} corpus @param {ManifestEntry[]} manifest @param {number} share of the full number, above 0 to 1
 * @returns {Promise<Excerpt[]>}
 */
export async function excerpts(corpus, manifest, share = 1) {
  const result = [];
  for (const language of /** @type {Language[]} */ (Object.keys(excerptCounts))) {
    const count = excerptCounts[/** @type {keyof typeof excerptCounts} */ (language)];
    const files = await heldOutFiles(corpus, manifest, language, 2 * excerptChars);
    for (const { name, repository, text } of files.slice(0, Math.max(1, Math.round(share * count)))) {
      const start = text.indexOf('\n', pick(`excerpt ${name}`, text.length - excerptChars)) + 1;
      result.push({
        id: name,
        language,
        group: repository,
        text: text.slice(start, start + excerptChars).toWellFormed(),
      });
    }
  }
  return result;
}

/** @typedef {{ name: string, folder: string, repository: string, path: string, text: string }} SourceFile */

/**
 * @param {SourceFile} file
 * @param {{ kind: TaskKind, language: Language, start: number, cursor: number, end: number, maxTokens: number }} gap places
 *   in its text: where what is shown begins, and the gap
 * @returns {Task}
 */
function gapIn({ name, folder, repository, path, text }, { kind, language, start, cursor, end, maxTokens }) {
  return {
    id: `${name}:${cursor}`,
    kind,
    group: `${language}/${name}`,
    path,
    repository,
    folder,
    prefix: text.slice(start, cursor).toWellFormed(),
    wholePrefix: text.slice(0, cursor).toWellFormed(),
    suffix: text.slice(end, end + 2000).toWellFormed(),
    expected: text.slice(cursor, end),
    maxTokens,
  };
}

const lineLanguages = /** @type {const} */ (['typescript', 'python', 'javascript', 'cpp', 'rust', 'go']);
const cursorsPerFile = 4;

/**
 * Rests of lines of held-out files, from a place in the line where somebody may stop typing. The cursors of a file are
 * close to each other, in order.
 * @param {string} corpus @param {ManifestEntry[]} manifest @param {number} filesPerLanguage
 * @returns {Promise<Task[]>}
 */
export async function lineTasks(corpus, manifest, filesPerLanguage) {
  const tasks = [];
  for (const language of lineLanguages) {
    const files = await heldOutFiles(corpus, manifest, language, 4000);
    for (const file of files.slice(0, filesPerLanguage)) {
      const { name, text } = file;
      const start = text.indexOf('\n', pick(`lines ${name}`, text.length - 3000)) + 1;
      const lines = linesWithin(text, start + 600, start + 1800).filter(
        ({ end, indentation }) => end - indentation >= 10 && /[A-Za-z]/.test(text.slice(indentation, end)),
      );
      const chosen = shuffled(lines, ({ indentation }) => `cursor ${name} ${indentation}`).slice(0, cursorsPerFile);
      for (const { indentation, end } of chosen.sort((a, b) => a.end - b.end)) {
        const cursor = indentation + pick(`column ${name} ${indentation}`, end - indentation - 3);
        tasks.push(gapIn(file, { kind: 'end of line', language, start, cursor, end, maxTokens: 48 }));
      }
    }
  }
  return tasks;
}

const blocksPerFile = 2;
const mostBlockLines = 3;
/** What a line ends with that opens a block: where the app asks for one (completion-rules.ts). */
const opensBlock = /(?:[{([:]|=>|\b(?:then|do))$/;

/**
 * First lines of blocks in held-out files, one to three of them: what is missing while somebody writes one. The rest of the
 * block and the file stand behind.
 * @param {string} corpus @param {ManifestEntry[]} manifest @param {number} filesPerLanguage
 * @returns {Promise<Task[]>}
 */
export async function blockTasks(corpus, manifest, filesPerLanguage) {
  const tasks = [];
  for (const language of lineLanguages) {
    const files = await heldOutFiles(corpus, manifest, language, 4000);
    for (const file of files.slice(0, filesPerLanguage)) {
      const { name, text } = file;
      const start = text.indexOf('\n', pick(`blocks ${name}`, text.length - 3000)) + 1;
      const blocks = blocksWithin(text, start + 600, start + 1800);
      for (const { cursor, ends } of shuffled(blocks, (block) => `block ${name} ${block.cursor}`).slice(
        0,
        blocksPerFile,
      )) {
        const end = ends[pick(`lines of ${name} ${cursor}`, ends.length)] ?? cursor;
        tasks.push(gapIn(file, { kind: 'block', language, start, cursor, end, maxTokens: 64 }));
      }
    }
  }
  return tasks;
}

/**
 * Blocks that open within: where their first line's text begins, and where each of their first lines ends.
 * @param {string} text @param {number} from @param {number} to
 */
function blocksWithin(text, from, to) {
  const blocks = [];
  for (let at = text.indexOf('\n', from) + 1; at > 0 && at < to; at = text.indexOf('\n', at) + 1) {
    const above = text.slice(text.lastIndexOf('\n', at - 2) + 1, at - 1);
    const [indentation = ''] = /^[ \t]*/.exec(text.slice(at, to)) ?? [];
    const [outer = ''] = /^[ \t]*/.exec(above) ?? [];
    if (!opensBlock.test(above.trimEnd()) || indentation.length <= outer.length) continue;
    const ends = [];
    for (let line = at; line > 0 && ends.length < mostBlockLines; line = text.indexOf('\n', line) + 1) {
      const end = text.indexOf('\n', line);
      if (end < 0 || !text.startsWith(indentation, line) || text.slice(line, end).trim() === '') break;
      ends.push(line + text.slice(line, end).trimEnd().length);
    }
    if (ends.length > 0) blocks.push({ cursor: at + indentation.length, ends });
  }
  return blocks;
}

/**
 * Whole files, to count their tokens.
 * @param {string} corpus @param {ManifestEntry[]} manifest @param {number} filesPerLanguage
 * @returns {Promise<{ language: Language, text: string }[]>}
 */
export async function tokenTexts(corpus, manifest, filesPerLanguage) {
  const texts = [];
  for (const language of lineLanguages)
    for (const { text } of (await heldOutFiles(corpus, manifest, language, 500)).slice(0, filesPerLanguage))
      texts.push({ language, text });
  return texts;
}

/** @param {string} text @param {number} from @param {number} to */
function linesWithin(text, from, to) {
  const lines = [];
  for (let at = text.indexOf('\n', from) + 1; at > 0 && at < to; at = text.indexOf('\n', at) + 1) {
    const newline = text.indexOf('\n', at);
    const end = at + text.slice(at, newline < 0 ? text.length : newline).trimEnd().length;
    lines.push({ indentation: at + (text.slice(at, end).match(/^\s*/)?.[0].length ?? 0), end });
  }
  return lines;
}
