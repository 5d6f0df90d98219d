// `npm test` and its quick parts. The parts that need a compiler or a model are in files of their own.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildTestingPage } from '../lib/app-build.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { hasDisplay, virtualDisplay } from '../lib/display.mjs';
import { root } from '../lib/process.mjs';
import {
  countPlaywright,
  countVitest,
  finish,
  reportPath,
  runCounted,
  runParts,
  skipped,
} from '../lib/test-results.mjs';
import { prepare } from './build.mjs';
import { bin, check } from './check.mjs';
import { forgePart } from './test-forge.mjs';
import { modelPart } from './test-model.mjs';
import { nativeParts } from './test-native.mjs';

/** @typedef {import('../lib/test-results.mjs').Counts} Counts */

/**
 * Everything, in the order in which a failure is cheapest to understand.
 * @type {[string, () => Promise<Counts>][]}
 */
const parts = [
  ['prepare', () => asOneTest(() => prepare({ withTests: true }))],
  ['check', () => asOneTest(check)],
  ['unit', unitPart],
  ...nativeParts,
  ['model', modelPart],
  ['forge', forgePart],
  ['e2e', e2ePart],
];

export async function test() {
  await runParts(parts);
}

export async function testUnit() {
  await ensureDependencies();
  finish(await unitPart());
}

export async function testE2e() {
  finish(await e2ePart());
}

/** @param {() => Promise<unknown>} body @returns {Promise<Counts>} */
async function asOneTest(body) {
  await body();
  return { passed: 1, failed: 0 };
}

function unitPart() {
  return runCounted({
    report: 'unit.json',
    command: bin('vitest'),
    args: (path) => ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${path}`],
    count: countVitest,
  });
}

function e2ePart() {
  return runStories([]);
}

/** @param {string[]} which files of e2e/specs; all if empty @returns {Promise<Counts>} */
export async function runStories(which) {
  const { electron, model } = await prepare({ withTests: true });
  if (!existsSync(join(root, 'e2e', 'specs'))) return skipped('there are no stories in e2e/specs.');
  await buildTestingPage();
  const report = 'e2e.json';
  const [command = '', ...args] = [...(hasDisplay() ? [] : virtualDisplay), bin('playwright'), 'test'];
  return runCounted({
    report,
    command,
    args: () => [...args, '--reporter=list,json', ...which],
    env: {
      ...process.env,
      OUTPOST_ELECTRON: electron.program,
      OUTPOST_DEFAULT_MODEL: model,
      PLAYWRIGHT_JSON_OUTPUT_FILE: reportPath(report),
    },
    count: countPlaywright,
  });
}
