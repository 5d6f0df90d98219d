// How many tests passed and failed, read from what each test runner writes; the last lines of `npm test`.
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, SetupError, succeeds } from './process.mjs';
import { seconds } from './steps.mjs';
import { formatTable } from './table.mjs';

/** @typedef {{ passed: number, failed: number }} Counts */

const reports = join(root, 'build', 'test-results');

/** @param {Counts[]} parts @returns {Counts} */
export function addCounts(parts) {
  const passed = parts.reduce((sum, part) => sum + part.passed, 0);
  const failed = parts.reduce((sum, part) => sum + part.failed, 0);
  return { passed, failed };
}

/** @param {string} text JSON report of vitest @returns {Counts} */
export function countVitest(text) {
  const report = JSON.parse(text);
  // A file that cannot be loaded has no tests, but fails.
  const broken = report.testResults.filter(
    (/** @type {{ status: string, assertionResults: unknown[] }} */ file) =>
      file.status === 'failed' && file.assertionResults.length === 0,
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}

/** @param {string} text JSON report of Playwright @returns {Counts} */
export function countPlaywright(text) {
  const { stats, errors } = JSON.parse(text);
  return { passed: stats.expected + stats.flaky, failed: stats.unexpected + errors.length };
}

/** @param {string} text TAP of Node's test runner; what tests print comes before the totals @returns {Counts} */
export function countTap(text) {
  /** @param {string} name */
  const count = (name) => Number([...text.matchAll(new RegExp(`^# ${name} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail') + count('cancelled') };
}

/**
 * Test cases of doctest inside of CTest's report: one program of many cases is one test for CTest.
 * @param {string} text JUnit report of CTest
 * @returns {Counts}
 */
export function countCtest(text) {
  const programs = text.split('<testcase ').slice(1);
  return addCounts(
    programs.map((program) => {
      const cases = program.match(/test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed/);
      const hasRun = program.includes('status="run"');
      if (cases === null) return { passed: hasRun ? 1 : 0, failed: hasRun ? 0 : 1 };
      const failed = Number(cases[2]);
      // A program that fails with all cases passed was ended by a sanitizer or a leak.
      return { passed: Number(cases[1]), failed: hasRun ? failed : Math.max(failed, 1) };
    }),
  );
}

/**
 * Runs a test runner that writes a report, with its output on the terminal.
 * @param {{ report: string, command: string, args: (report: string) => string[], env?: NodeJS.ProcessEnv | undefined,
 *   count: (text: string) => Counts }} runner report: a file name; args and env may name its path
 * @returns {Promise<Counts>}
 */
export async function runCounted({ report, command, args, env, count }) {
  const path = reportPath(report);
  await mkdir(reports, { recursive: true });
  await rm(path, { force: true });
  const isGreen = await succeeds(command, args(path), env);
  const text = await readFile(path, 'utf8').catch(() => null);
  const counts = text === null ? { passed: 0, failed: 0 } : count(text);
  return { passed: counts.passed, failed: isGreen ? counts.failed : Math.max(counts.failed, 1) };
}

/** @param {string} report a file name */
export function reportPath(report) {
  return join(reports, report);
}

const nodeRunner = fileURLToPath(new URL('run-node-tests.mjs', import.meta.url));

/**
 * Test files for Node's own runner: those that need more than vitest's units do.
 * @param {string} report a file name
 * @param {string[]} files in the order in which they are started
 * @param {NodeJS.ProcessEnv} env
 * @param {number} [concurrency] files at a time
 */
export async function runNodeTests(report, files, env, concurrency = 1) {
  return runCounted({
    report,
    command: process.execPath,
    args: (path) => [nodeRunner, path, `${concurrency}`, ...files],
    env,
    count: countTap,
  });
}

/**
 * A part of a test run: one that cannot even be set up counts as one failed test, and the next part runs.
 * @param {string} name
 * @param {() => Promise<Counts>} body
 * @returns {Promise<{ name: string, time: string } & Counts>}
 */
async function runPart(name, body) {
  console.log(`\n━━ ${name}`);
  const start = performance.now();
  const counts = await body().catch((error) => {
    console.error(error instanceof SetupError ? error.message : error);
    return { passed: 0, failed: 1 };
  });
  return { name, time: seconds(start), ...counts };
}

/**
 * Runs parts one after the other, prints what each took and found, and sets the exit code.
 * @param {[string, () => Promise<Counts>][]} parts
 */
export async function runParts(parts) {
  const results = [];
  for (const [name, body] of parts) results.push(await runPart(name, body));
  console.log(`\n${summaryTable(results)}`);
  finish(addCounts(results));
}

/** @param {({ name: string, time: string } & Counts)[]} parts */
export function summaryTable(parts) {
  const rows = parts.map(({ name, time, passed, failed }) => [name, time, `${passed}`, `${failed}`]);
  return formatTable([['part', 'time', 'passed', 'failed'], ...rows]);
}

/** Says aloud why there was nothing to test. @param {string} reason @returns {Counts} */
export function skipped(reason) {
  console.log(`SKIPPED: ${reason}`);
  return { passed: 0, failed: 0 };
}

/** The last line of a test command, and its exit code. @param {Counts} counts */
export function finish({ passed, failed }) {
  console.log(`\n${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}
