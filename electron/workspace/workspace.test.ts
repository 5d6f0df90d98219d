import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rgPath } from '@vscode/ripgrep';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type WorkspaceEvent, workspaceContract, workspaceControlContract } from '../common/workspace-contract.ts';
import { connect } from '../testing/connect.ts';
import { temporaryFolder, tree } from '../testing/temporary-folder.ts';
import { Workspace } from './workspace.ts';

/** The workspace process's service, called as the window and main call it. */
async function opened(files: Record<string, string> | null) {
  const workspace = new Workspace(rgPath);
  onTestFinished(() => workspace.setRoot(null));
  const { client } = connect(workspaceContract, workspace.router());
  const { client: control } = connect(workspaceControlContract, workspace.controlRouter());
  const root = files === null ? '' : temporaryFolder(files);
  if (files !== null) await control.setRoot({ root });
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  return { client, control, root, log };
}

async function nextEvent(
  stream: AsyncIterable<WorkspaceEvent> & AsyncIterator<WorkspaceEvent>,
  isIt: (event: WorkspaceEvent) => boolean,
): Promise<WorkspaceEvent> {
  for (;;) {
    const { done, value } = await stream.next();
    if (done) throw new Error('The stream ended.');
    if (isIt(value)) return value;
  }
}

const names = (path: string) => (event: WorkspaceEvent) => event.type === 'changed' && event.files.includes(path);
const noFolder = { code: 'NO_WORKSPACE', data: { hint: 'Open a folder first.' } };

it('answers that no folder is open to every call, before and after', async () => {
  const { client, control } = await opened(null);
  const write = { path: 'a', text: '', encoding: 'utf8', version: null } as const;
  const all = () =>
    Promise.allSettled([
      client.list({ path: '' }),
      client.read({ path: 'a' }),
      client.write(write),
      client.createDirectory({ path: 'a' }),
      client.rename({ from: 'a', to: 'b' }),
      client.findFiles({ limit: 1 }),
      client.similar({ path: 'a.ts', text: '' }),
    ]);
  const refused = Array.from({ length: 7 }, () => ({ status: 'rejected', reason: expect.objectContaining(noFolder) }));
  expect(await all()).toEqual(refused);
  await control.setRoot({ root: temporaryFolder() });
  await control.setRoot({ root: null });
  expect(await all()).toEqual(refused);
});

const hasGit = spawnSync('git', ['--version']).status === 0;

it.skipIf(!hasGit)(
  'hears of commits and switches in a worktree, and from a folder inside of a repository',
  async () => {
    const { client, control, root } = await opened({ 'sub/a.txt': 'a\n' });
    const git = (cwd: string, ...args: string[]) => {
      const identity = ['-c', 'user.name=A', '-c', 'user.email=a@b.c'];
      execFileSync('git', [...identity, ...args], { cwd: join(root, cwd), stdio: 'pipe' });
    };
    git('.', 'init', '--quiet', '--initial-branch=main');
    git('.', 'add', '.');
    git('.', 'commit', '--quiet', '-m', 'first');
    git('.', 'worktree', 'add', '--quiet', '-b', 'other', 'tree');
    for (const [folder, name] of [
      ['sub', 'next'],
      ['tree', 'third'],
    ] as const) {
      await control.setRoot({ root: join(root, folder) });
      const events = await client.watch();
      expect(await client.git.status()).toMatchObject({ branch: folder === 'sub' ? 'main' : 'other' });
      git(folder, 'switch', '--quiet', '--create', name);
      const isOfGit = (event: WorkspaceEvent) => event.type === 'changed' && event.directories.includes('.git');
      await nextEvent(events, isOfGit);
      await expect.poll(() => client.git.status()).toMatchObject({ branch: name });
      await events.return?.();
    }
  },
  20_000,
);

it('finds the part of another file that looks like a text', async () => {
  const { client } = await opened({ 'a.ts': 'move(ship, harbour);', 'b.ts': 'sink(ship);\nmove(ship, harbour);' });
  const text = 'move(ship, harb';
  expect(await client.similar({ path: 'a.ts', text })).toEqual({
    part: { path: 'b.ts', text: 'sink(ship);\nmove(ship, harbour);' },
  });
  expect(await client.similar({ path: 'a.py', text })).toEqual({ part: null });
  await expect(client.similar({ path: '../a.ts', text })).rejects.toMatchObject({ code: 'OUTSIDE_WORKSPACE' });
  await expect(client.similar({ path: 'a.ts', text: 'x'.repeat(10_001) })).rejects.toThrow();
});

it('lists, reads, writes, makes and renames what is in the folder', async () => {
  const { client, root } = await opened({ 'src/a.ts': 'one' });
  expect(await client.list({ path: 'src' })).toEqual([
    { name: 'a.ts', path: 'src/a.ts', kind: 'file', ignored: false },
  ]);
  const { version } = await client.read({ path: 'src/a.ts' });
  await client.write({ path: 'src/a.ts', text: 'two', encoding: 'utf8', version });
  await client.createDirectory({ path: 'lib' });
  await client.rename({ from: 'src/a.ts', to: 'lib/b.ts' });
  expect(tree(root)).toEqual(['lib/', 'lib/b.ts', 'src/']);
  expect(readFileSync(join(root, 'lib/b.ts'), 'utf8')).toBe('two');
  expect(await client.findFiles({ limit: 10 })).toEqual({ paths: ['lib/b.ts'], truncated: false });
});

it('takes no text that is longer than any editor would send', async () => {
  const { client, root } = await opened({});
  const write = { path: 'a', text: 'x'.repeat(64 * 1024 * 1024 + 1), encoding: 'utf8', version: null } as const;
  await expect(client.write(write)).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(tree(root)).toEqual([]);
});

it('keeps code, sentence and hint of an error', async () => {
  const { client, log } = await opened({ a: 'x' });
  await expect(client.read({ path: 'b' })).rejects.toMatchObject({
    code: 'FILE_NOT_FOUND',
    message: 'b does not exist.',
    data: { hint: expect.any(String), detail: expect.stringContaining('ENOENT') },
  });
  await client.read({ path: 'a' });
  const stale = { path: 'a', text: 'y', encoding: 'utf8', version: 'stale' } as const;
  await expect(client.write(stale)).rejects.toMatchObject({ code: 'FILE_CHANGED_ON_DISK' });
  expect(log).not.toHaveBeenCalled();
});

describe('hostile input', () => {
  it.each([
    ['list', { path: 7 }],
    ['list', { path: null }],
    ['list', {}],
    ['list', undefined],
    ['list', ['a']],
    ['list', { path: 'a'.repeat(4097) }],
    ['read', { path: { toString: 'a' } }],
    ['write', { path: 'a', text: 'x', encoding: 'latin1', version: null, overwrite: true }],
    ['write', { path: 'a', text: 7, encoding: 'utf8', version: null, overwrite: true }],
    ['write', { path: 'a', text: 'x', encoding: 'utf8', overwrite: true }],
    ['write', { path: 'a', text: 'x', encoding: 'utf8', version: null, overwrite: 'yes' }],
    ['rename', { from: 'a' }],
    ['findFiles', { limit: 0 }],
    ['findFiles', { limit: 1e9 }],
    ['findFiles', { limit: '10' }],
  ] as const)('refuses %s with %j', async (procedure, input) => {
    const { client, root } = await opened({ a: 'content' });
    const call = client[procedure] as (input: unknown) => Promise<unknown>;
    await expect(call(input)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('content');
  });

  it('reaches nothing outside, whatever the procedure', async () => {
    const parent = temporaryFolder({ 'root/a': '', 'secret/key': 'secret' });
    symlinkSync('../secret', join(parent, 'root/out'));
    const { client, control } = await opened(null);
    await control.setRoot({ root: join(parent, 'root') });
    for (const path of ['../secret/key', 'out/key', '/etc/passwd', 'a/../../secret/key', 'out/../key', 'a\0']) {
      const calls = [
        client.read({ path }),
        client.list({ path }),
        client.write({ path, text: 'mine', encoding: 'utf8', version: null, overwrite: true }),
        client.createDirectory({ path }),
        client.rename({ from: path, to: 'stolen' }),
        client.rename({ from: 'a', to: path }),
      ];
      const isRefused = { status: 'rejected', reason: expect.objectContaining({ code: 'OUTSIDE_WORKSPACE' }) };
      expect(await Promise.allSettled(calls), path).toEqual(calls.map(() => isRefused));
    }
    expect(tree(parent)).toEqual(['root/', 'root/a', 'root/out', 'secret/', 'secret/key']);
    expect(readFileSync(join(parent, 'secret/key'), 'utf8')).toBe('secret');
  });
});

describe('setting the root', () => {
  it('keeps the folder that was open when the new one cannot be', async () => {
    const { client, control, root } = await opened({ a: '' });
    const missing = join(root, 'missing');
    await expect(control.setRoot({ root: missing })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: `${missing} does not exist.`,
    });
    await expect(control.setRoot({ root: join(root, 'a') })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(await client.list({ path: '' })).toHaveLength(1);
  });

  it('opens the folder that a link leads to', async () => {
    const { client, control, root } = await opened({ 'real/a': 'x' });
    symlinkSync('real', join(root, 'link'));
    await control.setRoot({ root: join(root, 'link') });
    expect(await client.read({ path: 'a' })).toMatchObject({ text: 'x' });
  });

  it('ends with the folder that was asked for last', async () => {
    const { client, control } = await opened(null);
    const [first, last] = [temporaryFolder({ first: '' }), temporaryFolder({ last: '' })];
    for (let i = 0; i < 20; i++) {
      await Promise.all([
        control.setRoot({ root: first }),
        control.setRoot({ root: null }),
        control.setRoot({ root: last }),
      ]);
      expect((await client.list({ path: '' })).map(({ name }) => name)).toEqual(['last']);
      await Promise.all([control.setRoot({ root: last }), control.setRoot({ root: null })]);
      await expect(client.list({ path: '' })).rejects.toMatchObject(noFolder);
    }
  });
});

describe('watching', () => {
  it('tells of changes in folders that were listed or read from', async () => {
    const { client, root } = await opened({ 'src/a': '', 'lib/b': '' });
    const events = await client.watch();
    await client.list({ path: 'src' });
    await client.read({ path: 'lib/b' });
    writeFileSync(join(root, 'src/new'), '');
    await nextEvent(events, names('src/new'));
    writeFileSync(join(root, 'lib/b'), 'x');
    expect(await nextEvent(events, names('lib/b'))).toMatchObject({ directories: ['lib'] });
    await events.return?.();
  });

  it('goes on over a change of the folder, and forgets the old one', async () => {
    const { client, control, root } = await opened({ a: '' });
    const events = await client.watch();
    await client.list({ path: '' });
    const other = temporaryFolder({ b: '' });
    await control.setRoot({ root: other });
    await client.list({ path: '' });
    writeFileSync(join(root, 'a'), 'x');
    writeFileSync(join(other, 'b'), 'x');
    const changed = (event: WorkspaceEvent) => event.type === 'changed';
    expect(await nextEvent(events, changed)).toEqual({ type: 'changed', directories: [''], files: ['b'] });
    await events.return?.();
  });

  it('says that the folder is gone, and that it is back', { timeout: 20_000 }, async () => {
    const { client, root } = await opened({ a: '' });
    const events = await client.watch();
    await client.list({ path: '' });
    rmSync(root, { recursive: true });
    await nextEvent(events, ({ type }) => type === 'rootGone');
    await expect(client.list({ path: '' })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    mkdirSync(root);
    await nextEvent(events, ({ type }) => type === 'rootBack');
    expect(await client.list({ path: '' })).toEqual([]);
    await events.return?.();
  });
});
