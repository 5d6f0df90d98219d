// What the user does to files and folders of the tree, each with a way back: rename, move, delete, create. The newest
// step is undone first, from its note or with Ctrl+Z in the tree.
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import { baseName, dirName, joinPath } from '../../lib/paths.ts';
import type { BuffersStore } from './buffers-store.ts';
import type { TreeStore } from './tree-store.ts';

export interface FileOperationsDeps {
  workspace: WorkspaceApi;
  tree: TreeStore;
  buffers: BuffersStore;
  /** @returns what closes the note */
  onNote: (message: string, action: { label: string; run: () => void }) => () => void;
  onError: (error: ErrorInfo) => void;
}

interface Step {
  undo: () => Promise<void>;
  /** The note that offers it. */
  closeNote?: () => void;
}

const kMostSteps = 50;

export class FileOperations {
  readonly #deps: FileOperationsDeps;
  #steps: Step[] = [];
  /** The entry that "paste" will move. */
  #cut: string | null = null;
  /** One after the other. */
  #running: Promise<void> = Promise.resolve();

  constructor(deps: FileOperationsDeps) {
    this.#deps = deps;
  }

  /** Another folder was opened: nothing of this one can be undone there. */
  clear(): void {
    for (const step of this.#steps) step.closeNote?.();
    this.#steps = [];
    this.#cut = null;
  }

  created(path: string): void {
    this.#push({ undo: async () => void (await this.#toTrash(path)) });
  }

  renamed(from: string, to: string): void {
    this.#deps.buffers.pathRenamed(from, to);
    this.#push({ undo: () => this.#rename(to, from) });
  }

  cut(path: string): void {
    this.#cut = path;
  }

  get canPaste(): boolean {
    return this.#cut !== null;
  }

  get canUndo(): boolean {
    return this.#steps.length > 0;
  }

  /** Moves what was cut into a folder. */
  async paste(directory: string): Promise<void> {
    const from = this.#cut;
    this.#cut = null;
    if (from !== null) await this.move(from, directory);
  }

  async move(from: string, directory: string): Promise<void> {
    const to = joinPath(directory, baseName(from));
    if (to === from || directory === from || directory.startsWith(`${from}/`)) return;
    await this.#try(async () => {
      await this.#rename(from, to);
      const step = this.#push({ undo: () => this.#rename(to, from) });
      this.#note(`${baseName(from)} was moved to ${directory === '' ? 'the top folder' : directory}.`, step);
    });
  }

  /** Files that were open without changes are closed, and come back with the undo; unsaved text stays in its tab. */
  async trash(path: string): Promise<void> {
    await this.#try(async () => {
      const { id, closed } = await this.#toTrash(path);
      const step = this.#push({
        undo: async () => {
          await this.#deps.workspace.restore({ id });
          await this.#refresh(path);
          const { buffers } = this.#deps;
          buffers.addUnread(closed);
          if (buffers.active === undefined && closed[0] !== undefined) await buffers.open(closed[0]);
          await this.#deps.tree.reveal(path);
        },
      });
      this.#note(`${baseName(path)} was moved to the trash.`, step);
    });
  }

  /** Takes the newest step back: one that is still being made is the newest when it is done. */
  async undo(): Promise<void> {
    await this.#running;
    const step = this.#steps.at(-1);
    if (step) await this.#undo(step);
  }

  async #undo(step: Step): Promise<void> {
    if (!this.#steps.includes(step)) return;
    this.#steps = this.#steps.filter((kept) => kept !== step);
    step.closeNote?.();
    await this.#try(step.undo);
  }

  async #toTrash(path: string): Promise<{ id: string; closed: string[] }> {
    const { workspace, buffers } = this.#deps;
    const { id } = await workspace.trash({ path });
    const isBelow = (file: string | null) => file !== null && (file === path || file.startsWith(`${path}/`));
    const clean = buffers.all().filter((buffer) => isBelow(buffer.path) && !buffer.isDirty);
    for (const buffer of clean) buffers.discard(buffer.id);
    await this.#refresh(path);
    return { id, closed: clean.flatMap((buffer) => buffer.path ?? []) };
  }

  async #rename(from: string, to: string): Promise<void> {
    await this.#deps.workspace.rename({ from, to });
    this.#deps.buffers.pathRenamed(from, to);
    await this.#refresh(from);
    await this.#refresh(to);
    await this.#deps.tree.reveal(to);
  }

  async #refresh(path: string): Promise<void> {
    const { tree } = this.#deps;
    await tree.directoriesChanged([dirName(path)]);
    if (tree.store.getState().focused === path) tree.focus(dirName(path) || null);
  }

  #push(step: Step): Step {
    this.#steps = [...this.#steps, step].slice(-kMostSteps);
    return step;
  }

  #note(message: string, step: Step): void {
    step.closeNote = this.#deps.onNote(message, { label: 'Undo', run: () => void this.#undo(step) });
  }

  #try(run: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(run).catch((error: unknown) => this.#deps.onError(toErrorInfo(error)));
    return this.#running;
  }
}
