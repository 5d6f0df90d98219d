// The open folder, as the workspace process serves it.
import { realpath, stat } from 'node:fs/promises';
import { implement } from '@orpc/server';
import { appError } from '../common/app-error.ts';
import { EventStream } from '../common/event-stream.ts';
import { type WorkspaceEvent, workspaceContract, workspaceControlContract } from '../common/workspace-contract.ts';
import { onFile } from './file-errors.ts';
import { createDirectory, readTextFile, renameEntry, writeTextFile } from './files.ts';
import { branches, commit, discard, gitStatus, headText, stage, switchBranch, unstage } from './git/git.ts';
import { findFiles, listDirectory } from './listing.ts';
import { resolveInside } from './paths.ts';
import { search } from './search.ts';
import { SimilarParts } from './similar.ts';
import { homeTrash, Trash } from './trash.ts';
import { Watcher } from './watcher.ts';

export class Workspace {
  #root: string | null = null;
  #watcher: Watcher | null = null;
  #lastSet: Promise<void> = Promise.resolve();
  /** Outlives the root: a subscription made before a folder is opened hears of every later one. */
  readonly #events = new EventStream<WorkspaceEvent>();
  readonly #searchProgram: string;
  readonly #similarParts = new SimilarParts();
  readonly #trash = new Trash(homeTrash());

  /** @param searchProgram ripgrep */
  constructor(searchProgram: string) {
    this.#searchProgram = searchProgram;
  }

  /** What the renderer may call. */
  router() {
    const os = implement(workspaceContract);
    return os.router({
      // Watched first: a change between the two is told instead of missed.
      list: os.list.handler(async ({ input: { path } }) => {
        await this.#watch(path);
        return listDirectory(this.#openRoot(), path);
      }),
      read: os.read.handler(async ({ input: { path } }) => {
        await this.#watch(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
        return readTextFile(this.#openRoot(), path);
      }),
      write: os.write.handler(({ input }) => writeTextFile(this.#openRoot(), input)),
      createDirectory: os.createDirectory.handler(async ({ input: { path } }) => {
        await createDirectory(this.#openRoot(), path);
        return {};
      }),
      rename: os.rename.handler(async ({ input: { from, to } }) => {
        await renameEntry(this.#openRoot(), from, to);
        return {};
      }),
      trash: os.trash.handler(async ({ input: { path } }) => ({ id: await this.#trash.put(this.#openRoot(), path) })),
      restore: os.restore.handler(async ({ input: { id } }) => ({
        path: await this.#trash.restore(this.#openRoot(), id),
      })),
      findFiles: os.findFiles.handler(({ input: { limit, below } }) => findFiles(this.#openRoot(), limit, below)),
      similar: os.similar.handler(async ({ input, signal }) => ({
        part: await this.#similarParts.find(this.#openRoot(), input, signal),
      })),
      search: os.search.handler(({ input, signal }) => search(this.#searchProgram, this.#openRoot(), input, signal)),
      git: {
        status: os.git.status.handler(({ signal }) => {
          const root = this.#openRoot();
          const watcher = this.#watcher;
          return gitStatus(root, signal, (gitFolder) => {
            if (watcher === this.#watcher) watcher?.add('.git', gitFolder);
          });
        }),
        stage: os.git.stage.handler(({ input }) => done(stage(this.#openRoot(), input.paths, input))),
        unstage: os.git.unstage.handler(({ input }) => done(unstage(this.#openRoot(), input.paths, input))),
        discard: os.git.discard.handler(({ input }) => {
          const root = this.#openRoot();
          const trash = {
            put: (path: string) => this.#trash.put(root, path),
            restore: (id: string) => this.#trash.restore(root, id),
          };
          return done(discard(root, input.paths, input, trash));
        }),
        commit: os.git.commit.handler(({ input }) => done(commit(this.#openRoot(), input.message, input))),
        branches: os.git.branches.handler(() => branches(this.#openRoot())),
        switchBranch: os.git.switchBranch.handler(({ input }) =>
          done(switchBranch(this.#openRoot(), input.name, input.isNew, input)),
        ),
        headText: os.git.headText.handler(async ({ input: { path } }) => ({
          text: await headText(this.#openRoot(), path),
        })),
      },
      watch: os.watch.handler(({ signal }) => this.#events.subscribe(signal)),
    });
  }

  /** What only main may call. */
  controlRouter() {
    const os = implement(workspaceControlContract);
    return os.router({
      setRoot: os.setRoot.handler(async ({ input: { root } }) => {
        await this.setRoot(root);
        return {};
      }),
    });
  }

  /**
   * One call after the other, so that the last one decides.
   * @throws FILE_NOT_FOUND, PERMISSION_DENIED; the folder that was open stays open then
   */
  setRoot(root: string | null): Promise<void> {
    const isSet = this.#lastSet.then(() => this.#setRoot(root));
    this.#lastSet = isSet.catch(() => {});
    return isSet;
  }

  async #setRoot(root: string | null): Promise<void> {
    const resolved = root === null ? null : await onFile(root, 'opened', () => resolveFolder(root));
    this.#watcher?.close();
    this.#root = resolved;
    this.#watcher = resolved === null ? null : new Watcher(resolved, (event) => this.#events.push(event));
  }

  #openRoot(): string {
    if (this.#root === null) throw appError('NO_WORKSPACE', 'No folder is open.', { hint: 'Open a folder first.' });
    return this.#root;
  }

  async #watch(directory: string): Promise<void> {
    const root = this.#openRoot();
    const watcher = this.#watcher;
    const location = await resolveInside(root, directory).catch(() => null);
    // Only while it is the watcher of this root: a location in another one is none of its business.
    if (location !== null && watcher === this.#watcher) watcher?.add(directory, location);
  }
}

/** The answer of a call that has none. */
async function done(work: Promise<void>): Promise<Record<string, never>> {
  await work;
  return {};
}

async function resolveFolder(path: string): Promise<string> {
  const resolved = await realpath(path);
  if (!(await stat(resolved)).isDirectory()) {
    throw appError('FILE_NOT_FOUND', `${path} is not a folder.`, { hint: 'Choose a folder.' });
  }
  return resolved;
}
