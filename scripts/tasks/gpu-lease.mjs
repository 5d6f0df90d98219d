// `node scripts/outpost.mjs gpu-lease`: makes the working tree ready to be sent to a machine with a GPU that is lent for half
// an hour, has neither Node nor network, and takes 64 MiB. `gpu-lease back` puts everything where it was. docs/gpu.md says
// what to do with such a machine.
import { copyFile, lstat, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bundledModelFile } from '../lib/bundled-models.mjs';
import { capture, root, run, SetupError } from '../lib/process.mjs';
import { step } from '../lib/steps.mjs';
import { packPeerSource } from './gpu-models.mjs';

/** What no check on a GPU needs. The draft model stays: it is the real one that is compared. */
const leftBehind = [bundledModelFile('outpost-code'), 'docs/pictures'];
const mostBytes = 64 * 2 ** 20;

/** The calls of a lease, the most valuable first. Their seconds are estimates. */
const calls = [
  'scripts/gpu-check.sh --deadline 560 --speed --bench',
  'scripts/gpu-check.sh --deadline 560 --kernels --models --peer',
  'scripts/gpu-check.sh --deadline 420 --peer',
];

/** @param {string[]} words */
export async function gpuLease([word, ...others]) {
  if ((word !== undefined && word !== 'back') || others.length > 0) throw new SetupError('usage: gpu-lease [back]');
  if (word !== 'back') await packCarry(join(root, 'carry'));
  const moved = await (word === 'back' ? putBack(root) : leaveBehind(root));
  console.log(moved.length > 0 ? `Moved: ${moved.join(', ')}.` : 'Nothing had to be moved.');
  if (word === 'back') return;
  const tree = await treeBytes(root);
  const carry = await folderBytes(join(root, 'carry'));
  console.log(
    `The tree has ${mebibytes(tree)} MiB, carry ${mebibytes(carry)}; together ${mebibytes(tree + carry)} of 64.`,
  );
  if (tree + carry > mostBytes) throw new SetupError('That is too much to be sent.', 'Leave more behind.');
  console.log(`Name "carry" with each call:\n${calls.map((call) => `  ${call}`).join('\n')}`);
  console.log(
    'Git takes what was moved for deleted: `git commit -a` would do so too. Keep what each call brings back in a folder of its own; then, here:',
  );
  console.log('  scripts/gpu-check.sh --page FOLDER...\n  node scripts/outpost.mjs gpu-lease back');
}

/** Where files wait: ignored by Git, and on the same disk, so that each moves in one step. @param {string} tree */
const aside = (tree) => join(tree, 'build', 'gpu-lease');

/** @param {string} tree @returns {Promise<string[]>} what was moved; nothing that an earlier call has moved */
export async function leaveBehind(tree) {
  return await moveAll((path) => [join(tree, path), join(aside(tree), path)]);
}

/** @param {string} tree @returns {Promise<string[]>} what was moved */
export async function putBack(tree) {
  return await moveAll((path) => [join(aside(tree), path), join(tree, path)]);
}

/** @param {(path: string) => [from: string, to: string]} places */
async function moveAll(places) {
  const moved = [];
  for (const path of leftBehind) {
    const [from, to] = places(path);
    if (!(await exists(from))) continue;
    if (await exists(to))
      throw new SetupError(`${from} and ${to} are both there.`, 'Remove the one that is not wanted.');
    await mkdir(dirname(to), { recursive: true });
    await rename(from, to);
    moved.push(path);
  }
  return moved;
}

/** @param {string} path */
const exists = (path) =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** @param {string} carry */
async function packCarry(carry) {
  await mkdir(join(carry, 'doctest'), { recursive: true });
  await copyFile('/usr/include/doctest/doctest.h', join(carry, 'doctest', 'doctest.h')).catch(() => {
    throw new SetupError('doctest.h is not installed.', 'Install doctest-dev.');
  });
  await packPeerSource(carry);
  const node = join(carry, 'node.xz');
  // Node writes the tiny models there, which would be 287 MiB; no packages are needed for that.
  if (!(await exists(node))) {
    await step('packing Node', () =>
      run('bash', ['-c', 'xz -T0 -2 -c "$0" >"$1.part" && mv "$1.part" "$1"', process.execPath, node]),
    );
  }
  const commit = (await capture('git', ['rev-parse', '--short', 'HEAD'])).trim();
  const sources = (await capture('bash', ['-c', '. scripts/lib/gpu-common.sh && sum_sources'])).trim();
  await writeFile(join(carry, 'commit'), `${commit} ${sources}\n`);
}

/** What travels of a working tree without what is carried. @param {string} tree */
async function treeBytes(tree) {
  const list = await capture('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: tree });
  const sizes = list
    .split('\0')
    .filter(Boolean)
    .map((path) =>
      lstat(join(tree, path)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** @param {string} folder */
async function folderBytes(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => lstat(join(parentPath, name)));
  return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0);
}

/** @param {number} bytes */
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
