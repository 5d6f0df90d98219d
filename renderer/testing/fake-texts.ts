// A text store without Monaco, for tests: one string per buffer and a counter of changes.
import type { TextStore } from '../editor/text-store.ts';

interface FakeText {
  text: string;
  /** The number of this state; a state that was undone keeps its own. */
  version: number;
  nVersions: number;
  saved: number | null;
  /** States before this one, newest last, and those that were undone. */
  undo: { text: string; version: number }[];
  redo: { text: string; version: number }[];
}

export class FakeTexts implements TextStore {
  readonly #texts = new Map<string, FakeText>();
  readonly #listeners = new Set<(id: string) => void>();

  async ready(): Promise<void> {}

  create(id: string, text: string, path: string | null): { languageId: string } {
    this.#texts.set(id, { text, version: 1, nVersions: 1, saved: 1, undo: [], redo: [] });
    return { languageId: languageOf(path) };
  }

  text(id: string): string {
    return this.#get(id).text;
  }

  edit(id: string, text: string): void {
    const entry = this.#get(id);
    if (entry.text === text) return;
    entry.undo.push({ text: entry.text, version: entry.version });
    entry.redo = [];
    entry.nVersions += 1;
    Object.assign(entry, { text, version: entry.nVersions });
    this.#changed(id);
  }

  merge(id: string, text: string, onDisk: string): void {
    this.edit(id, text);
    if (text === onDisk) this.markSaved(id, this.snapshot(id));
    else this.markUnsaved(id);
  }

  /** @return whether there was something to take back */
  undo(id: string): boolean {
    const { undo, redo } = this.#get(id);
    return this.#step(id, undo, redo);
  }

  redo(id: string): boolean {
    const { undo, redo } = this.#get(id);
    return this.#step(id, redo, undo);
  }

  reset(id: string, text: string): void {
    this.edit(id, text);
    this.markSaved(id, this.snapshot(id));
  }

  snapshot(id: string): number {
    return this.#get(id).version;
  }

  markSaved(id: string, snapshot: number): void {
    this.#get(id).saved = snapshot;
    this.#changed(id);
  }

  markUnsaved(id: string): void {
    this.#get(id).saved = null;
  }

  isDirty(id: string): boolean {
    const { version, saved } = this.#get(id);
    return version !== saved;
  }

  setPath(_id: string, path: string): { languageId: string } {
    return { languageId: languageOf(path) };
  }

  onChange(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(id: string): void {
    this.#texts.delete(id);
  }

  has(id: string): boolean {
    return this.#texts.has(id);
  }

  #get(id: string): FakeText {
    const entry = this.#texts.get(id);
    if (!entry) throw new Error(`No open text has the id ${id}.`);
    return entry;
  }

  #step(id: string, from: FakeText['undo'], to: FakeText['undo']): boolean {
    const entry = this.#get(id);
    const state = from.pop();
    if (state === undefined) return false;
    to.push({ text: entry.text, version: entry.version });
    Object.assign(entry, state);
    this.#changed(id);
    return true;
  }

  #changed(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }
}

function languageOf(path: string | null): string {
  return path?.endsWith('.ts') ? 'typescript' : 'plaintext';
}
