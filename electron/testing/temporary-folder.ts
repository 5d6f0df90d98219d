// Real folders and files for tests. Each is removed when its test ends.
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** @returns its absolute path, free of links */
export function temporaryFolder(files: Record<string, string | Uint8Array> = {}): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'outpost-test-')));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  writeFiles(root, files);
  return root;
}

/** Makes the folders on the way, too. A name that ends in "/" is an empty folder. */
export function writeFiles(root: string, files: Record<string, string | Uint8Array>): void {
  for (const [path, content] of Object.entries(files)) {
    const location = join(root, path);
    mkdirSync(path.endsWith('/') ? location : dirname(location), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(location, content);
  }
}

/** Every entry below a folder by its path, sorted, folders with a "/" at their end. */
export function tree(root: string, below = ''): string[] {
  return readdirSync(join(root, below))
    .sort()
    .flatMap((name) => {
      const path = below === '' ? name : `${below}/${name}`;
      return lstatSync(join(root, path)).isDirectory() ? [`${path}/`, ...tree(root, path)] : [path];
    });
}

/**
 * Runs `body` as somebody whom the permissions of `folder` bind: the superuser becomes "nobody" meanwhile. What is
 * to be reachable must be made so before.
 */
export async function asOrdinaryUser<T>(folder: string, body: () => Promise<T>): Promise<T> {
  const { seteuid, setegid, getuid } = process;
  if (seteuid === undefined || setegid === undefined || getuid?.() !== 0) return body();
  const nobody = 65534;
  chmodSync(folder, 0o755);
  setegid(nobody);
  seteuid(nobody);
  try {
    return await body();
  } finally {
    seteuid(0);
    setegid(0);
  }
}
