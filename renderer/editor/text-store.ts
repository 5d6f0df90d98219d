// What the features know of the open texts. Monaco's models implement it (monaco-text-store.ts); tests use a fake.

export interface TextStore {
  /**
   * Resolves when the text of `path` can be created and typed into: what draws texts is loaded with the first one, and
   * how a language indents and closes brackets with the first text in it.
   */
  ready(path: string | null): Promise<void>;
  /** Takes `text` as it is on disk; it counts as saved. @return the language found from the path and first line */
  create(id: string, text: string, path: string | null): { languageId: string };
  /** The text with the line endings it should have on disk. */
  text(id: string): string;
  /** Replaces the whole text as an edit that can be undone. */
  edit(id: string, text: string): void;
  /** Replaces the text with what is on disk; it counts as saved. */
  reset(id: string, text: string): void;
  /** As `edit`, for a text that took in what another program wrote: saved only if it is what is on disk. */
  merge(id: string, text: string, onDisk: string): void;
  /** Names the present state, so that a save knows whether the user typed meanwhile. */
  snapshot(id: string): number;
  /** `text`, taken at `snapshot`, is on disk now. */
  markSaved(id: string, snapshot: number, text: string): void;
  /** Nothing on disk equals any state of the text: it stays unsaved until the next save. */
  markUnsaved(id: string): void;
  isDirty(id: string): boolean;
  /** The file was renamed or got its first name. @return its language */
  setPath(id: string, path: string): { languageId: string };
  onChange(listener: (id: string) => void): () => void;
  dispose(id: string): void;
}
