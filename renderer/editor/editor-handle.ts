// What the rest of the window may ask of the visible editor.
import { type SuggestRequest, surroundings } from './inline-completions.ts';
import type { monaco } from './monaco.ts';
import type { MonacoTextStore } from './monaco-text-store.ts';

/** Lines and columns count from 1, as Monaco's. */
export interface TextRange {
  startLine: number;
  startColumn: number;
  endLine: number;
  endColumn: number;
}

export class EditorHandle {
  readonly #editor: monaco.editor.IStandaloneCodeEditor;

  readonly #texts: MonacoTextStore;

  constructor(editor: monaco.editor.IStandaloneCodeEditor, texts: MonacoTextStore) {
    this.#editor = editor;
    this.#texts = texts;
  }

  focus(): void {
    this.#editor.focus();
  }

  /** Selects a part of a text and puts it in the middle of the view. @return false if another text is shown */
  select(bufferId: string, { startLine, startColumn, endLine, endColumn }: TextRange): boolean {
    const model = this.#editor.getModel();
    if (model === null || this.#texts.idOf(model) !== bufferId) return false;
    const range = { startLineNumber: startLine, startColumn, endLineNumber: endLine, endColumn };
    this.#editor.setSelection(range);
    this.#editor.revealRangeInCenterIfOutsideViewport(range);
    this.#editor.focus();
    return true;
  }

  /** What is selected, if it is short enough to be searched for: part of one line. */
  selectedWord(): string {
    const selection = this.#editor.getSelection();
    const model = this.#editor.getModel();
    if (selection === null || model === null || selection.startLineNumber !== selection.endLineNumber) return '';
    return model.getValueInRange(selection);
  }

  /** What is selected; null if nothing is. */
  selection(): { range: TextRange; text: string } | null {
    const selection = this.#editor.getSelection();
    const model = this.#editor.getModel();
    if (selection === null || model === null || selection.isEmpty()) return null;
    const { startLineNumber: startLine, startColumn, endLineNumber: endLine, endColumn } = selection;
    return { range: { startLine, startColumn, endLine, endColumn }, text: model.getValueInRange(selection) };
  }

  /** Replaces the selection, or inserts at the cursor, as one step that can be undone. */
  insert(text: string): void {
    const selection = this.#editor.getSelection();
    if (!selection) return;
    this.#editor.pushUndoStop();
    this.#editor.executeEdits('insert', [{ range: selection, text, forceMoveMarkers: true }]);
    this.#editor.pushUndoStop();
    this.#editor.focus();
  }

  /** Runs one of Monaco's own actions by its id. */
  run(action: string): void {
    this.#editor.focus();
    void this.#editor.getAction(action)?.run();
  }

  /** The text around the cursor, as a suggestion there would see it; null while no buffer is shown. */
  surroundings(): Omit<SuggestRequest, 'isExplicit'> | null {
    const model = this.#editor.getModel();
    const position = this.#editor.getPosition();
    const bufferId = model && this.#texts.idOf(model);
    if (model === null || position === null || bufferId === null) return null;
    return { bufferId, languageId: model.getLanguageId(), ...surroundings(model, position) };
  }

  /** Formats the text, if there is something that can. */
  async format(): Promise<void> {
    const action = this.#editor.getAction('editor.action.formatDocument');
    if (action?.isSupported()) await action.run();
  }

  /** Asks for an inline completion at the cursor even if none came by itself. */
  suggestInline(): void {
    this.#editor.focus();
    this.#editor.trigger('command', 'editor.action.inlineSuggest.trigger', {});
  }
}
