// Highlights a code block that may still be growing. A hidden Monaco model keeps the tokenizer's state per line,
// so an appended line costs one line; lines that are done keep their markup string and are not drawn again.
import { monaco } from './monaco.ts';

export class CodeHighlighter {
  readonly #model: monaco.editor.ITextModel;
  #text = '';
  #lines: string[] = [];

  private constructor(languageId: string) {
    this.#model = monaco.editor.createModel('', languageId);
  }

  /** Resolves when the language's grammar is loaded. The caller disposes the highlighter. */
  static async create(languageId: string): Promise<CodeHighlighter> {
    await monaco.editor.colorize('', languageId, {});
    return new CodeHighlighter(languageId);
  }

  /** One string of markup per line of `text`, escaped by Monaco: spans with classes and nothing else. */
  update(text: string): readonly string[] {
    if (text === this.#text && this.#lines.length > 0) return this.#lines;
    const isGrowing = text.startsWith(this.#text);
    if (isGrowing) {
      const end = this.#model.getFullModelRange();
      const range = monaco.Range.fromPositions(end.getEndPosition());
      this.#model.applyEdits([{ range, text: text.slice(this.#text.length) }]);
    } else {
      this.#model.setValue(text);
    }
    this.#text = text;
    const kept = isGrowing ? Math.max(0, this.#lines.length - 1) : 0;
    this.#lines = this.#lines.slice(0, kept);
    for (let line = kept + 1; line <= this.#model.getLineCount(); line++) {
      this.#lines.push(monaco.editor.colorizeModelLine(this.#model, line, 2));
    }
    return this.#lines;
  }

  dispose(): void {
    this.#model.dispose();
  }
}
