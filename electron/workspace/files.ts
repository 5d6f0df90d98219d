// Reading and writing single files of the open folder.
import { createHash, randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { access, type FileHandle, lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { appError } from '../common/app-error.ts';
import type { WorkspaceFile } from '../common/workspace-contract.ts';
import { onFile } from './file-errors.ts';
import { resolveEntry, resolveInside } from './paths.ts';
import { decodeText, detectEol, encodeText } from './text-encoding.ts';
import { foreignCharacter } from './windows-1252.ts';

/** What the editor stays pleasant with. */
const largestBytes = 32 * 1024 * 1024;

export interface WriteRequest {
  path: string;
  text: string;
  encoding: WorkspaceFile['encoding'];
  version: string | null;
  overwrite: boolean;
}

/** Two files with the same content have the same version, so a file that was only touched is not a conflict. */
function versionOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(bytes < 10 * 1024 * 1024 ? 1 : 0)} MB`;
}

/** @throws FILE_NOT_FOUND, FILE_TOO_LARGE, FILE_NOT_TEXT, FILE_IS_DIRECTORY, PERMISSION_DENIED, OUTSIDE_WORKSPACE */
export function readTextFile(root: string, path: string): Promise<WorkspaceFile> {
  return onFile(path, 'read', async () => {
    const location = await resolveInside(root, path);
    // Not blocking: opening a named pipe would wait for its other end for ever.
    const file = await open(location, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const info = await file.stat();
      const bytes = await readBytes(file, info, path);
      const decoded = decodeText(bytes);
      if (decoded === null) {
        throw appError('FILE_NOT_TEXT', `${path} is not a text file.`, {
          hint: 'Outpost edits UTF-8, UTF-16 and Windows-1252. The file was not changed; open it with another program.',
        });
      }
      const isReadOnly = !(await isWritable(location, info));
      return { path, ...decoded, eol: detectEol(decoded.text), isReadOnly, version: versionOf(bytes) };
    } finally {
      await file.close();
    }
  });
}

async function readBytes(file: FileHandle, info: Stats, path: string): Promise<Buffer> {
  if (info.isDirectory()) {
    throw appError('FILE_IS_DIRECTORY', `${path} is a folder.`, { hint: 'Open a file inside of it.' });
  }
  if (!info.isFile()) throw appError('FILE_NOT_TEXT', `${path} is a device or a pipe, not a file.`);
  if (info.size > largestBytes) {
    throw appError(
      'FILE_TOO_LARGE',
      `${path} has ${megabytes(info.size)}; the editor opens up to ${megabytes(largestBytes)}.`,
      {
        hint: 'The file was not changed; open it with another program.',
      },
    );
  }
  return file.readFile();
}

/** The permission bits count even where the superuser could ignore them: they tell what the owner wants. */
async function isWritable(location: string, { mode }: Stats): Promise<boolean> {
  if ((mode & 0o222) === 0) return false;
  return access(location, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Replaces a file by another of the same name, in one step: at every moment the old or the new content is on disk,
 * whatever fails. Only a file that cannot be replaced (see `replace`) is written in place. Missing folders on the way
 * are made.
 * @return the version that the next write must name
 * @throws FILE_CHANGED_ON_DISK, FILE_ENCODING, FILE_EXISTS, FILE_READ_ONLY, DISK_FULL, PERMISSION_DENIED, OUTSIDE_WORKSPACE
 */
export function writeTextFile(root: string, request: WriteRequest): Promise<{ version: string }> {
  const { path, text, encoding } = request;
  return onFile(path, 'saved', async () => {
    if (path === '') throw appError('FILE_IS_DIRECTORY', 'The folder itself cannot be written.');
    checkCharacters(request);
    const location = await resolveInside(root, path);
    const old = await stat(location).catch(ignoreMissing);
    if (old) await checkReplaceable(location, old, request);
    else await makeParents(root, location);
    const bytes = encodeText(text, encoding);
    await replace(location, bytes, old);
    return { version: versionOf(bytes) };
  });
}

function checkCharacters({ path, text, encoding }: WriteRequest): void {
  const foreign = encoding === 'windows1252' ? foreignCharacter(text) : null;
  if (foreign === null) return;
  const line = text.slice(0, text.indexOf(foreign)).split('\n').length;
  throw appError('FILE_ENCODING', `${path} is a Windows-1252 file, which cannot hold “${foreign}” of line ${line}.`, {
    hint: 'Save it as UTF-8, or take the character out.',
  });
}

async function checkReplaceable(
  location: string,
  old: Stats,
  { path, version, overwrite }: WriteRequest,
): Promise<void> {
  if (!old.isFile()) throw appError('FILE_IS_DIRECTORY', `${path} is not a file.`, { hint: 'Choose another name.' });
  if (!(await isWritable(location, old))) {
    throw appError('FILE_READ_ONLY', `${path} is read-only.`, {
      hint: 'Save it under another name, or change its permissions. Your text is kept here.',
    });
  }
  if (overwrite) return;
  if (version === null) throw appError('FILE_EXISTS', `${path} exists already.`, { hint: 'Choose another name.' });
  const file = await open(location, 'r');
  try {
    if (old.size <= largestBytes && versionOf(await file.readFile()) === version) return;
  } finally {
    await file.close();
  }
  throw appError('FILE_CHANGED_ON_DISK', `${path} changed on disk since it was opened.`, {
    hint: 'Compare both versions, then keep one of them.',
  });
}

/** What replacing meets: a folder that takes no new file, an owner that it cannot get back, a mounted file. */
const refusals = new Set<string | undefined>(['EACCES', 'EPERM', 'EBUSY']);

/** The new file has the owner and the permissions of the old one. Where that is impossible, the old one stays. */
async function replace(location: string, bytes: Buffer, old: Stats | null): Promise<void> {
  if (old && old.nlink > 1) return overwrite(location, bytes); // a new file would part what hard links hold together
  try {
    await replaceByRename(location, bytes, old);
  } catch (error) {
    if (old === null || !refusals.has((error as NodeJS.ErrnoException).code)) throw error;
    await overwrite(location, bytes);
  }
}

async function replaceByRename(location: string, bytes: Buffer, old: Stats | null): Promise<void> {
  const temporary = join(dirname(location), `.outpost-${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', old ? 0o600 : 0o666); // nobody reads what the old file kept private
    try {
      await file.writeFile(bytes);
      if (old) {
        const { uid, gid } = await file.stat();
        if (uid !== old.uid || gid !== old.gid) await file.chown(old.uid, old.gid);
        await file.chmod(old.mode & 0o7777); // after chown, which takes some of the bits away
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, location);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes in place. An error puts the old content back; only a crash in the middle can leave a mixture. */
async function overwrite(location: string, bytes: Buffer): Promise<void> {
  const file = await open(location, 'r+');
  try {
    const old = await file.readFile();
    try {
      await fill(file, bytes);
    } catch (error) {
      await fill(file, old);
      throw error;
    }
  } finally {
    await file.close();
  }
}

async function fill(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten;
  await file.truncate(bytes.length);
  await file.sync();
}

/** Makes the folders on the way, but never the open folder itself: its disk may only be unplugged. */
async function makeParents(root: string, location: string): Promise<void> {
  if ((await stat(root).catch(ignoreMissing)) === null) {
    throw appError('FILE_NOT_FOUND', 'The open folder does not exist any more.', {
      hint: 'Bring it back, or open another folder.',
    });
  }
  await mkdir(dirname(location), { recursive: true });
}

export function createDirectory(root: string, path: string): Promise<void> {
  return onFile(path, 'created', async () => {
    const location = await resolveInside(root, path);
    if (path !== '') await makeParents(root, location);
    await mkdir(location);
  });
}

/** Moves a file or a folder; a link is moved itself, not what it leads to. Never replaces anything. */
export function renameEntry(root: string, from: string, to: string): Promise<void> {
  return onFile(from, 'renamed', async () => {
    if (from === '' || to === '') throw appError('OUTSIDE_WORKSPACE', 'The open folder itself cannot be renamed here.');
    const source = await resolveEntry(root, from);
    const target = await resolveEntry(root, to);
    const existing = await lstat(target).catch(ignoreMissing);
    const entry = await lstat(source);
    // On a file system that ignores case, "readme" and "README" are one entry: renaming it is no collision.
    const isSame = existing?.ino === entry.ino && fold(from) === fold(to);
    if (existing && !isSame) {
      throw appError('FILE_EXISTS', `${to} exists already.`, { hint: 'Choose another name.' });
    }
    await makeParents(root, target);
    await rename(source, target);
  });
}

function fold(path: string): string {
  return path.normalize().toLowerCase();
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
