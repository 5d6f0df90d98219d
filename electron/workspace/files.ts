// Reading and writing single files of the open folder.
import { createHash, randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { access, chmod, chown, type FileHandle, lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { appError } from '../common/app-error.ts';
import type { WorkspaceFile } from '../common/workspace-contract.ts';
import { onFile } from './file-errors.ts';
import { resolveEntry, resolveInside } from './paths.ts';
import { decodeText, detectEol, encodeText } from './text-encoding.ts';

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
          hint: 'Outpost edits UTF-8 and UTF-16. The file was not changed; open it with another program.',
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
 * whatever fails. Missing folders on the way are made.
 * @return the version that the next write must name
 * @throws FILE_CHANGED_ON_DISK, FILE_EXISTS, FILE_READ_ONLY, DISK_FULL, PERMISSION_DENIED, OUTSIDE_WORKSPACE
 */
export function writeTextFile(root: string, request: WriteRequest): Promise<{ version: string }> {
  const { path, text, encoding } = request;
  return onFile(path, 'saved', async () => {
    if (path === '') throw appError('FILE_IS_DIRECTORY', 'The folder itself cannot be written.');
    const location = await resolveInside(root, path);
    const old = await stat(location).catch(ignoreMissing);
    if (old) await checkReplaceable(location, old, request);
    else await mkdir(dirname(location), { recursive: true });
    const bytes = encodeText(text, encoding);
    await replace(location, bytes, old);
    return { version: versionOf(bytes) };
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

async function replace(location: string, bytes: Buffer, old: Stats | null): Promise<void> {
  const temporary = join(
    dirname(location),
    `.${basename(location).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  try {
    const file = await open(temporary, 'wx', 0o666);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    if (old) {
      await chmod(temporary, old.mode & 0o7777);
      // Only the superuser may give files away; everybody else owns the file already or cannot keep its owner.
      if (process.getuid?.() === 0) await chown(temporary, old.uid, old.gid);
    }
    await rename(temporary, location);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export function createDirectory(root: string, path: string): Promise<void> {
  return onFile(path, 'created', async () => {
    const location = await resolveInside(root, path);
    await mkdir(dirname(location), { recursive: true });
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
    if (existing && existing.ino !== entry.ino) {
      throw appError('FILE_EXISTS', `${to} exists already.`, { hint: 'Choose another name.' });
    }
    await mkdir(dirname(target), { recursive: true });
    await rename(source, target);
  });
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
