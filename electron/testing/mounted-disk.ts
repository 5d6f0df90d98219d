// Disks that are full or that nobody can write, made of memory. Only the superuser can mount one, and in many containers
// not even he.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Mounts one over a folder. @param options of mount(8), such as "size=1m" @return takes it off again */
export function mountDisk(folder: string, options: string): () => void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'pipe' });
  return () => void execFileSync('umount', ['--lazy', folder]);
}

/** Whether tests can mount disks here. */
export function canMountDisks(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), 'outpost-mount-'));
  try {
    mountDisk(folder, 'size=64k')();
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
