// Open files: tabs, reading, closing. Saving and changes on disk are in buffer-disk.ts. The texts live in the text store;
// the API and the store are passed in, so that tests script them. Nothing here drops unsaved text without an explicit
// answer of the user.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import type { Backup } from '../../../electron/common/app-contract.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { TextStore } from '../../editor/text-store.ts';
import { baseName } from '../../lib/paths.ts';
import { type Buffer, newBuffer, untitledTitle } from './buffer.ts';
import { BufferDisk, type SaveOptions } from './buffer-disk.ts';
import {
  type BufferPrompt,
  type BuffersState,
  noBuffers,
  withOtherHalf,
  withoutTab,
  withTab,
  withTabMoved,
} from './buffers-state.ts';

export interface BuffersDeps {
  workspace: WorkspaceApi;
  texts: TextStore;
  newId: () => string;
  /** What another program wrote is in a text that had unsaved changes. */
  onMerged: (title: string) => void;
}

export class BuffersStore {
  readonly store: StoreApi<BuffersState>;
  readonly #deps: BuffersDeps;
  readonly #disk: BufferDisk;

  constructor(deps: BuffersDeps) {
    this.#deps = deps;
    this.store = createStore<BuffersState>(() => noBuffers);
    const { workspace, texts, onMerged } = deps;
    const open = {
      get: (id: string) => this.get(id),
      patch: this.#patch.bind(this),
      ask: (prompt: BufferPrompt) => this.store.setState({ prompt, activeId: prompt.id }),
      discard: (id: string) => this.discard(id),
    };
    this.#disk = new BufferDisk(open, { workspace, texts, onMerged });
    texts.onChange((id) => {
      const buffer = this.get(id);
      if (!buffer) return;
      const isDirty = texts.isDirty(id);
      if (isDirty !== buffer.isDirty) this.#patch(id, { isDirty });
      this.#disk.textChanged(id);
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

  /** Resolves when it can be typed into. */
  async newFile(): Promise<void> {
    const { texts, newId } = this.#deps;
    await texts.ready(null);
    const id = newId();
    const { languageId } = texts.create(id, '', null);
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
    await texts.ready(backup.path);
    const { languageId } = texts.create(backup.id, diskText, backup.path);
    if (disk.disk !== 'same') texts.markUnsaved(backup.id);
    else this.#disk.isOnDisk(backup.id, diskText);
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
    const { split } = this.store.getState();
    if (split === null || split.isActiveRight === isRight) return;
    this.store.setState(withOtherHalf);
    if (split.otherId !== null) void this.activate(split.otherId);
  }

  moveTab(id: string, toIndex: number): void {
    this.store.setState((state) => withTabMoved(state, id, toIndex));
  }

  /** Reads a file that is not in the text store yet: the first time, or again after a failure. */
  async read(id: string): Promise<void> {
    const path = this.get(id)?.path;
    if (path === null || path === undefined) return;
    this.#patch(id, { status: 'reading', error: null });
    try {
      const { texts, workspace } = this.#deps;
      const [file] = await Promise.all([workspace.read({ path }), texts.ready(path)]);
      if (this.get(id)?.status !== 'reading') return; // closed meanwhile
      const { languageId } = texts.create(id, file.text, path);
      this.#disk.isOnDisk(id, file.text);
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
    const { buffers } = this.store.getState();
    const removed = buffers[id];
    if (!removed) return;
    this.store.setState((state) => withoutTab(state, id));
    // After the state: views must let go of the text before it is disposed.
    if (removed.status === 'ready' || removed.path === null) this.#deps.texts.dispose(id);
    this.#disk.forget(id);
    // A neighbour takes its place, which may be a tab that nobody has looked at yet.
    const { activeId: next, split } = this.store.getState();
    for (const shown of [next, split?.otherId])
      if (this.get(shown ?? null)?.status === 'unread') void this.read(shown ?? '');
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
   * Writes the text. Asks for a name if there is none, and what to do if the file changed on disk so that it cannot be
   * merged.
   * @return whether everything typed before the call is on disk
   */
  async save(id: string, options: Partial<SaveOptions> = {}): Promise<boolean> {
    const { overwrite = false, closeAfter = false } = options;
    const buffer = this.get(id);
    if (buffer?.status !== 'ready' || buffer.isSaving) return false;
    if (buffer.path === null) {
      this.askSaveAs(id, closeAfter);
      return false;
    }
    return this.#disk.write(buffer, buffer.path, { overwrite, closeAfter });
  }

  /** Gives the text a new name. An existing file is not replaced. @return whether it was written */
  async saveAs(id: string, path: string, closeAfter = false): Promise<boolean> {
    const buffer = this.get(id);
    if (buffer?.status !== 'ready' || buffer.isSaving) return false;
    return this.#disk.write({ ...buffer, version: null }, path, { overwrite: false, closeAfter });
  }

  /** In the encoding that has every character. */
  saveInUtf8(id: string): Promise<boolean> {
    this.#patch(id, { encoding: 'utf8' });
    return this.save(id);
  }

  async saveAll(): Promise<void> {
    for (const buffer of this.all()) if (buffer.isDirty) await this.save(buffer.id);
  }

  reload(id: string): Promise<void> {
    return this.#disk.reload(id);
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

  /** Files that may have changed on disk: clean buffers follow, dirty ones merge or are marked. */
  async filesChanged(paths: readonly string[]): Promise<void> {
    const changed = new Set(paths);
    const open = this.all().filter(({ path, status }) => path !== null && changed.has(path) && status === 'ready');
    await Promise.all(open.map(({ id }) => this.#disk.compare(id)));
  }

  #add(buffer: Buffer): void {
    this.store.setState((state) => withTab(state, buffer));
  }

  #patch(id: string, patch: Partial<Buffer>): void {
    this.store.setState(({ buffers }) => {
      const buffer = buffers[id];
      return buffer ? { buffers: { ...buffers, [id]: { ...buffer, ...patch } } } : {};
    });
  }
}
