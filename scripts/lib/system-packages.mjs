// Programs and libraries that come from the system. On Debian as root they are installed; anyone else gets the
// command to run.
import { capture, isInstalled, run, SetupError } from './process.mjs';
import { step } from './steps.mjs';

/** Debian packages by what needs them. */
const debianPackages = {
  build: ['cmake', 'ninja-build', 'g++'],
  // Shared libraries of Electron's Linux build.
  electron: [
    'libasound2',
    'libatk-bridge2.0-0',
    'libgbm1',
    'libgtk-3-0',
    'libnotify4',
    'libnss3',
    'libsecret-1-0',
    'libxss1',
    'libxtst6',
  ],
  display: ['xvfb', 'xauth'],
  // A cross compiler and an emulator for 64-bit ARM.
  arm: ['g++-aarch64-linux-gnu', 'qemu-user'],
  // llvm-19 names the lines in reports of sanitizers.
  test: ['clang-19', 'clang-format-14', 'doctest-dev', 'fonts-dejavu-core', 'libclang-rt-19-dev', 'llvm-19', 'python3'],
  // The trainer's toy on a CPU; without OpenBLAS it takes six times as long.
  forge: ['python3-torch', 'python3-numpy', 'libopenblas0-pthread'],
};

/** @param {(keyof typeof debianPackages)[]} groups */
export async function ensureSystemPackages(groups) {
  if (process.platform !== 'linux') return ensureBuildTools();
  if (!(await isInstalled('dpkg-query'))) return ensureBuildTools();
  const wanted = groups.flatMap((group) => debianPackages[group]);
  const installed = await installedPackages(wanted);
  const missing = wanted.filter((name) => !installed.has(name));
  if (missing.length === 0) return;

  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing];
  if (process.getuid?.() !== 0) {
    throw new SetupError(`These Debian packages are missing: ${missing.join(' ')}.`, `Run: sudo ${command.join(' ')}`);
  }
  await step(`System packages: ${missing.join(' ')}`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update'], { env, quiet: true });
    await run('apt-get', command.slice(1), { env, quiet: true });
  });
}

/** @param {string[]} names */
async function installedPackages(names) {
  // dpkg-query fails if one of them is unknown to it, and still prints the others.
  const output = await capture('sh', [
    '-c',
    `dpkg-query -W -f '\${Package} \${db:Status-Status}\\n' ${names.join(' ')} 2>/dev/null || true`,
  ]);
  const lines = output.split('\n').filter((line) => line.endsWith(' installed'));
  return new Set(lines.map((line) => line.slice(0, line.indexOf(' '))));
}

async function ensureBuildTools() {
  for (const tool of ['cmake', 'ninja']) {
    if (!(await isInstalled(tool)))
      throw new SetupError(`${tool} is not installed.`, 'Install it with your package manager and try again.');
  }
}
