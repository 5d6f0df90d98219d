import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder, writeFiles } from '../../testing/temporary-folder.ts';
import { Trash } from '../trash.ts';
import { branches, commit, discard, gitStatus, headText, stage, switchBranch, unstage } from './git.ts';
import { parseStatus } from './parse-status.ts';

const hasGit = (() => {
  try {
    execFileSync('git', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

const never = { mayRunPrograms: false };
const allowed = { mayRunPrograms: true };
let root: string;

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=A', '-c', 'user.email=a@b.c', '-c', 'init.defaultBranch=main'];
  return execFileSync('git', [...identity, ...args], { cwd: root, encoding: 'utf8' });
}

async function changed(): Promise<Record<string, string>> {
  const status = await gitStatus(root, undefined);
  if (status.state !== 'repository') throw new Error(status.state);
  return Object.fromEntries(
    status.files.map(({ path, staged, unstaged }) => [path, `${staged ?? '-'} ${unstaged ?? '-'}`]),
  );
}

function ofRoot(trash: Trash) {
  return { put: (path: string) => trash.put(root, path), restore: (id: string) => trash.restore(root, id) };
}

// Each starts git many times, which takes seconds on a machine that is busy.
const options = { timeout: 60_000 };

describe.skipIf(!hasGit)('a repository', options, () => {
  beforeEach(() => {
    root = temporaryFolder({ 'a.txt': 'one\n', 'sub/b c.txt': 'two\n', 'gone.txt': 'x\n' });
    git('init', '--quiet');
    git('config', 'user.name', 'A');
    git('config', 'user.email', 'a@b.c');
    git('add', '.');
    git('commit', '--quiet', '-m', 'first');
  }, options.timeout);

  it('tells what changed, staged and not, whatever the names', async () => {
    writeFiles(root, { 'a.txt': 'changed\n', 'sub/b c.txt': 'staged\n', 'new ü\n.txt': 'n\n', ':(top)x': '' });
    git('add', 'sub');
    rmSync(join(root, 'gone.txt'));
    expect(await changed()).toEqual({
      'a.txt': '- modified',
      'sub/b c.txt': 'modified -',
      'gone.txt': '- deleted',
      'new ü\n.txt': '- untracked',
      ':(top)x': '- untracked',
    });
    expect(await gitStatus(root, undefined)).toMatchObject({ branch: 'main', hasCommit: true, programs: [] });
  });

  it('stages, unstages and commits exactly what is asked for', async () => {
    writeFiles(root, { 'a.txt': 'changed\n', ':(top)x': 'y\n', 'other.txt': 'z\n' });
    await stage(root, ['a.txt', ':(top)x'], never);
    expect(await changed()).toEqual({ 'a.txt': 'modified -', ':(top)x': 'added -', 'other.txt': '- untracked' });
    await unstage(root, [':(top)x'], never);
    await commit(root, 'Second\n\n# not a comment', never);
    expect(await changed()).toEqual({ ':(top)x': '- untracked', 'other.txt': '- untracked' });
    expect(git('log', '-1', '--format=%B')).toContain('Second');
  });

  it('stages everything in the folder, also what has a name that is no text', async () => {
    writeFiles(root, { 'a.txt': 'changed\n', 'sub/new.txt': 'n\n' });
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe])]), '');
    rmSync(join(root, 'gone.txt'));
    await stage(join(root, 'sub'), null, never);
    expect(await changed()).toMatchObject({ 'sub/new.txt': 'added -', 'a.txt': '- modified' });
    await stage(root, null, never);
    expect(Object.values(await changed()).sort()).toEqual(['added -', 'added -', 'deleted -', 'modified -']);
  });

  it('unstages a renamed file together with the name that it had', async () => {
    git('mv', 'a.txt', 'sub/new.txt');
    git('mv', 'gone.txt', 'other.txt');
    expect(await changed()).toEqual({ 'sub/new.txt': 'renamed -', 'other.txt': 'renamed -' });
    await unstage(root, ['sub/new.txt'], never);
    expect(await changed()).toEqual({ 'a.txt': '- deleted', 'sub/new.txt': '- untracked', 'other.txt': 'renamed -' });
    // The other name is outside of this folder, and what is there is not touched.
    git('add', '--all');
    await unstage(join(root, 'sub'), ['new.txt'], never);
    expect(await changed()).toMatchObject({ 'a.txt': 'deleted -', 'sub/new.txt': '- untracked' });
  });

  it('unstages before there is any commit', async () => {
    root = temporaryFolder({ 'a.txt': 'one\n' });
    git('init', '--quiet');
    await stage(root, ['a.txt'], never);
    expect(await changed()).toEqual({ 'a.txt': 'added -' });
    await unstage(root, ['a.txt'], never);
    expect(await changed()).toEqual({ 'a.txt': '- untracked' });
  });

  it('discards what is not staged, after it was brought to the trash', async () => {
    writeFiles(root, { 'a.txt': 'precious\n', 'new.txt': 'n\n', 'sub/b c.txt': 'kept\n' });
    rmSync(join(root, 'gone.txt'));
    const trashed: [string, string][] = [];
    const put = async (path: string) => {
      trashed.push([path, readFileSync(join(root, path), 'utf8')]);
      rmSync(join(root, path));
      return path;
    };
    const trash = { put, restore: () => Promise.reject(new Error('Nothing failed.')) };
    await discard(root, ['a.txt', 'new.txt', 'gone.txt', 'no such file'], never, trash);
    expect(trashed).toEqual([
      ['a.txt', 'precious\n'],
      ['new.txt', 'n\n'],
    ]);
    expect(readFileSync(join(root, 'a.txt'), 'utf8')).toBe('one\n');
    expect(existsSync(join(root, 'new.txt'))).toBe(false);
    expect(await changed()).toEqual({ 'sub/b c.txt': '- modified' });
  });

  it('brings what is in the trash back where git refuses to discard', async () => {
    writeFiles(root, { 'a.txt': 'precious\n', 'new.txt': 'n\n', '.git/index.lock': '' });
    const trash = new Trash(temporaryFolder());
    await expect(discard(root, ['a.txt', 'new.txt'], never, ofRoot(trash))).rejects.toMatchObject({
      code: 'GIT_FAILED',
      message: expect.stringContaining('index.lock'),
    });
    expect(readFileSync(join(root, 'a.txt'), 'utf8')).toBe('precious\n');
    expect(readFileSync(join(root, 'new.txt'), 'utf8')).toBe('n\n');
  });

  it('leaves a file in conflict as it is, says so, and discards the others', async () => {
    git('switch', '--quiet', '--create', 'other');
    writeFiles(root, { 'a.txt': 'theirs\n' });
    git('commit', '--quiet', '-am', 'theirs');
    git('switch', '--quiet', '-');
    writeFiles(root, { 'a.txt': 'ours\n' });
    git('commit', '--quiet', '-am', 'ours');
    expect(() => git('merge', '--quiet', 'other')).toThrow();
    writeFiles(root, { 'gone.txt': 'y\n' });
    const before = readFileSync(join(root, 'a.txt'), 'utf8');
    expect(await changed()).toEqual({ 'a.txt': '- conflicted', 'gone.txt': '- modified' });

    const discarded = discard(root, ['a.txt', 'gone.txt'], never, ofRoot(new Trash(temporaryFolder())));
    await expect(discarded).rejects.toMatchObject({ message: expect.stringMatching(/^a\.txt was left as it is/) });
    expect(readFileSync(join(root, 'a.txt'), 'utf8')).toBe(before);
    expect(await changed()).toEqual({ 'a.txt': '- conflicted' });
  });

  it('stages a repository inside of this one that is no part of it, and leaves a submodule as it is', async () => {
    mkdirSync(join(root, 'inner'));
    git('-C', 'inner', 'init', '--quiet');
    writeFiles(root, { 'inner/x.txt': 'x\n' });
    git('-C', 'inner', 'add', '.');
    git('-C', 'inner', 'commit', '--quiet', '-m', 'inner');
    expect(await changed()).toEqual({ inner: '- untracked' });
    await stage(root, ['inner'], never);
    await commit(root, 'with inner', never);

    git('-C', 'inner', 'commit', '--quiet', '--allow-empty', '-m', 'ahead');
    expect(await changed()).toEqual({ inner: '- modified' });
    const discarded = discard(root, ['inner'], never, ofRoot(new Trash(temporaryFolder())));
    await expect(discarded).rejects.toMatchObject({ message: expect.stringContaining('a repository of its own') });
    expect(existsSync(join(root, 'inner/x.txt'))).toBe(true);
  });

  it('shows a file as it was committed', async () => {
    writeFiles(root, { 'a.txt': 'changed\n', 'new.txt': '' });
    expect(await headText(root, 'a.txt')).toBe('one\n');
    expect(await headText(root, 'new.txt')).toBeNull();
    await expect(headText(root, '../x')).rejects.toMatchObject({ code: 'OUTSIDE_WORKSPACE' });
    await expect(stage(root, ['../x'], never)).rejects.toMatchObject({ code: 'OUTSIDE_WORKSPACE' });
  });

  it('switches branches, makes one, and says what git says', async () => {
    await switchBranch(root, 'topic', true, never);
    expect(await branches(root)).toEqual(['main', 'topic']);
    expect(await gitStatus(root, undefined)).toMatchObject({ branch: 'topic' });
    await switchBranch(root, 'main', false, never);
    await expect(switchBranch(root, 'nowhere', false, never)).rejects.toMatchObject({
      code: 'GIT_FAILED',
      message: expect.stringContaining('nowhere'),
    });
    await expect(switchBranch(root, '--orphan', false, never)).rejects.toMatchObject({ code: 'GIT_FAILED' });
    await expect(commit(root, 'nothing', never)).rejects.toMatchObject({ code: 'GIT_FAILED' });
  });

  it('is seen from a folder inside of it', async () => {
    const top = root;
    writeFiles(root, { 'a.txt': 'outside\n', 'sub/b c.txt': 'inside\n' });
    root = join(top, 'sub');
    expect(await changed()).toEqual({ 'b c.txt': '- modified' });
    expect(await headText(root, 'b c.txt')).toBe('two\n');
    await stage(root, ['b c.txt'], never);
    expect(await changed()).toEqual({ 'b c.txt': 'modified -' });
  });

  describe('that names programs of its own', () => {
    const marks = () =>
      ['fsmonitor', 'hook', 'clean', 'smudge', 'gpg'].filter((name) => existsSync(join(root, '..', mark(name))));
    const mark = (name: string) => `${root.split('/').at(-1)}-${name}`;
    const program = (name: string, then = '') => {
      const path = join(root, `.git/${name}.sh`);
      writeFileSync(path, `#!/bin/sh\ntouch "${join(root, '..', mark(name))}"\n${then}`);
      chmodSync(path, 0o755);
      return path;
    };

    beforeEach(() => {
      git('config', 'core.fsmonitor', program('fsmonitor'));
      const hook = join(root, '.git/hooks/pre-commit');
      writeFileSync(hook, readFileSync(program('hook')));
      chmodSync(hook, 0o755);
      for (const name of ['x', 'a=b']) {
        git('config', `filter.${name}.clean`, program('clean', 'cat'));
        git('config', `filter.${name}.smudge`, program('smudge', 'cat'));
        git('config', `filter.${name}.required`, 'true');
      }
      git('config', 'gpg.program', program('gpg', 'exit 1'));
      git('config', 'commit.gpgsign', 'true');
      writeFiles(root, { '.gitattributes': '*.txt filter=x\n*.md filter=a=b\n', 'a.txt': 'changed\n', 'n.md': 'n\n' });
      return () => {
        for (const name of ['fsmonitor', 'hook', 'clean', 'smudge', 'gpg'])
          rmSync(join(root, '..', mark(name)), { force: true });
      };
    }, options.timeout);

    it('runs none of them, whatever is done', async () => {
      const status = await gitStatus(root, undefined);
      expect(status).toMatchObject({ programs: ['pre-commit', 'filter x', 'filter a=b', 'signing'] });
      await stage(root, ['a.txt', 'n.md', '.gitattributes'], never);
      await commit(root, 'second', never);
      writeFiles(root, { 'a.txt': 'again\n' });
      await discard(root, ['a.txt'], never, ofRoot(new Trash(temporaryFolder())));
      await switchBranch(root, 'topic', true, never);
      await headText(root, 'a.txt');
      expect(marks()).toEqual([]);
      expect(git('log', '--oneline', '--no-show-signature').split('\n').length).toBe(3);
    });

    it('runs them where the user allows it', async () => {
      await stage(root, ['a.txt'], allowed);
      expect(marks()).toContain('clean');
      await expect(commit(root, 'signed', allowed)).rejects.toMatchObject({ code: 'GIT_FAILED' });
      expect(marks()).toEqual(['hook', 'clean', 'gpg']);
    });
  });

  it('is none if its work tree is somewhere else', async () => {
    git('config', 'core.worktree', temporaryFolder());
    expect(await gitStatus(root, undefined)).toEqual({ state: 'noRepository' });
  });
});

it.skipIf(!hasGit)('is missing in a plain folder', async () => {
  expect(await gitStatus(temporaryFolder({ 'a.txt': '' }), undefined)).toEqual({ state: 'noRepository' });
});

it.skipIf(!hasGit)('says what is wrong with a “.git” that leads nowhere, and with a folder that is gone', async () => {
  const lost = temporaryFolder({ '.git': 'gitdir: /no/such/place\n' });
  await expect(gitStatus(lost, undefined)).rejects.toMatchObject({
    message: expect.stringContaining('/no/such/place'),
  });
  const gone = join(temporaryFolder(), 'gone');
  await expect(gitStatus(gone, undefined)).rejects.toMatchObject({
    message: expect.stringContaining('does not exist'),
  });
});

it('reads renames, conflicts and a branch that is ahead', () => {
  const output = [
    '# branch.oid 1234',
    '# branch.head (detached)',
    '# branch.ab +2 -1',
    '2 R. N... 100644 100644 100644 aaa bbb R100 p/new name.txt',
    'p/old.txt',
    'u UU N... 100644 100644 100644 100644 aaa bbb ccc p/both.txt',
    '1 MM N... 100644 100644 100644 aaa bbb outside.txt',
    '',
  ].join('\0');
  expect(parseStatus(output, 'p/')).toEqual({
    branch: null,
    hasCommit: true,
    ahead: 2,
    behind: 1,
    files: [
      { path: 'new name.txt', staged: 'renamed', unstaged: null },
      { path: 'both.txt', staged: null, unstaged: 'conflicted' },
    ],
    submodules: [],
    formerNames: new Map([['new name.txt', 'old.txt']]),
  });
});
