// Tells what changes on disk. Only folders that were listed, or that hold a file that was read, are watched: that
// is everything the window shows, and it costs the same in a small project and in one with a million files.
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { WorkspaceEvent } from '../common/workspace-contract.ts';

/** Editors save in bursts of several operations. */
const debounceMs = 120;
const rootCheckMs = 1500;
/** The operating system limits watches; the folder that was used least recently gives way. */
const mostDirectories = 2000;

export class Watcher {
  readonly #root: string;
  readonly #onEvent: (event: WorkspaceEvent) => void;
  /** By workspace path; iteration order is the order of use. */
  readonly #watchers = new Map<string, { watcher: FSWatcher; location: string }>();
  #directories = new Set<string>();
  #files = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  readonly #rootTimer: NodeJS.Timeout;
  #isRootGone = false;

  /** @param root as `realpath` gives it */
  constructor(root: string, onEvent: (event: WorkspaceEvent) => void) {
    this.#root = root;
    this.#onEvent = onEvent;
    this.#rootTimer = setInterval(() => void this.#checkRoot(), rootCheckMs);
  }

  /** @param directory workspace path @param location where it is, links resolved */
  add(directory: string, location: string): void {
    const known = this.#watchers.get(directory);
    if (known) {
      this.#watchers.delete(directory);
      this.#watchers.set(directory, known);
      return;
    }
    this.#open(directory, location);
    const [oldest] = this.#watchers.keys();
    if (this.#watchers.size > mostDirectories && oldest !== undefined) this.#remove(oldest);
  }

  close(): void {
    clearInterval(this.#rootTimer);
    clearTimeout(this.#timer);
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #open(directory: string, location: string): void {
    try {
      const watcher = watch(location, (event, name) => {
        this.#changed(directory, name);
        // Its own name: the folder was removed or moved, and perhaps there is another one by now. (Or an entry of it
        // has the same name; then nothing is lost.)
        if (event === 'rename' && name === basename(location)) this.#renew(directory);
      });
      watcher.on('error', () => this.#remove(directory));
      this.#watchers.set(directory, { watcher, location });
    } catch {
      // Gone, the limit of the system, or a file system without events: the window still works, without updates.
    }
  }

  /** Watches what is now where `directory` and the folders below it were. */
  #renew(directory: string): void {
    const isBelow = (path: string) => directory === '' || path === directory || path.startsWith(`${directory}/`);
    for (const [path, { watcher, location }] of [...this.#watchers].filter(([path]) => isBelow(path))) {
      this.#watchers.delete(path);
      this.#open(path, location);
      watcher.close(); // after the new one is open: no event falls in between
    }
  }

  #remove(directory: string): void {
    this.#watchers.get(directory)?.watcher.close();
    this.#watchers.delete(directory);
  }

  #changed(directory: string, name: string | null): void {
    this.#directories.add(directory);
    if (name !== null) this.#files.add(directory === '' ? name : `${directory}/${name}`);
    this.#timer ??= setTimeout(() => this.#flush(), debounceMs);
  }

  #flush(): void {
    this.#timer = undefined;
    this.#onEvent({ type: 'changed', directories: [...this.#directories], files: [...this.#files] });
    this.#directories = new Set();
    this.#files = new Set();
  }

  async #checkRoot(): Promise<void> {
    const isGone = await stat(this.#root).then(
      (info) => !info.isDirectory(),
      () => true,
    );
    if (isGone === this.#isRootGone) return;
    this.#isRootGone = isGone;
    // Watches of the old folder hear nothing of a new one with its name.
    for (const directory of [...this.#watchers.keys()]) this.#remove(directory);
    this.#onEvent({ type: isGone ? 'rootGone' : 'rootBack' });
  }
}
