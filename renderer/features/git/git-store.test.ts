import { beforeEach, expect, it, vi } from 'vitest';
import type { GitFile, GitStatus } from '../../../electron/common/git-contract.ts';
import { FakeGit } from '../../testing/fake-git.ts';
import { GitStore, treeMarks } from './git-store.ts';

let fake: FakeGit;
let git: GitStore;
const onDone = vi.fn();

beforeEach(async () => {
  vi.clearAllMocks();
  fake = new FakeGit([
    { path: 'src/a.ts', staged: null, unstaged: 'modified' },
    { path: 'b.ts', staged: null, unstaged: 'untracked' },
  ]);
  git = new GitStore(fake.api, onDone);
  git.reset(true);
  await git.refresh();
});

const files = (): GitFile[] => {
  const { status } = git.store.getState();
  return status?.state === 'repository' ? status.files : [];
};

it('marks changed files in the tree, and the folders above them', () => {
  expect([...treeMarks(git.store.getState().status)]).toEqual([
    ['src/a.ts', 'modified'],
    ['src', 'inside'],
    ['b.ts', 'untracked'],
  ]);
});

it('commits what is staged and leaves the rest', async () => {
  expect(await git.stage(['b.ts'])).toBe(true);
  git.setMessage(' A message \n');
  expect(await git.commit()).toBe(true);
  expect(fake.commits).toEqual([{ message: 'A message', paths: ['b.ts'] }]);
  expect(files().map(({ path }) => path)).toEqual(['src/a.ts']);
  expect(git.store.getState().message).toBe('');
  expect(onDone).toHaveBeenCalled();
});

it('commits everything if nothing is staged, and nothing without a message', async () => {
  expect(await git.commit()).toBe(false);
  git.setMessage('all');
  await git.commit();
  expect(fake.commits).toEqual([{ message: 'all', paths: ['src/a.ts', 'b.ts'] }]);
});

it('commits and stages everything, also more than is listed', async () => {
  fake.mostFiles = 1;
  await git.refresh();
  expect(files().length).toBe(1);
  await git.stageAll();
  expect(fake.files.map(({ staged }) => staged)).toEqual(['modified', 'untracked']);
  await git.unstage(['src/a.ts', 'b.ts']);

  git.setMessage('all');
  await git.commit();
  expect(fake.commits).toEqual([{ message: 'all', paths: ['src/a.ts', 'b.ts'] }]);
});

it('keeps the message and shows what git said when a commit fails', async () => {
  fake.failure = 'Git says: the hook refused.';
  git.setMessage('m');
  expect(await git.commit()).toBe(false);
  expect(git.store.getState()).toMatchObject({ message: 'm', busy: null, error: { message: fake.failure } });
});

it('runs the repository’s programs only after the user said so, and forgets it with the folder', async () => {
  await git.stage(['b.ts']);
  git.setMayRunPrograms(true);
  await git.unstage(['b.ts']);
  expect(fake.allowed).toEqual([false, true]);
  git.reset(true);
  expect(git.store.getState().mayRunPrograms).toBe(false);
});

it('does one thing at a time', async () => {
  const first = git.stage(['b.ts']);
  expect(await git.stage(['src/a.ts'])).toBe(false);
  expect(await first).toBe(true);
});

it('drops the answer about a folder that is not open any more', async () => {
  const { promise, resolve } = Promise.withResolvers<GitStatus>();
  fake.api.status = async () => promise;
  const looking = git.refresh();
  git.reset(false);
  resolve({ state: 'noRepository' });
  await looking;
  expect(git.store.getState().status).toBeNull();
});
