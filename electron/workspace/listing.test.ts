import { execFileSync } from 'node:child_process';
import { chmodSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asOrdinaryUser, temporaryFolder } from '../testing/temporary-folder.ts';
import { findFiles, listDirectory } from './listing.ts';

const isPosix = process.platform !== 'win32';

describe('listDirectory', () => {
  it('puts folders first, then files, numbers in their order', async () => {
    const root = temporaryFolder({ file10: '', file9: '', 'b/': '', 'z/': '', 'A/': '', '.hidden': '', Ä: '', a: '' });
    const names = (await listDirectory(root, '')).map(({ name }) => name);
    expect(names).toEqual(['A', 'b', 'z', '.hidden', 'a', 'Ä', 'file9', 'file10']);
  });

  it('gives paths from the root', async () => {
    const root = temporaryFolder({ 'a/b/c.txt': '' });
    expect(await listDirectory(root, 'a')).toEqual([{ name: 'b', path: 'a/b', kind: 'directory', ignored: false }]);
    expect(await listDirectory(root, 'a/b')).toEqual([
      { name: 'c.txt', path: 'a/b/c.txt', kind: 'file', ignored: false },
    ]);
  });

  it('marks what tools make', async () => {
    const root = temporaryFolder({ 'node_modules/': '', '.git/': '', 'src/': '', building: '' });
    const ignored = (await listDirectory(root, '')).filter((entry) => entry.ignored).map(({ name }) => name);
    expect(ignored).toEqual(['node_modules']);
  });

  it('shows a link as what it leads to, and a broken one as a file', async () => {
    const root = temporaryFolder({ 'folder/': '', file: '' });
    symlinkSync('folder', join(root, 'to-folder'));
    symlinkSync('file', join(root, 'to-file'));
    symlinkSync('nowhere', join(root, 'broken'));
    symlinkSync('loop', join(root, 'loop'));
    const kinds = Object.fromEntries((await listDirectory(root, '')).map(({ name, kind }) => [name, kind]));
    expect(kinds).toMatchObject({ 'to-folder': 'directory', 'to-file': 'file', broken: 'file', loop: 'file' });
  });

  it('lists an empty folder, and refuses a missing one, a file and what is outside', async () => {
    const root = temporaryFolder({ 'empty/': '', file: '' });
    expect(await listDirectory(root, 'empty')).toEqual([]);
    await expect(listDirectory(root, 'missing')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(listDirectory(root, 'file')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(listDirectory(root, '..')).rejects.toMatchObject({ code: 'OUTSIDE_WORKSPACE' });
  });

  it.skipIf(!isPosix)('says so when a folder may not be read', async () => {
    const root = temporaryFolder({ 'private/a': '' });
    chmodSync(join(root, 'private'), 0);
    await asOrdinaryUser(root, async () => {
      await expect(listDirectory(root, 'private')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    });
    chmodSync(join(root, 'private'), 0o755);
  });
});

describe('findFiles', () => {
  it('finds all files, near ones first, without ignored folders', async () => {
    const root = temporaryFolder({
      'b/c/d.txt': '',
      'b/a.txt': '',
      'z.txt': '',
      'node_modules/x.js': '',
      'b/dist/y.js': '',
    });
    expect(await findFiles(root, 100)).toEqual({ paths: ['z.txt', 'b/a.txt', 'b/c/d.txt'], truncated: false });
  });

  it('stops at the limit and says so, but not when all fit exactly', async () => {
    const root = temporaryFolder({ a: '', b: '', 'c/d': '' });
    expect(await findFiles(root, 2)).toEqual({ paths: ['a', 'b'], truncated: true });
    expect(await findFiles(root, 3)).toEqual({ paths: ['a', 'b', 'c/d'], truncated: false });
  });

  it('finds those below a folder, and refuses one outside', async () => {
    const root = temporaryFolder({ a: '', 'b/c/d': '', 'b/e': '' });
    symlinkSync(temporaryFolder({ secret: '' }), join(root, 'out'));
    expect(await findFiles(root, 2, 'b')).toEqual({ paths: ['b/e', 'b/c/d'], truncated: false });
    for (const outside of ['..', 'out']) {
      await expect(findFiles(root, 100, outside)).rejects.toMatchObject({ code: 'OUTSIDE_WORKSPACE' });
    }
  });

  it('offers links to files, but neither follows nor offers links to folders', async () => {
    const root = temporaryFolder({ 'folder/a': '' });
    symlinkSync('..', join(root, 'folder', 'up'));
    symlinkSync('folder', join(root, 'to-folder'));
    symlinkSync('folder/a', join(root, 'to-file'));
    expect((await findFiles(root, 100)).paths).toEqual(['to-file', 'folder/a']);
  });

  it.skipIf(!isPosix)('leaves out what is no file, and folders that may not be read', async () => {
    const root = temporaryFolder({ 'private/a': '', b: '' });
    execFileSync('mkfifo', [join(root, 'pipe')]);
    chmodSync(join(root, 'private'), 0);
    await asOrdinaryUser(root, async () => {
      expect(await findFiles(root, 100)).toEqual({ paths: ['b'], truncated: false });
    });
    chmodSync(join(root, 'private'), 0o755);
  });
});
