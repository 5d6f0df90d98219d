import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { canMountDisks, mountDisk } from '../testing/mounted-disk.ts';
import { asOrdinaryUser, temporaryFolder, tree } from '../testing/temporary-folder.ts';
import { toFileError } from './file-errors.ts';
import { createDirectory, readTextFile, renameEntry, type WriteRequest, writeTextFile } from './files.ts';

const isSuperuser = process.getuid?.() === 0;
const isPosix = process.platform !== 'win32';

const code = (code: string) => expect.objectContaining({ code });
const content = (root: string, path: string) => readFileSync(join(root, path), 'utf8');

/** Replaces a file as the editor does: with the version that it read, unless the test says another. */
async function write(root: string, path: string, text: string, how: Partial<WriteRequest> = {}) {
  const isNew = how.version !== undefined || !existsSync(join(root, path));
  const version = isNew ? null : (await readTextFile(root, path)).version;
  return writeTextFile(root, { path, text, encoding: 'utf8', version, overwrite: false, ...how });
}

describe('reading', () => {
  it('tells text, encoding, line endings and version', async () => {
    const root = temporaryFolder({
      'src/a.ts': 'one\r\ntwo\r\n',
      'marked.txt': '\uFEFFx',
      mixed: 'a\nb\r\n',
      empty: '',
    });
    expect(await readTextFile(root, 'src/a.ts')).toEqual({
      path: 'src/a.ts',
      text: 'one\r\ntwo\r\n',
      encoding: 'utf8',
      eol: 'crlf',
      isReadOnly: false,
      version: expect.any(String),
    });
    expect(await readTextFile(root, 'marked.txt')).toMatchObject({ text: 'x', encoding: 'utf8bom', eol: 'none' });
    expect(await readTextFile(root, 'mixed')).toMatchObject({ text: 'a\nb\r\n', eol: 'mixed' });
    expect(await readTextFile(root, 'empty')).toMatchObject({ text: '', eol: 'none' });
  });

  it('reads UTF-16 in both byte orders', async () => {
    const root = temporaryFolder({ le: Buffer.from('fffe61000a00', 'hex'), be: Buffer.from('feff0061000a', 'hex') });
    expect(await readTextFile(root, 'le')).toMatchObject({ text: 'a\n', encoding: 'utf16le', eol: 'lf' });
    expect(await readTextFile(root, 'be')).toMatchObject({ text: 'a\n', encoding: 'utf16be', eol: 'lf' });
  });

  it('refuses what is not text, and leaves it alone', async () => {
    const root = temporaryFolder({ binary: Buffer.from([0x61, 0xe9, 1]), nul: 'a\0b' });
    await expect(readTextFile(root, 'binary')).rejects.toEqual(code('FILE_NOT_TEXT'));
    await expect(readTextFile(root, 'nul')).rejects.toEqual(code('FILE_NOT_TEXT'));
  });

  it('refuses a file of 200 MB without reading it, with both sizes', async () => {
    const root = temporaryFolder({ large: '' });
    truncateSync(join(root, 'large'), 200 * 1024 * 1024);
    await expect(readTextFile(root, 'large')).rejects.toMatchObject({
      code: 'FILE_TOO_LARGE',
      message: 'large has 200 MB; the editor opens up to 32 MB.',
    });
  });

  it('refuses folders, also the root', async () => {
    const root = temporaryFolder({ 'folder/': '' });
    await expect(readTextFile(root, 'folder')).rejects.toEqual(code('FILE_IS_DIRECTORY'));
    await expect(readTextFile(root, '')).rejects.toEqual(code('FILE_IS_DIRECTORY'));
  });

  it('names what does not exist, and offers a hint', async () => {
    const root = temporaryFolder({ file: '' });
    await expect(readTextFile(root, 'a/b')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: 'a/b does not exist.',
      data: { hint: expect.any(String) },
    });
    await expect(readTextFile(root, 'file/b')).rejects.toEqual(code('FILE_NOT_FOUND'));
  });

  it.skipIf(!isPosix)('does not wait for the other end of a named pipe', async () => {
    const root = temporaryFolder();
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await expect(readTextFile(root, 'pipe')).rejects.toEqual(code('FILE_NOT_TEXT'));
  });

  it.skipIf(!isPosix)('goes by the permission bits, even for the superuser', async () => {
    const root = temporaryFolder({ a: '' });
    chmodSync(join(root, 'a'), 0o444);
    expect(await readTextFile(root, 'a')).toMatchObject({ isReadOnly: true });
  });

  it.skipIf(!isPosix)('says so when permission is missing', async () => {
    const root = temporaryFolder({ a: '' });
    chmodSync(join(root, 'a'), 0);
    await asOrdinaryUser(root, async () => {
      await expect(readTextFile(root, 'a')).rejects.toEqual(code('PERMISSION_DENIED'));
    });
  });

  it('gives equal content the same version, and other content another one', async () => {
    const root = temporaryFolder({ a: 'x', b: 'x', c: 'y' });
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((path) => readTextFile(root, path)));
    expect(a?.version).toBe(b?.version);
    expect(a?.version).not.toBe(c?.version);
  });
});

describe('writing', () => {
  it('replaces a file, returns its next version, and leaves no temporary file', async () => {
    const root = temporaryFolder({ a: 'old' });
    const { version } = await write(root, 'a', 'new');
    expect(content(root, 'a')).toBe('new');
    expect((await readTextFile(root, 'a')).version).toBe(version);
    await write(root, 'a', 'newer', { version });
    expect(content(root, 'a')).toBe('newer');
    expect(tree(root)).toEqual(['a']);
  });

  it('keeps encoding and mark', async () => {
    const root = temporaryFolder({ a: '' });
    await write(root, 'a', 'x', { encoding: 'utf16be' });
    expect(readFileSync(join(root, 'a')).toString('hex')).toBe('feff0078');
  });

  it('writes Windows-1252 byte for byte, and refuses what it cannot hold', async () => {
    const root = temporaryFolder({ a: Buffer.from('636166e9200a80', 'hex') });
    const { text, encoding, version } = await readTextFile(root, 'a');
    expect(text).toBe('café \n€');
    await write(root, 'a', `${text}!`, { encoding, version });
    expect(readFileSync(join(root, 'a')).toString('hex')).toBe('636166e9200a8021');
    await expect(write(root, 'a', 'café\n→', { encoding, overwrite: true })).rejects.toMatchObject({
      code: 'FILE_ENCODING',
      message: 'a is a Windows-1252 file, which cannot hold “→” of line 2.',
    });
    expect(readFileSync(join(root, 'a')).toString('hex')).toBe('636166e9200a8021');
    await write(root, 'a', 'café\n→', { overwrite: true });
    expect(content(root, 'a')).toBe('café\n→');
  });

  it('makes a new file and the folders on the way', async () => {
    const root = temporaryFolder();
    await write(root, 'src/deep/a.ts', 'x');
    expect(tree(root)).toEqual(['src/', 'src/deep/', 'src/deep/a.ts']);
  });

  it('brings a file back that was deleted since, and its folder', async () => {
    const root = temporaryFolder({ 'src/a': 'x' });
    const { version } = await readTextFile(root, 'src/a');
    rmSync(join(root, 'src'), { recursive: true });
    await write(root, 'src/a', 'y', { version });
    expect(content(root, 'src/a')).toBe('y');
  });

  it('does not bring the open folder itself back: its disk may only be unplugged', async () => {
    const parent = temporaryFolder({ 'root/a': 'x' });
    const root = join(parent, 'root');
    rmSync(root, { recursive: true });
    await expect(write(root, 'a', 'y')).rejects.toEqual(code('FILE_NOT_FOUND'));
    await expect(createDirectory(root, 'a/b')).rejects.toEqual(code('FILE_NOT_FOUND'));
    expect(tree(parent)).toEqual([]);
  });

  it('refuses to replace a file that changed since it was read', async () => {
    const root = temporaryFolder({ a: 'x' });
    const { version } = await readTextFile(root, 'a');
    writeFileSync(join(root, 'a'), 'theirs');
    await expect(write(root, 'a', 'mine', { version })).rejects.toEqual(code('FILE_CHANGED_ON_DISK'));
    expect(content(root, 'a')).toBe('theirs');
    writeFileSync(join(root, 'a'), 'x'); // and back: nothing to lose
    await write(root, 'a', 'mine', { version });
    expect(content(root, 'a')).toBe('mine');
  });

  it('refuses to replace a file that grew beyond what the editor opens', async () => {
    const root = temporaryFolder({ a: 'x' });
    const { version } = await readTextFile(root, 'a');
    truncateSync(join(root, 'a'), 40 * 1024 * 1024);
    await expect(write(root, 'a', 'mine', { version })).rejects.toEqual(code('FILE_CHANGED_ON_DISK'));
  });

  it('refuses a new file where one exists, and replaces it when told to', async () => {
    const root = temporaryFolder({ a: 'x' });
    await expect(write(root, 'a', 'y', { version: null })).rejects.toEqual(code('FILE_EXISTS'));
    expect(content(root, 'a')).toBe('x');
    await write(root, 'a', 'y', { version: null, overwrite: true });
    expect(content(root, 'a')).toBe('y');
  });

  it('refuses folders, also when told to overwrite', async () => {
    const root = temporaryFolder({ 'folder/a': '' });
    for (const path of ['folder', '']) {
      await expect(
        writeTextFile(root, { path, text: '', encoding: 'utf8', version: null, overwrite: true }),
      ).rejects.toEqual(code('FILE_IS_DIRECTORY'));
    }
    expect(tree(root)).toEqual(['folder/', 'folder/a']);
  });

  it('says so when a part of the path is a file', async () => {
    const root = temporaryFolder({ a: 'x' });
    await expect(write(root, 'a/b', 'y')).rejects.toMatchObject({ data: { hint: expect.any(String) } });
    expect(content(root, 'a')).toBe('x');
  });

  it.skipIf(!isPosix)('refuses a read-only file, even for the superuser, also when told to overwrite', async () => {
    const root = temporaryFolder({ a: 'x' });
    const { version } = await readTextFile(root, 'a');
    chmodSync(join(root, 'a'), 0o444);
    await expect(write(root, 'a', 'y', { version })).rejects.toEqual(code('FILE_READ_ONLY'));
    await expect(write(root, 'a', 'y', { overwrite: true })).rejects.toEqual(code('FILE_READ_ONLY'));
    expect(content(root, 'a')).toBe('x');
  });

  it.skipIf(!isPosix)('keeps the permissions', async () => {
    const root = temporaryFolder({ a: 'x', b: 'x' });
    chmodSync(join(root, 'a'), 0o751);
    chmodSync(join(root, 'b'), 0o600);
    await write(root, 'a', 'y');
    await write(root, 'b', 'y');
    expect(statSync(join(root, 'a')).mode & 0o7777).toBe(0o751);
    expect(statSync(join(root, 'b')).mode & 0o7777).toBe(0o600);
  });

  it.skipIf(!isSuperuser)('keeps owner, group and the bits that go with them', async () => {
    const root = temporaryFolder({ a: 'x' });
    chownSync(join(root, 'a'), 1234, 2345);
    chmodSync(join(root, 'a'), 0o6755);
    await write(root, 'a', 'y');
    const { uid, gid, mode } = statSync(join(root, 'a'));
    expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 1234, gid: 2345, mode: 0o6755 });
  });

  it('writes through a link inside, and leaves the link', async () => {
    const root = temporaryFolder({ 'a/file': 'x' });
    symlinkSync('a/file', join(root, 'link'));
    await write(root, 'link', 'y');
    expect(readlinkSync(join(root, 'link'))).toBe('a/file');
    expect(content(root, 'a/file')).toBe('y');
    expect(tree(root)).toEqual(['a/', 'a/file', 'link']);
  });

  it('makes what a dangling link leads to, and refuses one that leads outside', async () => {
    const parent = temporaryFolder({ 'root/': '' });
    const root = join(parent, 'root');
    symlinkSync('new/file', join(root, 'link'));
    symlinkSync('../stolen', join(root, 'out'));
    await write(root, 'link', 'y');
    expect(content(root, 'new/file')).toBe('y');
    await expect(write(root, 'out', 'y', { overwrite: true })).rejects.toEqual(code('OUTSIDE_WORKSPACE'));
    await expect(write(root, 'out/a', 'y')).rejects.toEqual(code('OUTSIDE_WORKSPACE'));
    expect(existsSync(join(parent, 'stolen'))).toBe(false);
  });

  it.skipIf(!isPosix)('keeps hard links together: both names show the new text', async () => {
    const root = temporaryFolder({ a: 'a long old text' });
    linkSync(join(root, 'a'), join(root, 'b'));
    await write(root, 'a', 'short');
    expect([content(root, 'a'), content(root, 'b')]).toEqual(['short', 'short']);
    await write(root, 'b', 'a longer text than before');
    expect(content(root, 'a')).toBe('a longer text than before');
    expect(tree(root)).toEqual(['a', 'b']);
  });

  it.skipIf(!isPosix)('writes a file that is writable in a folder that is not', async () => {
    const root = temporaryFolder({ 'locked/a': 'a long old text' });
    chmodSync(join(root, 'locked/a'), 0o666);
    chmodSync(join(root, 'locked'), 0o555);
    await asOrdinaryUser(root, async () => {
      await write(root, 'locked/a', 'new');
      await expect(write(root, 'locked/b', 'new')).rejects.toEqual(code('PERMISSION_DENIED'));
    });
    expect(content(root, 'locked/a')).toBe('new');
    expect(tree(root)).toEqual(['locked/', 'locked/a']);
    chmodSync(join(root, 'locked'), 0o755);
  });

  it.skipIf(!isSuperuser)('does not take a file from an owner to whom it cannot be given back', async () => {
    const root = temporaryFolder({ 'shared/a': 'old' });
    chmodSync(join(root, 'shared'), 0o777);
    chmodSync(join(root, 'shared/a'), 0o666);
    await asOrdinaryUser(root, () => write(root, 'shared/a', 'new'));
    expect(content(root, 'shared/a')).toBe('new');
    expect(statSync(join(root, 'shared/a')).uid).toBe(0);
    expect(tree(root)).toEqual(['shared/', 'shared/a']);
  });

  it('saves a file whose name is as long as names may be', async () => {
    const root = temporaryFolder();
    for (const name of ['x'.repeat(255), '語'.repeat(85), `${'a'.repeat(99)}${'😀'.repeat(39)}`]) {
      await write(root, name, 'x');
      await write(root, name, 'y');
      expect(content(root, name)).toBe('y');
    }
    await expect(write(root, 'x'.repeat(256), 'x')).rejects.toEqual(code('IO_ERROR'));
  });
});

describe.skipIf(!canMountDisks())('a full disk of one megabyte', () => {
  function smallDisk(): string {
    const root = temporaryFolder();
    onTestFinished(mountDisk(root, 'size=1m'));
    return root;
  }

  it('keeps the old content, says that the disk is full, and leaves nothing behind', async () => {
    const root = smallDisk();
    writeFileSync(join(root, 'a'), 'precious');
    const tooMuch = 'x'.repeat(2 * 1024 * 1024);
    await expect(write(root, 'a', tooMuch)).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: 'a does not fit: the disk is full.',
      data: { hint: 'Free some space and try again.' },
    });
    expect(content(root, 'a')).toBe('precious');
    await expect(write(root, 'new', tooMuch)).rejects.toEqual(code('DISK_FULL'));
    expect(tree(root)).toEqual(['a']);
  });

  it('keeps the old content of a file with two names', async () => {
    const root = smallDisk();
    writeFileSync(join(root, 'a'), 'precious');
    linkSync(join(root, 'a'), join(root, 'b'));
    await expect(write(root, 'a', 'x'.repeat(2 * 1024 * 1024))).rejects.toEqual(code('DISK_FULL'));
    expect(content(root, 'b')).toBe('precious');
    await write(root, 'a', 'fits');
    expect(content(root, 'b')).toBe('fits');
  });

  it('saves a small change of a file although there is no room for a second one', async () => {
    const root = smallDisk();
    writeFileSync(join(root, 'a'), 'x'.repeat(900 * 1024));
    await expect(write(root, 'a', 'y'.repeat(900 * 1024))).rejects.toEqual(code('DISK_FULL'));
    expect(content(root, 'a').startsWith('xxx')).toBe(true);
  });
});

it.each([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EROFS', 'FILE_READ_ONLY'],
  ['EACCES', 'PERMISSION_DENIED'],
  ['EIO', 'IO_ERROR'],
])('says %s as %s', (errno, expected) => {
  const error = Object.assign(new Error(`${errno}: no`), { code: errno });
  expect(toFileError(error, 'a.ts', 'saved')).toMatchObject({
    code: expected,
    message: expect.stringContaining('a.ts'),
    data: { detail: `${errno}: no` },
  });
});

it('leaves a bug a bug', () => {
  const bug = new TypeError('x is undefined');
  expect(toFileError(bug, 'a', 'saved')).toBe(bug);
});

describe('making folders', () => {
  it('makes the folders on the way, too', async () => {
    const root = temporaryFolder();
    await createDirectory(root, 'a/b/c');
    expect(tree(root)).toEqual(['a/', 'a/b/', 'a/b/c/']);
  });

  it('refuses what exists, and what is outside', async () => {
    const root = temporaryFolder({ 'a/': '', b: '' });
    for (const path of ['a', 'b', '']) {
      await expect(createDirectory(root, path), path).rejects.toEqual(code('FILE_EXISTS'));
    }
    await expect(createDirectory(root, '../c')).rejects.toEqual(code('OUTSIDE_WORKSPACE'));
  });
});

describe('renaming', () => {
  it('moves files and folders, and makes the folders on the way', async () => {
    const root = temporaryFolder({ 'src/a': 'x', b: 'y' });
    await renameEntry(root, 'src', 'lib/core');
    await renameEntry(root, 'b', 'lib/b');
    expect(tree(root)).toEqual(['lib/', 'lib/b', 'lib/core/', 'lib/core/a']);
  });

  it('never replaces anything', async () => {
    const root = temporaryFolder({ a: 'x', b: 'y', 'empty/': '', 'full/c': '' });
    for (const to of ['b', 'empty', 'full', 'full/c']) {
      await expect(renameEntry(root, 'a', to), to).rejects.toEqual(code('FILE_EXISTS'));
    }
    await expect(renameEntry(root, 'full', 'empty')).rejects.toEqual(code('FILE_EXISTS'));
    symlinkSync('nowhere', join(root, 'dangling'));
    await expect(renameEntry(root, 'a', 'dangling')).rejects.toEqual(code('FILE_EXISTS'));
    expect([content(root, 'a'), content(root, 'b')]).toEqual(['x', 'y']);
  });

  it.skipIf(!isPosix)('does not take two hard links for one name', async () => {
    const root = temporaryFolder({ a: 'x' });
    linkSync(join(root, 'a'), join(root, 'b'));
    await expect(renameEntry(root, 'a', 'b')).rejects.toEqual(code('FILE_EXISTS'));
  });

  it('moves a link itself, also one that leads outside or nowhere', async () => {
    const root = temporaryFolder({ 'a/file': '' });
    symlinkSync('a', join(root, 'link'));
    symlinkSync('/etc', join(root, 'out'));
    symlinkSync('nowhere', join(root, 'dangling'));
    for (const name of ['link', 'out', 'dangling']) await renameEntry(root, name, `${name}-2`);
    expect(lstatSync(join(root, 'link-2')).isSymbolicLink()).toBe(true);
    expect(tree(root)).toEqual(['a/', 'a/file', 'dangling-2', 'link-2', 'out-2']);
  });

  it('refuses the root, what is outside, what is missing, and a folder into itself', async () => {
    const root = temporaryFolder({ 'a/b': '' });
    mkdirSync(join(root, 'd'));
    for (const [from, to] of [
      ['', 'x'],
      ['a', ''],
      ['../x', 'x'],
      ['a', '../x'],
      ['a', 'd/../../x'],
    ] as const) {
      await expect(renameEntry(root, from, to), `${from} to ${to}`).rejects.toEqual(code('OUTSIDE_WORKSPACE'));
    }
    await expect(renameEntry(root, 'missing', 'deep/x')).rejects.toEqual(code('FILE_NOT_FOUND'));
    await expect(renameEntry(root, 'a', 'a/c')).rejects.toEqual(code('IO_ERROR'));
    expect(tree(root)).toEqual(['a/', 'a/b', 'd/']);
  });
});
