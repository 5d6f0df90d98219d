// What the rest of the window may ask of the visible editor.
import type { monaco } from './monaco.ts';

export class EditorHandle {
  readonly #editor: monaco.editor.IStandaloneCodeEditor;

  constructor(editor: monaco.editor.IStandaloneCodeEditor) {
    this.#editor = editor;
  }

  focus(): void {
    this.#editor.focus();
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

  /** Asks for an inline completion at the cursor even if none came by itself. */
  suggestInline(): void {
    this.#editor.focus();
    this.#editor.trigger('command', 'editor.action.inlineSuggest.trigger', {});
  }
}
