// Deleting that can be undone: entries go to the trash of the desktop, as the freedesktop.org Trash specification 1.0
// says (a file in `files`, and a note in `info` that tells where it came from), so that file managers show them and
// can bring them back, too. On macOS the trash is a plain folder.
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { appError } from '../common/app-error.ts';
import { onFile } from './file-errors.ts';
import { resolveEntry } from './paths.ts';

interface Trashed {
  root: string;
  path: string;
  /** Where it is now, and the note beside it. */
  location: string;
  note: string | null;
}

/** The user's own trash; null where a file cannot simply be moved there. */
export function homeTrash(): string | null {
  if (process.platform === 'win32') return null;
  if (process.platform === 'darwin') return join(homedir(), '.Trash');
  return join(process.env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'Trash');
}

export class Trash {
  readonly #home: string | null;
  readonly #trashed = new Map<string, Trashed>();

  /** @param home where entries of the user's own disk go */
  constructor(home: string | null) {
    this.#home = home;
  }

  /** @returns what `restore` takes @throws FILE_NOT_FOUND, PERMISSION_DENIED, IO_ERROR, OUTSIDE_WORKSPACE */
  put(root: string, path: string): Promise<string> {
    return onFile(path, 'moved to the trash', async () => {
      const entry = await resolveEntry(root, path);
      await lstat(entry);
      const { folder, from } = await this.#folderFor(entry);
      const trashed = process.platform === 'darwin' ? await moveTo(folder, entry) : await file(folder, entry, from);
      const id = randomUUID();
      this.#trashed.set(id, { root, path, ...trashed });
      return id;
    });
  }

  /** @returns its path in the workspace @throws NOT_FOUND, FILE_EXISTS if there is something else by now */
  async restore(root: string, id: string): Promise<string> {
    const trashed = this.#trashed.get(id);
    if (trashed === undefined || trashed.root !== root) {
      throw appError('NOT_FOUND', 'This cannot be brought back from here any more.', {
        hint: 'It is in the trash of your desktop.',
      });
    }
    const { path, location, note } = trashed;
    await onFile(path, 'brought back', async () => {
      const target = await resolveEntry(root, path);
      const isTaken = await lstat(target).then(
        () => true,
        () => false,
      );
      if (isTaken) throw appError('FILE_EXISTS', `${path} exists already.`, { hint: 'Rename it first.' });
      await mkdir(dirname(target), { recursive: true });
      await rename(location, target);
      if (note !== null) await rm(note, { force: true });
    });
    this.#trashed.delete(id);
    return path;
  }

  /** A rename cannot cross disks: an entry of another one goes to the trash at the top of that. */
  async #folderFor(entry: string): Promise<{ folder: string; from: string }> {
    if (this.#home === null) {
      throw appError('IO_ERROR', 'Outpost cannot move files to the trash on this system yet.', {
        hint: 'Delete it with the file manager.',
      });
    }
    const { dev } = await lstat(dirname(entry));
    await mkdir(this.#home, { recursive: true, mode: 0o700 });
    if ((await stat(this.#home)).dev === dev || process.getuid === undefined)
      return { folder: this.#home, from: entry };
    let top = dirname(entry);
    while (dirname(top) !== top && (await stat(dirname(top))).dev === dev) top = dirname(top);
    return { folder: join(top, `.Trash-${process.getuid()}`), from: relative(top, entry) };
  }
}

async function file(folder: string, entry: string, from: string): Promise<Pick<Trashed, 'location' | 'note'>> {
  const [files, info] = [join(folder, 'files'), join(folder, 'info')];
  // Not `recursive`, which says of a read-only disk that something does not exist.
  for (const needed of [folder, files, info]) await mkdir(needed, { mode: 0o700 }).catch(ignoreExisting);
  for (let n = 1; ; n++) {
    const name = n === 1 ? basename(entry) : `${basename(entry)}.${n}`;
    const note = join(info, `${name}.trashinfo`);
    // The note claims the name, also against other programs.
    const handle = await open(note, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return null;
      throw error;
    });
    if (handle === null) continue;
    try {
      await handle.writeFile(trashInfo(from, new Date()));
    } finally {
      await handle.close();
    }
    const location = join(files, name);
    try {
      await rename(entry, location);
    } catch (error) {
      await rm(note, { force: true });
      throw error;
    }
    return { location, note };
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

async function moveTo(folder: string, entry: string): Promise<Pick<Trashed, 'location' | 'note'>> {
  const location = join(folder, `${basename(entry)} ${randomUUID().slice(0, 8)}`);
  await rename(entry, location);
  return { location, note: null };
}

/** @param from absolute, or relative to the top of its disk */
export function trashInfo(from: string, at: Date): string {
  const path = from.split('/').map(encodeURIComponent).join('/');
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  return `[Trash Info]\nPath=${path}\nDeletionDate=${local}\n`;
}
