import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { isInside, resolveEntry, resolveInside } from './paths.ts';

const isOutside = expect.objectContaining({ code: 'OUTSIDE_WORKSPACE' });

/** `root` is a folder with a sibling that nothing may reach. */
function scene(): { root: string; secret: string } {
  const parent = temporaryFolder({ 'root/a/b.txt': '', 'root/c.txt': '', 'secret/key': '', 'root-2/x': '' });
  return { root: join(parent, 'root'), secret: join(parent, 'secret') };
}

it('resolves plain paths, existing or not, and "" to the root', async () => {
  const { root } = scene();
  for (const path of ['a', 'a/b.txt', 'c.txt', 'new', 'new/folder/file', 'a/new']) {
    expect(await resolveInside(root, path)).toBe(join(root, path));
  }
  expect(await resolveInside(root, '')).toBe(root);
});

it('takes names that only look dangerous', async () => {
  const { root } = scene();
  const names = ['..a', '...', 'a..', '.hidden', ' ', 'C:', 'c:d', 'c:d/e', '~', '-rf', '%2e%2e', 'a\nb', 'ü€😀'];
  for (const name of names) expect(await resolveInside(root, name)).toBe(join(root, name));
});

it.skipIf(process.platform === 'win32')('takes a backslash as a part of a name where it is one', async () => {
  const { root } = scene();
  expect(await resolveInside(root, '..\\secret')).toBe(join(root, '..\\secret'));
});

it.each([
  '..',
  '.',
  './a',
  '../secret/key',
  'a/../../secret/key',
  'a/../c.txt',
  'a/..',
  'a/.',
  '/',
  '/etc/passwd',
  'a//b.txt',
  'a/',
  '//',
  '\0',
  'a\0b',
  'c.txt\0.png',
  '../root-2/x',
])('refuses %j', async (path) => {
  const { root } = scene();
  await expect(resolveInside(root, path)).rejects.toEqual(isOutside);
  await expect(resolveEntry(root, path)).rejects.toEqual(isOutside);
});

it('does not take a folder whose name begins like the root for a part of it', () => {
  expect(isInside('/w/root', '/w/root-2/x')).toBe(false);
  expect(isInside('/w/root', '/w/root/x')).toBe(true);
  expect(isInside('/w/root', '/w/root')).toBe(true);
  expect(isInside('/w/root', '/w')).toBe(false);
  expect(isInside('/', '/etc')).toBe(true);
});

describe('links', () => {
  it('follows links to files and folders inside', async () => {
    const { root } = scene();
    symlinkSync('a', join(root, 'folder-link'));
    symlinkSync(join(root, 'c.txt'), join(root, 'a', 'file-link'));
    expect(await resolveInside(root, 'folder-link/b.txt')).toBe(join(root, 'a/b.txt'));
    expect(await resolveInside(root, 'folder-link/new/file')).toBe(join(root, 'a/new/file'));
    expect(await resolveInside(root, 'a/file-link')).toBe(join(root, 'c.txt'));
  });

  it('refuses links that lead outside, on every part of the path', async () => {
    const { root, secret } = scene();
    symlinkSync(secret, join(root, 'absolute'));
    symlinkSync('../secret', join(root, 'relative'));
    symlinkSync('../secret/key', join(root, 'file'));
    symlinkSync('..', join(root, 'parent'));
    symlinkSync('relative', join(root, 'twice'));
    const paths = [
      'absolute',
      'absolute/key',
      'absolute/new',
      'absolute/new/file',
      'relative/key',
      'file',
      'parent',
    ].concat(['parent/secret/key', 'twice/key', 'a/../absolute', 'parent/root-2/x']);
    for (const path of paths) await expect(resolveInside(root, path), path).rejects.toEqual(isOutside);
  });

  it('takes a way out and back in again, because it ends inside', async () => {
    const { root } = scene();
    symlinkSync('..', join(root, 'parent'));
    expect(await resolveInside(root, 'parent/root/c.txt')).toBe(join(root, 'c.txt'));
  });

  it('resolves a dangling link to what it would lead to', async () => {
    const { root, secret } = scene();
    symlinkSync('a/missing', join(root, 'inside'));
    symlinkSync(join(secret, 'missing'), join(root, 'outside'));
    symlinkSync('../new', join(root, 'a', 'back'));
    symlinkSync('outside', join(root, 'twice'));
    expect(await resolveInside(root, 'inside')).toBe(join(root, 'a/missing'));
    expect(await resolveInside(root, 'a/back')).toBe(join(root, 'new'));
    expect(await resolveInside(root, 'inside/file')).toBe(join(root, 'a/missing/file'));

    for (const path of ['outside', 'outside/file', 'twice', 'twice/a/b']) {
      await expect(resolveInside(root, path), path).rejects.toEqual(isOutside);
    }
  });

  it('does not follow a link loop for ever', async () => {
    const { root } = scene();
    symlinkSync('loop-b', join(root, 'loop-a'));
    symlinkSync('loop-a', join(root, 'loop-b'));
    symlinkSync('self/deeper', join(root, 'self'));
    for (const path of ['loop-a', 'loop-b/x', 'self']) {
      await expect(resolveInside(root, path), path).rejects.toMatchObject({ code: 'ELOOP' });
    }
  });

  it('works below a root that is reached by a link, once the root is resolved', async () => {
    const { root } = scene();
    const link = join(temporaryFolder(), 'link');
    symlinkSync(root, link);
    const resolved = realpathSync(link);
    expect(await resolveInside(resolved, 'a/b.txt')).toBe(join(root, 'a/b.txt'));
    symlinkSync(join(link, 'c.txt'), join(root, 'over-the-link'));
    expect(await resolveInside(resolved, 'over-the-link')).toBe(join(root, 'c.txt'));
  });
});

describe('resolveEntry', () => {
  it('stays on a link instead of following it', async () => {
    const { root, secret } = scene();
    symlinkSync(secret, join(root, 'a', 'link'));
    expect(await resolveEntry(root, 'a/link')).toBe(join(root, 'a/link'));
  });

  it('follows links on the way, and refuses those that lead outside', async () => {
    const { root, secret } = scene();
    mkdirSync(join(root, 'd'));
    symlinkSync('../a', join(root, 'd', 'up'));
    symlinkSync(secret, join(root, 'out'));
    expect(await resolveEntry(root, 'd/up/b.txt')).toBe(join(root, 'a/b.txt'));
    await expect(resolveEntry(root, 'out/key')).rejects.toEqual(isOutside);
  });

  it('refuses the root itself', async () => {
    await expect(resolveEntry(scene().root, '')).rejects.toEqual(isOutside);
  });
});
