// Folders: their entries for the tree, and all files below for quick open.
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Entry } from '../common/workspace-contract.ts';
import { onFile } from './file-errors.ts';
import { resolveInside } from './paths.ts';

/** Made by tools, large, and rarely read by people: shown dimmed, left out of quick open. */
export const ignoredNames: ReadonlySet<string> = new Set(
  ['.git', '.hg', '.svn', 'node_modules', 'bower_components', '__pycache__', '.venv', 'venv', '.tox', '.mypy_cache']
    .concat(['.pytest_cache', 'build', 'dist', 'out', 'target', '.next', '.turbo', '.gradle', '.idea', '.cache'])
    .concat(['coverage', '.DS_Store', 'Thumbs.db']),
);

const byName = new Intl.Collator('en', { numeric: true }).compare;

/** Where version control keeps its own: to open or change something there by hand breaks it. Not shown at all. */
const hiddenNames: ReadonlySet<string> = new Set(['.git', '.hg', '.svn']);

/** Directories first, then files, each by name. A link counts as what it leads to; a broken one as a file. */
export function listDirectory(root: string, path: string): Promise<Entry[]> {
  return onFile(path, 'listed', async () => {
    const location = await resolveInside(root, path);
    const found = (await readdir(location, { withFileTypes: true })).filter(({ name }) => !hiddenNames.has(name));
    const entries = await Promise.all(found.map((entry) => toEntry(entry, location, path)));
    return entries.sort((a, b) => (a.kind === b.kind ? byName(a.name, b.name) : a.kind === 'directory' ? -1 : 1));
  });
}

async function toEntry(entry: Dirent, location: string, parent: string): Promise<Entry> {
  const { name } = entry;
  const info = entry.isSymbolicLink() ? await stat(join(location, name)).catch(() => null) : entry;
  return {
    name,
    path: childPath(parent, name),
    kind: info?.isDirectory() ? 'directory' : 'file',
    ignored: ignoredNames.has(name),
  };
}

/**
 * Breadth first, so that a limit keeps what is near the top. Links to folders are neither followed nor listed.
 * @param below a folder in `root` @throws OUTSIDE_WORKSPACE
 */
export async function findFiles(
  root: string,
  limit: number,
  below = '',
): Promise<{ paths: string[]; truncated: boolean }> {
  if (below !== '') await onFile(below, 'listed', () => resolveInside(root, below));
  const paths: string[] = [];
  const waiting = [below];
  for (let directory = waiting.shift(); directory !== undefined; directory = waiting.shift()) {
    const entries = await readdir(join(root, directory), { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((a, b) => byName(a.name, b.name))) {
      if (ignoredNames.has(entry.name)) continue;
      const path = childPath(directory, entry.name);
      if (entry.isDirectory()) waiting.push(path);
      else if (entry.isFile() || (entry.isSymbolicLink() && !(await leadsToFolder(join(root, path))))) {
        if (paths.length === limit) return { paths, truncated: true };
        paths.push(path);
      }
    }
  }
  return { paths, truncated: false };
}

function leadsToFolder(link: string): Promise<boolean> {
  return stat(link).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

function childPath(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}
