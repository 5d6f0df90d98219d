// Open files: tabs, reading, saving, and what to do when the disk changes underneath. The texts live in the text
// store; the API and the store are passed in, so that tests script them. Nothing here drops unsaved text without
// an explicit answer of the user.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import type { Backup } from '../../../electron/common/app-contract.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { TextStore } from '../../editor/text-store.ts';
import { baseName } from '../../lib/paths.ts';
import { type Buffer, newBuffer, untitledTitle } from './buffer.ts';

/** What a half of the editor shows; without a split there is only the left one. */
export function shownIn({ activeId, split }: BuffersState, isRight: boolean): string | null {
  return split === null || split.isActiveRight === isRight ? activeId : split.otherId;
}

/** A question that waits for the user. */
export type BufferPrompt = { kind: 'close' | 'conflict' | 'saveAs'; id: string; closeAfter: boolean };

export interface BuffersState {
  buffers: Readonly<Record<string, Buffer>>;
  /** Buffer ids in the order of their tabs. */
  tabs: readonly string[];
  /** The one that has the keyboard, or had it last. */
  activeId: string | null;
  /** The editor is split: what the half shows that `activeId` is not in. */
  split: { otherId: string | null; isActiveRight: boolean } | null;
  prompt: BufferPrompt | null;
}

export interface BuffersDeps {
  workspace: WorkspaceApi;
  texts: TextStore;
  newId: () => string;
}

export class BuffersStore {
  readonly store: StoreApi<BuffersState>;
  readonly #deps: BuffersDeps;

  constructor(deps: BuffersDeps) {
    this.#deps = deps;
    this.store = createStore<BuffersState>(() => ({
      buffers: {},
      tabs: [],
      activeId: null,
      split: null,
      prompt: null,
    }));
    deps.texts.onChange((id) => {
      const buffer = this.get(id);
      if (!buffer) return;
      const isDirty = deps.texts.isDirty(id);
      if (isDirty !== buffer.isDirty) this.#patch(id, { isDirty });
    });
  }

  get(id: string | null): Buffer | undefined {
    return id === null ? undefined : this.store.getState().buffers[id];
  }

  get active(): Buffer | undefined {
    return this.get(this.store.getState().activeId);
  }

  byPath(path: string): Buffer | undefined {
    return this.all().find((buffer) => buffer.path === path);
  }

  /** In the order of the tabs. */
  all(): Buffer[] {
    const { tabs, buffers } = this.store.getState();
    return tabs.flatMap((id) => buffers[id] ?? []);
  }

  /** Shows a file, reading it if it is not open. */
  async open(path: string): Promise<void> {
    const existing = this.byPath(path);
    if (existing) return this.activate(existing.id);
    const id = this.#deps.newId();
    this.#add(newBuffer(id, path, baseName(path)));
    await this.activate(id);
  }

  newFile(): void {
    const id = this.#deps.newId();
    const { languageId } = this.#deps.texts.create(id, '', null);
    this.#add({ ...newBuffer(id, null, untitledTitle(this.all())), languageId });
    this.store.setState({ activeId: id });
  }

  /** Adds tabs without reading them: a restored session. */
  addUnread(paths: readonly string[]): void {
    for (const path of paths) if (!this.byPath(path)) this.#add(newBuffer(this.#deps.newId(), path, baseName(path)));
  }

  /** Brings back unsaved text. It stays unsaved, on top of what the disk has now. */
  async restore(backup: Backup): Promise<void> {
    const { texts, workspace } = this.#deps;
    const buffer = {
      ...newBuffer(backup.id, backup.path, backup.title),
      encoding: backup.encoding,
      version: backup.version,
    };
    this.#add({ ...buffer, status: 'reading' });
    let disk: Partial<Buffer> = { disk: backup.path !== null && backup.version !== null ? 'deleted' : 'same' };
    let diskText = '';
    if (backup.path !== null) {
      try {
        const file = await workspace.read({ path: backup.path });
        diskText = file.text;
        const isSame = backup.version === file.version;
        disk = { disk: isSame ? 'same' : 'changed', eol: file.eol, isReadOnly: file.isReadOnly };
      } catch {
        // The file is gone or cannot be read now. The text is what matters; saving will say what is wrong.
      }
    }
    const { languageId } = texts.create(backup.id, diskText, backup.path);
    if (disk.disk !== 'same') texts.markUnsaved(backup.id);
    texts.edit(backup.id, backup.text);
    this.#patch(backup.id, { ...disk, languageId, status: 'ready', isDirty: texts.isDirty(backup.id) });
  }

  async activate(id: string): Promise<void> {
    if (!this.get(id)) return;
    this.store.setState({ activeId: id });
    if (this.get(id)?.status === 'unread') await this.read(id);
  }

  /** Moves by `step` tabs, around the ends. */
  async activateNext(step: number): Promise<void> {
    const { tabs, activeId } = this.store.getState();
    if (tabs.length === 0) return;
    const next = (tabs.indexOf(activeId ?? '') + step + tabs.length) % tabs.length;
    await this.activate(tabs[next] ?? '');
  }

  /** Shows the active text in two halves, to go on with another one in the right half. */
  splitRight(): void {
    const { activeId, split } = this.store.getState();
    if (split === null) this.store.setState({ split: { otherId: activeId, isActiveRight: true } });
  }

  /** The halves of the last session; the active text stays. */
  async restoreSplit(otherId: string | null, isActiveRight: boolean): Promise<void> {
    this.store.setState({ split: { otherId, isActiveRight } });
    if (this.get(otherId)?.status === 'unread') await this.read(otherId ?? '');
  }

  /** One half again, with the active text. */
  join(): void {
    this.store.setState({ split: null });
  }

  /** The keyboard goes to a half. */
  focusHalf(isRight: boolean): void {
    const { activeId, split } = this.store.getState();
    if (split === null || split.isActiveRight === isRight) return;
    this.store.setState({ activeId: split.otherId, split: { otherId: activeId, isActiveRight: isRight } });
    if (split.otherId !== null) void this.activate(split.otherId);
  }

  moveTab(id: string, toIndex: number): void {
    const tabs = this.store.getState().tabs.filter((tab) => tab !== id);
    this.store.setState({ tabs: [...tabs.slice(0, toIndex), id, ...tabs.slice(toIndex)] });
  }

  /** Reads a file that is not in the text store yet: the first time, or again after a failure. */
  async read(id: string): Promise<void> {
    const path = this.get(id)?.path;
    if (path === null || path === undefined) return;
    this.#patch(id, { status: 'reading', error: null });
    try {
      const file = await this.#deps.workspace.read({ path });
      if (this.get(id)?.status !== 'reading') return; // closed meanwhile
      const { languageId } = this.#deps.texts.create(id, file.text, path);
      const { encoding, eol, isReadOnly, version } = file;
      this.#patch(id, { status: 'ready', languageId, encoding, eol, isReadOnly, version });
    } catch (error) {
      this.#patch(id, { status: 'failed', error: toErrorInfo(error) });
    }
  }

  /** Closes a tab, asking first if it holds unsaved text. */
  close(id: string): void {
    const buffer = this.get(id);
    if (!buffer) return;
    if (buffer.isDirty) this.store.setState({ prompt: { kind: 'close', id, closeAfter: true }, activeId: id });
    else this.discard(id);
  }

  /** Closes a tab and drops its text. */
  discard(id: string): void {
    const { tabs, activeId, buffers, prompt, split } = this.store.getState();
    const index = tabs.indexOf(id);
    const rest = tabs.filter((tab) => tab !== id);
    const { [id]: removed, ...kept } = buffers;
    const neighbour = rest[Math.min(index, rest.length - 1)] ?? null;
    const nextPrompt = prompt?.id === id ? null : prompt;
    this.store.setState({
      tabs: rest,
      buffers: kept,
      activeId: activeId === id ? neighbour : activeId,
      split:
        split === null || rest.length === 0
          ? null
          : { ...split, otherId: split.otherId === id ? neighbour : split.otherId },
      prompt: nextPrompt,
    });
    // After the state: views must let go of the text before it is disposed.
    if (removed && (removed.status === 'ready' || removed.path === null)) this.#deps.texts.dispose(id);
    if (neighbour !== null && activeId === id) void this.activate(neighbour);
  }

  /** Drops every tab: another folder is opened. Unsaved text must be in backups by then. */
  discardAll(): void {
    for (const { id } of this.all().reverse()) this.discard(id);
  }

  answerPrompt(): void {
    this.store.setState({ prompt: null });
  }

  askSaveAs(id: string, closeAfter = false): void {
    this.store.setState({ prompt: { kind: 'saveAs', id, closeAfter } });
  }

  askConflict(id: string): void {
    this.store.setState({ prompt: { kind: 'conflict', id, closeAfter: false } });
  }

  /**
   * Writes the text. Asks for a name if there is none, and what to do if the file changed on disk.
   * @param overwrite skips the check against the version on disk: the user said so
   * @return whether everything typed before the call is on disk
   */
  async save(id: string, { overwrite = false, closeAfter = false } = {}): Promise<boolean> {
    const buffer = this.get(id);
    if (buffer?.status !== 'ready' || buffer.isSaving) return false;
    if (buffer.path === null) {
      this.askSaveAs(id, closeAfter);
      return false;
    }
    return this.#write(buffer, buffer.path, { overwrite, closeAfter });
  }

  /** Gives the text a new name. An existing file is not replaced. @return whether it was written */
  async saveAs(id: string, path: string, closeAfter = false): Promise<boolean> {
    const buffer = this.get(id);
    if (buffer?.status !== 'ready' || buffer.isSaving) return false;
    return this.#write({ ...buffer, version: null }, path, { overwrite: false, closeAfter });
  }

  async saveAll(): Promise<void> {
    for (const buffer of this.all()) if (buffer.isDirty) await this.save(buffer.id);
  }

  async #write(buffer: Buffer, path: string, options: { overwrite: boolean; closeAfter: boolean }): Promise<boolean> {
    const { texts, workspace } = this.#deps;
    const { id, encoding, version } = buffer;
    const isRename = path !== buffer.path;
    this.#patch(id, { isSaving: true, saveError: null });
    const snapshot = texts.snapshot(id);
    const text = texts.text(id);
    try {
      const written = await workspace.write({ path, text, encoding, version, overwrite: options.overwrite });
      if (!this.get(id)) return true;
      texts.markSaved(id, snapshot, text);
      const renamed = isRename ? { path, title: baseName(path), ...texts.setPath(id, path) } : {};
      const isDirty = texts.isDirty(id);
      this.#patch(id, {
        ...renamed,
        version: written.version,
        isSaving: false,
        disk: 'same',
        isReadOnly: false,
        isDirty,
      });
      if (options.closeAfter && !isDirty) this.discard(id);
      return true;
    } catch (error) {
      const info = toErrorInfo(error);
      this.#patch(id, { isSaving: false, saveError: info });
      const isConflict = info.code === 'FILE_CHANGED_ON_DISK' || (info.code === 'FILE_EXISTS' && !isRename);
      if (isConflict) {
        this.#patch(id, { disk: 'changed', saveError: null });
        this.store.setState({ prompt: { kind: 'conflict', id, closeAfter: options.closeAfter }, activeId: id });
      }
      return false;
    }
  }

  /** Takes the text from disk and drops the unsaved changes: the user said so. Undo brings them back. */
  async reload(id: string): Promise<void> {
    const buffer = this.get(id);
    if (!buffer?.path) return;
    try {
      const { text, encoding, eol, isReadOnly, version } = await this.#deps.workspace.read({ path: buffer.path });
      this.#deps.texts.reset(id, text);
      this.#patch(id, { encoding, eol, isReadOnly, version, disk: 'same', saveError: null, isDirty: false });
    } catch (error) {
      this.#patch(id, { saveError: toErrorInfo(error) });
    }
  }

  dismissSaveError(id: string): void {
    this.#patch(id, { saveError: null });
  }

  /** A file was renamed in the tree; `to` may be a folder that contains it. */
  pathRenamed(from: string, to: string): void {
    for (const { id, path, status } of this.all()) {
      if (path === null || (path !== from && !path.startsWith(`${from}/`))) continue;
      const moved = to + path.slice(from.length);
      const language = status === 'ready' ? this.#deps.texts.setPath(id, moved) : {};
      this.#patch(id, { path: moved, title: baseName(moved), ...language });
    }
  }

  /** Files that may have changed on disk: clean buffers follow, dirty ones are marked. */
  async filesChanged(paths: readonly string[]): Promise<void> {
    const changed = new Set(paths);
    const open = this.all().filter(({ path, status }) => path !== null && changed.has(path) && status === 'ready');
    await Promise.all(open.map(({ id, path }) => this.#compareWithDisk(id, path ?? '')));
  }

  async #compareWithDisk(id: string, path: string): Promise<void> {
    try {
      const file = await this.#deps.workspace.read({ path });
      const buffer = this.get(id);
      if (!buffer || buffer.isSaving || buffer.version === file.version) return;
      if (buffer.isDirty) {
        this.#patch(id, { disk: 'changed' });
        return;
      }
      this.#deps.texts.reset(id, file.text);
      const { encoding, eol, isReadOnly, version } = file;
      this.#patch(id, { encoding, eol, isReadOnly, version, disk: 'same', isDirty: false });
    } catch (error) {
      if (toErrorInfo(error).code !== 'FILE_NOT_FOUND' || !this.get(id)) return;
      // The text here is now the only copy: unsaved, and the next save creates the file again.
      this.#deps.texts.markUnsaved(id);
      this.#patch(id, { disk: 'deleted', version: null, isDirty: true });
    }
  }

  #add(buffer: Buffer): void {
    this.store.setState(({ buffers, tabs, activeId }) => {
      const after = tabs.indexOf(activeId ?? '') + 1 || tabs.length;
      return {
        buffers: { ...buffers, [buffer.id]: buffer },
        tabs: [...tabs.slice(0, after), buffer.id, ...tabs.slice(after)],
      };
    });
  }

  #patch(id: string, patch: Partial<Buffer>): void {
    this.store.setState(({ buffers }) => {
      const buffer = buffers[id];
      return buffer ? { buffers: { ...buffers, [id]: { ...buffer, ...patch } } } : {};
    });
  }
}
