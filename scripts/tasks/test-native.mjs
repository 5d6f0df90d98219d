// `npm run test:native`: C++ units as shipped, under sanitizers and for ARM, short fuzzing, the addon in Node.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { isInstalled, root, SetupError, succeeds } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { countCtest, runCounted, runNodeTests, runParts, skipped } from '../lib/test-results.mjs';

/** @typedef {import('../lib/test-results.mjs').Counts} Counts */

const fuzzSeconds = process.env.OUTPOST_FUZZ_SECONDS ?? '20';

/** @type {[string, () => Promise<Counts>][]} */
export const nativeParts = [
  ['native units, release', () => unitTests('release')],
  ['native units, sanitizers', () => unitTests('sanitize')],
  ['native units, threads', threadTests],
  ['native units for ARM, emulated', armTests],
  [`fuzzing, ${fuzzSeconds} s per target`, fuzz],
  ['addon in Node', addonTests],
];

export async function testNative() {
  await ensureSystemPackages(['build', 'test']);
  await ensureDependencies();
  await runParts(nativeParts);
}

/** @param {'release' | 'sanitize'} preset */
async function unitTests(preset) {
  // Under sanitizers only what the tests run: the command line is large there, and nothing starts it.
  const targets = preset === 'sanitize' ? ['outpost-tests', 'outpost-emulated-device-tests'] : ['all'];
  return runCtest(preset, await buildNative(preset, { withTests: true, targets }));
}

/** The tests of what has threads, under ThreadSanitizer. @returns {Promise<Counts>} */
async function threadTests() {
  return runCtest('threads', await buildNative('threads', { withTests: true, targets: ['outpost-thread-tests'] }));
}

/** The tests that depend on the processor, for 64-bit ARM, under an emulator. @returns {Promise<Counts>} */
async function armTests() {
  if (process.platform !== 'linux') return skipped('the emulator of another processor is set up on Linux only.');
  try {
    await ensureSystemPackages(['arm']);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return skipped(`the cross compiler or the emulator cannot be installed. ${error.message}`);
  }
  for (const tool of ['aarch64-linux-gnu-g++', 'qemu-aarch64'])
    if (!(await isInstalled(tool))) return skipped(`${tool} is not installed.`);
  return runCtest('arm', await buildNative('arm', { withTests: true, targets: ['outpost-kernel-tests'] }));
}

/** @param {string} preset @param {string} directory of its build */
function runCtest(preset, directory) {
  return runCounted({
    report: `native-${preset}.xml`,
    command: 'ctest',
    // doctest's summary is at the end of the output, which the report would cut off.
    args: (path) => [
      '--test-dir',
      directory,
      '--parallel',
      String(availableParallelism()),
      '--output-on-failure',
      '--output-junit',
      path,
      '--test-output-size-passed',
      '1000000',
    ],
    count: (text) => {
      // CTest shows no output of what passes, but a test that was skipped has to be seen.
      for (const [line] of text.matchAll(/^SKIPPED .*$/gm)) console.log(line);
      return countCtest(text);
    },
  });
}

/** @returns {Promise<Counts>} */
async function fuzz() {
  if (process.platform !== 'linux') return skipped('fuzzing is set up for clang with libFuzzer on Linux.');
  const isGreen = await succeeds('sh', [join(root, 'native', 'fuzz', 'run.sh'), fuzzSeconds]);
  return { passed: isGreen ? 1 : 0, failed: isGreen ? 0 : 1 };
}

/** @returns {Promise<Counts>} */
async function addonTests() {
  const file = join(root, 'native', 'tests', 'binding_test.mjs');
  if (!existsSync(file)) return skipped('there is no native/tests/binding_test.mjs.');
  const directory = await buildNative('release', { withTests: true });
  const env = { ...process.env, OUTPOST_ADDON: join(directory, 'outpost_engine.node') };
  return runNodeTests('addon.tap', [file], env);
}
