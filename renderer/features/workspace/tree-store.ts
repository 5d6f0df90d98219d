// The file tree: directories are listed when they are opened, and again when the watcher says so.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { Entry } from '../../../electron/common/workspace-contract.ts';
import { ancestors, dirName, invalidPathReason, joinPath } from '../../lib/paths.ts';

export interface Directory {
  status: 'reading' | 'ready' | 'failed';
  entries: readonly Entry[];
  error: ErrorInfo | null;
}

/** A name that the user is typing in the tree. */
export interface TreeDraft {
  kind: 'file' | 'directory' | 'rename';
  /** Where the new entry goes. */
  parent: string;
  /** The entry that gets the name; null for a new one. */
  path: string | null;
  error: string | null;
}

export interface TreeState {
  directories: Readonly<Record<string, Directory>>;
  expanded: ReadonlySet<string>;
  /** The row that has the keyboard; null before the first use. */
  focused: string | null;
  draft: TreeDraft | null;
  isRootGone: boolean;
}

const kInitial: TreeState = { directories: {}, expanded: new Set(), focused: null, draft: null, isRootGone: false };

export class TreeStore {
  readonly store: StoreApi<TreeState> = createStore<TreeState>(() => kInitial);
  readonly #workspace: WorkspaceApi;
  /** Grows with every reset: answers of an earlier folder are dropped. */
  #generation = 0;

  constructor(workspace: WorkspaceApi) {
    this.#workspace = workspace;
  }

  /** Another folder was opened: forget everything and list its root. */
  async reset(expanded: readonly string[]): Promise<void> {
    this.#generation += 1;
    this.store.setState({ ...kInitial, expanded: new Set(expanded) });
    await Promise.all(['', ...expanded].map((path) => this.#list(path)));
  }

  clear(): void {
    this.#generation += 1;
    this.store.setState(kInitial);
  }

  async expand(path: string): Promise<void> {
    const { expanded, directories } = this.store.getState();
    if (!expanded.has(path)) this.store.setState({ expanded: new Set(expanded).add(path) });
    if (directories[path]?.status !== 'ready') await this.#list(path);
  }

  collapse(path: string): void {
    const expanded = new Set(this.store.getState().expanded);
    expanded.delete(path);
    this.store.setState({ expanded });
  }

  collapseAll(): void {
    this.store.setState({ expanded: new Set() });
  }

  async toggle(path: string): Promise<void> {
    if (this.store.getState().expanded.has(path)) this.collapse(path);
    else await this.expand(path);
  }

  focus(path: string | null): void {
    if (this.store.getState().focused !== path) this.store.setState({ focused: path });
  }

  /** Opens every folder above `path` and puts the focus row on it. */
  async reveal(path: string): Promise<void> {
    for (const directory of ancestors(path)) await this.expand(directory);
    this.focus(path);
  }

  async refresh(): Promise<void> {
    await this.directoriesChanged(Object.keys(this.store.getState().directories));
  }

  async directoriesChanged(paths: readonly string[]): Promise<void> {
    const known = this.store.getState().directories;
    await Promise.all(paths.filter((path) => path === '' || known[path]).map((path) => this.#list(path)));
  }

  rootGone(isRootGone: boolean): void {
    this.store.setState({ isRootGone });
    if (!isRootGone) void this.refresh();
  }

  /** Starts a new entry in the focused folder, or beside the focused file. */
  async startNew(kind: 'file' | 'directory', parent?: string): Promise<void> {
    const { focused } = this.store.getState();
    const around = focused === null ? '' : this.#isDirectory(focused) ? focused : dirName(focused);
    const target = parent ?? around;
    if (target !== '') await this.expand(target);
    this.store.setState({ draft: { kind, parent: target, path: null, error: null } });
  }

  #isDirectory(path: string): boolean {
    const beside = this.store.getState().directories[dirName(path)]?.entries ?? [];
    return beside.some((entry) => entry.path === path && entry.kind === 'directory');
  }

  startRename(path: string): void {
    this.store.setState({ draft: { kind: 'rename', parent: dirName(path), path, error: null } });
  }

  cancelDraft(): void {
    this.store.setState({ draft: null });
  }

  /**
   * Does what the draft stands for.
   * @return the path of the new or renamed entry; null if it was not done, with the reason in the draft
   */
  async commitDraft(name: string): Promise<{ kind: TreeDraft['kind']; from: string | null; path: string } | null> {
    const { draft } = this.store.getState();
    if (!draft) return null;
    const reason = invalidPathReason(name.trim());
    if (reason) return this.#draftError(reason);
    const path = joinPath(draft.parent, name.trim());
    if (path === draft.path) {
      this.cancelDraft();
      return null;
    }
    try {
      if (draft.kind === 'directory') await this.#workspace.createDirectory({ path });
      else if (draft.kind === 'rename') await this.#workspace.rename({ from: draft.path ?? '', to: path });
      else await this.#workspace.write({ path, text: '', encoding: 'utf8', version: null, overwrite: false });
    } catch (error) {
      const { message, hint } = toErrorInfo(error);
      return this.#draftError(hint ? `${message} ${hint}` : message);
    }
    this.store.setState({ draft: null });
    await this.directoriesChanged([...new Set([draft.parent, dirName(path)])]);
    await this.reveal(path);
    return { kind: draft.kind, from: draft.path, path };
  }

  #draftError(error: string): null {
    const { draft } = this.store.getState();
    if (draft) this.store.setState({ draft: { ...draft, error } });
    return null;
  }

  async #list(path: string): Promise<void> {
    const generation = this.#generation;
    const before = this.store.getState().directories[path];
    if (!before) this.#setDirectory(path, { status: 'reading', entries: [], error: null });
    try {
      const entries = await this.#workspace.list({ path });
      if (generation === this.#generation) this.#setDirectory(path, { status: 'ready', entries, error: null });
    } catch (error) {
      if (generation !== this.#generation) return;
      const info = toErrorInfo(error);
      if (info.code === 'FILE_NOT_FOUND' && path !== '') this.#forget(path);
      else this.#setDirectory(path, { status: 'failed', entries: before?.entries ?? [], error: info });
    }
  }

  #setDirectory(path: string, directory: Directory): void {
    this.store.setState(({ directories }) => ({ directories: { ...directories, [path]: directory } }));
  }

  #forget(path: string): void {
    this.store.setState((state) => {
      const { [path]: _gone, ...directories } = state.directories;
      const expanded = new Set(state.expanded);
      expanded.delete(path);
      return { directories, expanded };
    });
  }
}
