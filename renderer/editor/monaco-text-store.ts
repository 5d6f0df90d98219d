// Open texts as Monaco models, one per buffer. A model knows one kind of line ending; for a file with several the
// text from disk is kept, so that saving restores the endings of untouched lines. Monaco itself comes with the first text.
import type * as monaco from 'monaco-editor';
import type { TextStep } from '../lib/edit-trail.ts';
import { restoreLineEndings } from '../lib/line-endings.ts';
import { textEdits } from '../lib/text-edits.ts';
import { loadEditor, loadedEditor } from './load-editor.ts';
import type { TextStore } from './text-store.ts';

interface OpenText {
  model: monaco.editor.ITextModel;
  /** The model's alternative version id that equals the disk; null if no state does. */
  savedVersion: number | null;
  /** The text on disk if the model cannot represent it, else null. */
  mixedOriginal: string | null;
  /** The text before the step that comes next; null for one too long to be kept twice. */
  before: string | null;
}

/** One step of typing with the text before and after it; `step` is null where several places or more changed. */
export interface TextEdit {
  id: string;
  before: string;
  after: string;
  step: TextStep | null;
}

/** About 5,000 lines: to copy more with every key would be felt. */
const kMostFollowedChars = 200_000;

export class MonacoTextStore implements TextStore {
  readonly #texts = new Map<string, OpenText>();
  readonly #listeners = new Set<(id: string) => void>();
  readonly #editListeners = new Set<(edit: TextEdit) => void>();

  async ready(path: string | null): Promise<void> {
    const { monaco } = await loadEditor();
    if (path === null) return;
    try {
      await monaco.editor.colorize('', languageOf(path, ''), {});
    } catch {
      // A text without colours is better than none.
    }
  }

  create(id: string, text: string, path: string | null): { languageId: string } {
    const { monaco, withoutBracketColors } = loadedEditor();
    const model = monaco.editor.createModel(text, path === null ? 'plaintext' : undefined, bufferUri(id, path));
    withoutBracketColors(model);
    const savedVersion = model.getAlternativeVersionId();
    const open: OpenText = { model, savedVersion, mixedOriginal: null, before: followed(model) };
    this.#rememberMixed(open, text);
    this.#texts.set(id, open);
    model.onDidChangeContent((event) => {
      for (const listener of this.#listeners) listener(id);
      this.#tellEdit(id, open, event);
    });
    return { languageId: model.getLanguageId() };
  }

  text(id: string): string {
    const { model, mixedOriginal } = this.#open(id);
    const text = model.getValue();
    return mixedOriginal === null ? text : restoreLineEndings(mixedOriginal, text);
  }

  edit(id: string, text: string): void {
    const { monaco } = loadedEditor();
    const { model } = this.#open(id);
    // What was typed just before stays a step of its own.
    model.pushStackElement();
    const edits = textEdits(model.getValue(), text.replace(/\r\n|\r|\n/g, model.getEOL()));
    const operations = edits.map(({ start, end, text: inserted }) => ({
      range: monaco.Range.fromPositions(model.getPositionAt(start), model.getPositionAt(end)),
      text: inserted,
    }));
    if (operations.length > 0) model.pushEditOperations([], operations, () => null);
    model.pushStackElement();
  }

  reset(id: string, text: string): void {
    const open = this.#open(id);
    this.edit(id, text);
    this.#rememberMixed(open, text);
    this.markSaved(id, this.snapshot(id), text);
  }

  merge(id: string, text: string, onDisk: string): void {
    const open = this.#open(id);
    this.edit(id, text);
    this.#rememberMixed(open, text);
    if (text === onDisk) this.markSaved(id, this.snapshot(id), text);
    else this.markUnsaved(id);
  }

  snapshot(id: string): number {
    return this.#open(id).model.getAlternativeVersionId();
  }

  markSaved(id: string, snapshot: number, text: string): void {
    const open = this.#open(id);
    open.savedVersion = snapshot;
    if (open.mixedOriginal !== null) open.mixedOriginal = text;
    for (const listener of this.#listeners) listener(id);
  }

  markUnsaved(id: string): void {
    this.#open(id).savedVersion = null;
  }

  isDirty(id: string): boolean {
    const { model, savedVersion } = this.#open(id);
    return savedVersion !== model.getAlternativeVersionId();
  }

  setPath(id: string, path: string): { languageId: string } {
    const { monaco } = loadedEditor();
    // A model's URI is fixed; the language is what depends on the name.
    const { model } = this.#open(id);
    const firstLine = model.getLineCount() > 0 ? model.getLineContent(1) : '';
    monaco.editor.setModelLanguage(model, languageOf(path, firstLine));
    return { languageId: model.getLanguageId() };
  }

  onChange(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells what was typed, in texts of an ordinary length. */
  onEdit(listener: (edit: TextEdit) => void): () => void {
    this.#editListeners.add(listener);
    return () => this.#editListeners.delete(listener);
  }

  dispose(id: string): void {
    this.#texts.get(id)?.model.dispose();
    this.#texts.delete(id);
  }

  /** The model to show; null after `dispose`. Only for editor/. */
  model(id: string): monaco.editor.ITextModel | null {
    return this.#texts.get(id)?.model ?? null;
  }

  /** The buffer that a model belongs to; null for models that are not a buffer. Only for editor/. */
  idOf(model: monaco.editor.ITextModel): string | null {
    for (const [id, open] of this.#texts) if (open.model === model) return id;
    return null;
  }

  #open(id: string): OpenText {
    const open = this.#texts.get(id);
    if (!open) throw new Error(`No open text has the id ${id}.`);
    return open;
  }

  #tellEdit(id: string, open: OpenText, { changes, isFlush, isUndoing, isRedoing }: Changed): void {
    const { before } = open;
    const after = followed(open.model);
    open.before = after;
    if (before === null || after === null) return;
    const [change] = changes;
    const isStep = change !== undefined && changes.length === 1 && !isFlush && !isUndoing && !isRedoing;
    const step = isStep ? { offset: change.rangeOffset, nRemoved: change.rangeLength, inserted: change.text } : null;
    for (const listener of this.#editListeners) listener({ id, before, after, step });
  }

  #rememberMixed(open: OpenText, text: string): void {
    open.mixedOriginal = open.model.getValue() === text ? null : text;
  }
}

type Changed = monaco.editor.IModelContentChangedEvent;

function followed(model: monaco.editor.ITextModel): string | null {
  return model.getValueLength() <= kMostFollowedChars ? model.getValue() : null;
}

/** The id of its language, which Monaco begins to load: how it indents as well, not its grammar alone. */
function languageOf(path: string, firstLine: string): string {
  const { monaco } = loadedEditor();
  const probe = monaco.editor.createModel(firstLine, undefined, bufferUri(`language-${crypto.randomUUID()}`, path));
  const languageId = probe.getLanguageId();
  probe.dispose();
  return languageId;
}

function bufferUri(id: string, path: string | null): monaco.Uri {
  return loadedEditor().monaco.Uri.from({ scheme: 'buffer', authority: id, path: `/${path ?? 'untitled'}` });
}
