// The native engine by CMake presets. CMake itself knows what is stale; the stamp saves starting it.
import { join } from 'node:path';
import { capture, root, run } from './process.mjs';
import { hashOf, stampedStep } from './steps.mjs';

const names = {
  release: 'native engine (release)',
  sanitize: 'native engine with AddressSanitizer and UndefinedBehaviorSanitizer',
  threads: 'native tests with ThreadSanitizer',
  fuzz: 'fuzz targets',
  arm: 'native tests for 64-bit ARM',
};

/**
 * @param {keyof typeof names} preset
 * @param {{ withTests?: boolean, targets?: string[] }} [options] targets: what to build, if not everything
 * @returns {Promise<string>} the build's folder
 */
export async function buildNative(preset, { withTests = false, targets = ['all'] } = {}) {
  const directory = join(root, 'build', 'native', preset);
  await stampedStep(
    `native-${preset}${withTests ? '-tests' : ''}`,
    names[preset],
    async () => hashOf({ paths: ['native', 'kernels'], texts: await metalCompiler() }),
    async (progress) => {
      const options = withTests ? ['-DOUTPOST_TESTS=ON'] : [];
      await run('cmake', ['--preset', preset, '-S', 'native', ...options], { quiet: true });
      await run('cmake', ['--build', directory, '--target', ...targets], {
        quiet: true,
        // Ninja begins its lines with "[12/63]".
        onOutput: (text) => progress(text.match(/^\[\d+\/\d+\]/gm)?.at(-1) ?? ''),
      });
    },
  );
  return directory;
}

/** On a Mac, what compiles Metal's kernels, or nothing: where it comes later the engine is built again, with them. */
async function metalCompiler() {
  if (process.platform !== 'darwin') return [];
  return [await capture('xcrun', ['-sdk', 'macosx', 'metal', '--version']).catch(() => '')];
}
