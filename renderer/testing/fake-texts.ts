// A text store without Monaco, for tests: one string per buffer and a counter of changes.
import type { TextStore } from '../editor/text-store.ts';

interface FakeText {
  text: string;
  version: number;
  saved: number | null;
}

export class FakeTexts implements TextStore {
  readonly #texts = new Map<string, FakeText>();
  readonly #listeners = new Set<(id: string) => void>();

  create(id: string, text: string, path: string | null): { languageId: string } {
    this.#texts.set(id, { text, version: 1, saved: 1 });
    return { languageId: languageOf(path) };
  }

  text(id: string): string {
    return this.#get(id).text;
  }

  edit(id: string, text: string): void {
    const entry = this.#get(id);
    if (entry.text === text) return;
    entry.text = text;
    entry.version += 1;
    this.#changed(id);
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

  #changed(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }
}

function languageOf(path: string | null): string {
  return path?.endsWith('.ts') ? 'typescript' : 'plaintext';
}
