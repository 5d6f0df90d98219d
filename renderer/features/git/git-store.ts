// The repository of the open folder, as the window sees it: looked at again shortly after anything changes.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { GitFile, GitStatus } from '../../../electron/common/git-contract.ts';
import { ancestors } from '../../lib/paths.ts';

export interface GitState {
  /** Null until it was looked at. */
  status: GitStatus | null;
  error: ErrorInfo | null;
  message: string;
  /** What runs: nothing else can be started meanwhile. */
  busy: string | null;
  /** The user lets the programs that the repository names run, until another folder is opened. */
  mayRunPrograms: boolean;
  /** The open text that is compared with the last commit, and that commit's text of it. */
  compared: { bufferId: string; original: string } | null;
}

const kInitial: GitState = {
  status: null,
  error: null,
  message: '',
  busy: null,
  mayRunPrograms: false,
  compared: null,
};

/** Several files change in a row; a look takes git some tens of milliseconds. */
const kDelayMs = 250;

export class GitStore {
  readonly store: StoreApi<GitState> = createStore<GitState>(() => kInitial);
  readonly #git: WorkspaceApi['git'];
  readonly #onDone: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #look: AbortController | null = null;

  /** @param onDone something changed files on disk */
  constructor(git: WorkspaceApi['git'], onDone: () => void) {
    this.#git = git;
    this.#onDone = onDone;
  }

  /** Another folder is open, or none. */
  reset(hasFolder: boolean): void {
    clearTimeout(this.#timer);
    this.#look?.abort();
    this.#look = null;
    this.store.setState(kInitial);
    if (hasFolder) void this.refresh();
  }

  /** Something may have changed. */
  changed(): void {
    if (this.store.getState().status === null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), kDelayMs);
  }

  async refresh(): Promise<void> {
    this.#look?.abort();
    const look = new AbortController();
    this.#look = look;
    try {
      const status = await this.#git.status(undefined, { signal: look.signal });
      if (this.#look === look) this.store.setState({ status, error: null });
    } catch (error) {
      if (this.#look === look && !look.signal.aborted) this.store.setState({ error: toErrorInfo(error) });
    }
  }

  setMessage(message: string): void {
    this.store.setState({ message });
  }

  setMayRunPrograms(mayRunPrograms: boolean): void {
    this.store.setState({ mayRunPrograms });
  }

  stage(paths: readonly string[]): Promise<boolean> {
    return this.#run('Staging', (allowed) => this.#git.stage({ paths: [...paths], ...allowed }));
  }

  stageAll(): Promise<boolean> {
    return this.#run('Staging', (allowed) => this.#git.stage({ paths: null, ...allowed }));
  }

  unstage(paths: readonly string[]): Promise<boolean> {
    return this.#run('Unstaging', (allowed) => this.#git.unstage({ paths: [...paths], ...allowed }));
  }

  discard(paths: readonly string[]): Promise<boolean> {
    return this.#run('Discarding', (allowed) => this.#git.discard({ paths: [...paths], ...allowed }));
  }

  /** Commits what is staged, or everything if nothing is. */
  async commit(): Promise<boolean> {
    const { message, status } = this.store.getState();
    if (message.trim() === '' || status?.state !== 'repository') return false;
    const { staged } = groups(status.files);
    const isDone = await this.#run('Committing', async (allowed) => {
      if (staged.length === 0) await this.#git.stage({ paths: null, ...allowed });
      await this.#git.commit({ message: message.trim(), ...allowed });
    });
    if (isDone) this.store.setState({ message: '' });
    return isDone;
  }

  branches(): Promise<string[]> {
    return this.#git.branches();
  }

  switchTo(name: string, isNew: boolean): Promise<boolean> {
    return this.#run('Switching', (allowed) => this.#git.switchBranch({ name, isNew, ...allowed }));
  }

  async compare(bufferId: string, path: string): Promise<void> {
    try {
      const { text } = await this.#git.headText({ path });
      this.store.setState({ compared: { bufferId, original: text ?? '' } });
    } catch (error) {
      this.store.setState({ error: toErrorInfo(error) });
    }
  }

  stopComparing(): void {
    this.store.setState({ compared: null });
  }

  dismissError(): void {
    this.store.setState({ error: null });
  }

  async #run(busy: string, call: (allowed: { mayRunPrograms: boolean }) => Promise<unknown>): Promise<boolean> {
    if (this.store.getState().busy !== null) return false;
    this.store.setState({ busy, error: null });
    let failure: ErrorInfo | null = null;
    try {
      await call({ mayRunPrograms: this.store.getState().mayRunPrograms });
    } catch (error) {
      failure = toErrorInfo(error);
    }
    await this.refresh();
    this.#onDone();
    // After the look, which would take the error away.
    this.store.setState({ busy: null, error: failure });
    return failure === null;
  }
}

export function groups(files: readonly GitFile[]): { staged: GitFile[]; unstaged: GitFile[] } {
  return {
    staged: files.filter(({ staged }) => staged !== null),
    unstaged: files.filter(({ unstaged }) => unstaged !== null),
  };
}

/** For the file tree: what happened to each file, and "inside" for the folders above one. */
export function treeMarks(status: GitStatus | null): ReadonlyMap<string, string> {
  const marks = new Map<string, string>();
  if (status?.state !== 'repository') return marks;
  for (const { path, staged, unstaged } of status.files) {
    marks.set(path, unstaged ?? staged ?? 'modified');
    for (const folder of ancestors(path)) marks.set(folder, 'inside');
  }
  return marks;
}
