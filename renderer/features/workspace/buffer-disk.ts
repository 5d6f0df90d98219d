// Open texts and the disk: saving, and what to do when a file changes underneath. Other programs' changes are merged into
// unsaved text where nobody can doubt what is meant, and asked about where somebody could. A merge is a step that can be
// undone; the buffer then stands as it did before, and saving asks.
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { WorkspaceFile } from '../../../electron/common/workspace-contract.ts';
import type { TextStore } from '../../editor/text-store.ts';
import { kMostMergedChars, mergeTexts } from '../../lib/merge-texts.ts';
import { baseName } from '../../lib/paths.ts';
import type { Buffer } from './buffer.ts';
import type { BufferPrompt } from './buffers-state.ts';

/** The part of the buffers store that this works on. */
export interface OpenBuffers {
  get(id: string): Buffer | undefined;
  patch(id: string, patch: Partial<Buffer>): void;
  ask(prompt: BufferPrompt): void;
  discard(id: string): void;
}

/** Between two looks at a file, in multiples of what one took. */
const kPauseShare = 4;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface BufferDiskDeps {
  workspace: WorkspaceApi;
  texts: TextStore;
  /** Another program's changes are in the text now. */
  onMerged: (title: string) => void;
}

export interface SaveOptions {
  /** Skips the check against the version on disk: the user said so. */
  overwrite: boolean;
  closeAfter: boolean;
}

/** What a text was read from or written as. */
interface OnDisk {
  version: string | null;
  text: string | undefined;
}

/** A step of a text that took in what another program wrote. */
interface Merge {
  /** Snapshots of the text. */
  before: number;
  after: number;
  from: OnDisk;
  to: OnDisk;
}

export class BufferDisk {
  readonly #buffers: OpenBuffers;
  readonly #deps: BufferDiskDeps;
  /** By buffer, the text of its `version`; none of what is too long to be merged. */
  readonly #bases = new Map<string, string>();
  /** Buffers that are being compared with the disk, and whether their file has changed again since that began. */
  readonly #comparing = new Map<string, boolean>();
  /** By buffer, oldest first, since it was saved or read. */
  readonly #merges = new Map<string, Merge[]>();

  constructor(buffers: OpenBuffers, deps: BufferDiskDeps) {
    this.#buffers = buffers;
    this.#deps = deps;
  }

  /** The buffer's version on disk is this text now. */
  isOnDisk(id: string, text: string): void {
    this.#merges.delete(id);
    this.#setBase(id, text);
  }

  forget(id: string): void {
    this.#merges.delete(id);
    this.#bases.delete(id);
  }

  /** Undone and done again, a merge takes the version that it belongs to with it. */
  textChanged(id: string): void {
    const merges = this.#merges.get(id);
    if (merges === undefined) return;
    const now = this.#deps.texts.snapshot(id);
    for (const { before, after, from, to } of merges) {
      if (now === before) this.#stand(id, from, 'changed');
      if (now === after) this.#stand(id, to, 'same');
    }
  }

  /** @return whether everything typed before the call is on disk */
  async write(buffer: Buffer, path: string, options: SaveOptions): Promise<boolean> {
    const { texts, workspace } = this.#deps;
    const { id, encoding, version } = buffer;
    const isRename = path !== buffer.path;
    this.#buffers.patch(id, { isSaving: true, saveError: null });
    const snapshot = texts.snapshot(id);
    const text = texts.text(id);
    try {
      const written = await workspace.write({ path, text, encoding, version, overwrite: options.overwrite });
      if (!this.#buffers.get(id)) return true;
      texts.markSaved(id, snapshot, text);
      this.isOnDisk(id, text);
      const renamed = isRename ? { path, title: baseName(path), ...texts.setPath(id, path) } : {};
      const isDirty = texts.isDirty(id);
      const saved = { version: written.version, isSaving: false, disk: 'same', isReadOnly: false, isDirty } as const;
      this.#buffers.patch(id, { ...renamed, ...saved });
      if (options.closeAfter && !isDirty) this.#buffers.discard(id);
      return true;
    } catch (error) {
      const info = toErrorInfo(error);
      this.#buffers.patch(id, { isSaving: false, saveError: info });
      const isConflict = info.code === 'FILE_CHANGED_ON_DISK' || (info.code === 'FILE_EXISTS' && !isRename);
      if (!isConflict) return false;
      this.#buffers.patch(id, { saveError: null });
      const merged = await this.#mergeFromDisk(id, path);
      if (merged) return this.write(merged, path, options);
      this.#buffers.patch(id, { disk: 'changed' });
      this.#buffers.ask({ kind: 'conflict', id, closeAfter: options.closeAfter });
      return false;
    }
  }

  /** Takes the text from disk and drops the unsaved changes: the user said so. Undo brings them back. */
  async reload(id: string): Promise<void> {
    const path = this.#buffers.get(id)?.path;
    if (!path) return;
    try {
      const file = await this.#deps.workspace.read({ path });
      if (this.#buffers.get(id)) this.#take(id, file);
    } catch (error) {
      this.#buffers.patch(id, { saveError: toErrorInfo(error) });
    }
  }

  /**
   * A file that may have changed: a clean buffer follows, a dirty one merges or is marked. Once at a time, with pauses: a
   * log of megabytes that grows all the time is read again and again, and must leave time for keys.
   */
  async compare(id: string): Promise<void> {
    if (this.#comparing.has(id)) return void this.#comparing.set(id, true);
    try {
      for (let isChanged = true; isChanged; isChanged = this.#comparing.get(id) ?? false) {
        this.#comparing.set(id, false);
        const startMs = performance.now();
        const path = this.#buffers.get(id)?.path;
        if (path) await this.#compare(id, path);
        if (this.#comparing.get(id)) await sleep(kPauseShare * (performance.now() - startMs));
      }
    } finally {
      this.#comparing.delete(id);
    }
  }

  async #compare(id: string, path: string): Promise<void> {
    try {
      const file = await this.#deps.workspace.read({ path });
      const buffer = this.#buffers.get(id);
      if (!buffer || buffer.isSaving || buffer.version === file.version) return;
      if (!buffer.isDirty) this.#take(id, file);
      else if (!this.#merge(buffer, file)) this.#buffers.patch(id, { disk: 'changed' });
    } catch (error) {
      if (toErrorInfo(error).code !== 'FILE_NOT_FOUND' || !this.#buffers.get(id)) return;
      // The text here is now the only copy: unsaved, and the next save creates the file again.
      this.#deps.texts.markUnsaved(id);
      this.forget(id);
      this.#buffers.patch(id, { disk: 'deleted', version: null, isDirty: true });
    }
  }

  #take(id: string, file: WorkspaceFile): void {
    this.#deps.texts.reset(id, file.text);
    this.isOnDisk(id, file.text);
    const { encoding, eol, isReadOnly, version } = file;
    this.#buffers.patch(id, { encoding, eol, isReadOnly, version, disk: 'same', saveError: null, isDirty: false });
  }

  /** @return the buffer as it stands after the merge; undefined if there was none */
  async #mergeFromDisk(id: string, path: string): Promise<Buffer | undefined> {
    const file = await this.#deps.workspace.read({ path }).catch(() => null);
    const buffer = this.#buffers.get(id);
    return file && buffer && this.#merge(buffer, file) ? this.#buffers.get(id) : undefined;
  }

  /** Brings what another program wrote into the text, if it is clear where it goes. @return whether it is */
  #merge({ id, title, version }: Buffer, file: WorkspaceFile): boolean {
    const { texts, onMerged } = this.#deps;
    const base = this.#bases.get(id);
    const merges = this.#merges.get(id) ?? [];
    // The user had it merged and took that back: only he can say what is to be.
    const isUndone = merges.some(({ to }) => to.version === file.version);
    if (base === undefined || isUndone) return false;
    const text = mergeTexts(base, texts.text(id), file.text);
    if (text === null) return false;
    const before = texts.snapshot(id);
    texts.merge(id, text, file.text);
    const to = { version: file.version, text: file.text };
    this.#merges.set(id, [...merges, { before, after: texts.snapshot(id), from: { version, text: base }, to }]);
    this.#stand(id, to, 'same');
    const { encoding, eol, isReadOnly } = file;
    this.#buffers.patch(id, { encoding, eol, isReadOnly, saveError: null, isDirty: texts.isDirty(id) });
    onMerged(title);
    return true;
  }

  #stand(id: string, { version, text }: OnDisk, disk: Buffer['disk']): void {
    this.#setBase(id, text);
    this.#buffers.patch(id, { version, disk });
  }

  #setBase(id: string, text: string | undefined): void {
    if (text !== undefined && text.length <= kMostMergedChars) this.#bases.set(id, text);
    else this.#bases.delete(id);
  }
}
