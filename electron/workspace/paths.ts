// From a path of the renderer to a place on disk. The only way in: nothing else in this process joins paths with
// the root.
import { readlink, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { appError } from '../common/app-error.ts';

/** `location` is `root` or below it; both absolute and free of links. */
export function isInside(root: string, location: string): boolean {
  const path = relative(root, location);
  return path === '' || (path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path)); // absolute: on another drive
}

/** @throws OUTSIDE_WORKSPACE for anything but "a/b/c": no "..", no empty segment, no drive, no NUL */
export function pathSegments(path: string): string[] {
  if (path === '') return [];
  const parts = path.split('/');
  const isPlain = (part: string) =>
    part !== '' && part !== '.' && part !== '..' && !part.includes('\0') && (sep === '/' || !/[\\:]/.test(part));
  if (!parts.every(isPlain)) throw outside(path);
  return parts;
}

/**
 * The absolute location of a workspace path, with every link on the way resolved. The last part need not exist.
 * @param root absolute, as `realpath` gives it
 * @throws OUTSIDE_WORKSPACE if it, or what it links to, is not below the root
 */
export async function resolveInside(root: string, path: string): Promise<string> {
  const location = await resolveLinks(join(root, ...pathSegments(path)));
  if (!isInside(root, location)) throw outside(path);
  return location;
}

/**
 * Like `resolveInside`, but the last part is the entry itself: a link is not followed.
 * @throws OUTSIDE_WORKSPACE
 */
export async function resolveEntry(root: string, path: string): Promise<string> {
  const parts = pathSegments(path);
  const name = parts.pop();
  if (name === undefined) throw outside('The folder itself');
  return join(await resolveInside(root, parts.join('/')), name);
}

/**
 * Resolves what exists and keeps the rest of the path as it is: a new file in a folder that is yet to be made. A link
 * to nothing counts as what it leads to, or writing to it could make that, wherever it is.
 */
async function resolveLinks(location: string): Promise<string> {
  try {
    return await realpath(location);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' || dirname(location) === location) throw error;
    const entry = join(await resolveLinks(dirname(location)), basename(location));
    const target = await readlink(entry).catch(() => null);
    return target === null ? entry : resolveLinks(resolve(dirname(entry), target));
  }
}

function outside(path: string) {
  return appError('OUTSIDE_WORKSPACE', `${path} is not inside the open folder.`, {
    hint: 'Outpost reads and writes only what lies in the folder that you opened.',
  });
}
