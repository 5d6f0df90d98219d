import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { canMountDisks, mountDisk } from '../testing/mounted-disk.ts';
import { temporaryFolder, tree } from '../testing/temporary-folder.ts';
import { Trash, trashInfo } from './trash.ts';

describe.skipIf(process.platform !== 'linux')('the trash', () => {
  it('takes a file with a note that says where it was, and gives it back', async () => {
    const root = temporaryFolder({ 'src/a b%.ts': 'text', 'src/c.ts': '' });
    const home = temporaryFolder();
    const trash = new Trash(home);
    const id = await trash.put(root, 'src/a b%.ts');
    expect(tree(root)).toEqual(['src/', 'src/c.ts']);
    expect(readFileSync(join(home, 'files/a b%.ts'), 'utf8')).toBe('text');
    expect(readFileSync(join(home, 'info/a b%.ts.trashinfo'), 'utf8')).toContain(`Path=${root}/src/a%20b%25.ts\n`);
    expect(await trash.restore(root, id)).toBe('src/a b%.ts');
    expect(readFileSync(join(root, 'src/a b%.ts'), 'utf8')).toBe('text');
    expect(tree(home)).toEqual(['files/', 'info/']);
  });

  it.skipIf(!canMountDisks())('says that a disk takes nothing, and leaves the file there', async () => {
    const root = temporaryFolder();
    onTestFinished(mountDisk(root, 'size=64k'));
    writeFileSync(join(root, 'a.txt'), 'kept');
    execFileSync('mount', ['-o', 'remount,ro', root]);
    const put = new Trash(temporaryFolder()).put(root, 'a.txt');
    await expect(put).rejects.toMatchObject({
      code: 'FILE_READ_ONLY',
      message: 'a.txt is on a read-only file system.',
    });
    expect(readFileSync(join(root, 'a.txt'), 'utf8')).toBe('kept');
  });

  it('keeps entries of one name apart', async () => {
    const root = temporaryFolder({ 'a/x': '1', 'b/x': '2' });
    const home = temporaryFolder();
    const trash = new Trash(home);
    const first = await trash.put(root, 'a/x');
    const second = await trash.put(root, 'b/x');
    expect(readdirSync(join(home, 'files'))).toHaveLength(2);
    await trash.restore(root, second);
    await trash.restore(root, first);
    expect([readFileSync(join(root, 'a/x'), 'utf8'), readFileSync(join(root, 'b/x'), 'utf8')]).toEqual(['1', '2']);
  });

  it('takes a folder with everything in it, also when its parent is gone on the way back', async () => {
    const root = temporaryFolder({ 'deep/er/a': '1', 'deep/er/b/c': '2' });
    const trash = new Trash(temporaryFolder());
    const inner = await trash.put(root, 'deep/er');
    await trash.put(root, 'deep');
    expect(tree(root)).toEqual([]);
    await trash.restore(root, inner);
    expect(tree(root)).toEqual(['deep/', 'deep/er/', 'deep/er/a', 'deep/er/b/', 'deep/er/b/c']);
  });

  it('takes a link and leaves what it leads to', async () => {
    const outside = temporaryFolder({ kept: 'x' });
    const root = temporaryFolder();
    symlinkSync(outside, join(root, 'link'));
    await new Trash(temporaryFolder()).put(root, 'link');
    expect(tree(root)).toEqual([]);
    expect(tree(outside)).toEqual(['kept']);
  });

  it('refuses what is outside, the folder itself, and what is not there', async () => {
    const outside = temporaryFolder({ kept: 'x' });
    const root = temporaryFolder();
    symlinkSync(outside, join(root, 'link'));
    const trash = new Trash(temporaryFolder());
    for (const path of ['../kept', '', 'link/kept', '/etc/passwd', 'a/../../kept', '.']) {
      await expect(trash.put(root, path)).rejects.toMatchObject({ code: 'OUTSIDE_WORKSPACE' });
    }
    await expect(trash.put(root, 'missing')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(tree(outside)).toEqual(['kept']);
  });

  it('replaces nothing on the way back, and serves no other folder', async () => {
    const root = temporaryFolder({ a: 'old' });
    const trash = new Trash(temporaryFolder());
    const id = await trash.put(root, 'a');
    writeFileSync(join(root, 'a'), 'new');
    await expect(trash.restore(root, id)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('new');
    const other = temporaryFolder();
    mkdirSync(join(other, 'b'));
    await expect(trash.restore(other, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(trash.restore(root, 'unknown')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('writes the date in local time without a zone, as the specification wants', () => {
  expect(trashInfo('/a/é', new Date(2026, 10, 24, 9, 5, 7))).toBe(
    '[Trash Info]\nPath=/a/%C3%A9\nDeletionDate=2026-11-24T09:05:07\n',
  );
});
