// The one import of Monaco: its languages, its workers as files of our own origin (the content security policy
// allows neither blob workers nor a CDN), and our themes.
import * as monaco from 'monaco-editor';
import EditorWorker from 'monaco-editor/editor/editor.worker.js?worker';
import CssWorker from 'monaco-editor/language/css/css.worker.js?worker';
import HtmlWorker from 'monaco-editor/language/html/html.worker.js?worker';
import JsonWorker from 'monaco-editor/language/json/json.worker.js?worker';
import TypeScriptWorker from 'monaco-editor/language/typescript/ts.worker.js?worker';
import { contrastTheme, darkTheme, lightTheme } from './themes.ts';

const kWorkers: Record<string, new () => Worker> = {
  css: CssWorker,
  scss: CssWorker,
  less: CssWorker,
  html: HtmlWorker,
  handlebars: HtmlWorker,
  razor: HtmlWorker,
  json: JsonWorker,
  typescript: TypeScriptWorker,
  javascript: TypeScriptWorker,
};

self.MonacoEnvironment = {
  getWorker: (_workerId, label) => new (kWorkers[label] ?? EditorWorker)(),
};

monaco.editor.defineTheme('outpost-light', lightTheme);
monaco.editor.defineTheme('outpost-dark', darkTheme);
monaco.editor.defineTheme('outpost-contrast', contrastTheme);

// The workers see single buffers, not the project: an unresolved import would be a false alarm, a syntax error
// is a true one.
for (const defaults of [monaco.typescript.typescriptDefaults, monaco.typescript.javascriptDefaults]) {
  defaults.setDiagnosticsOptions({ noSemanticValidation: true, noSuggestionDiagnostics: true });
  defaults.setCompilerOptions({
    target: monaco.typescript.ScriptTarget.ESNext,
    jsx: monaco.typescript.JsxEmit.Preserve,
    allowJs: true,
    allowNonTsExtensions: true,
  });
}

/** Further down in a file, colours may come a moment later: to have them at once everything above is read. */
const kMostLinesAtOnce = 5000;

/** Switches every editor and every highlighted code block. */
export function setEditorTheme(theme: 'light' | 'dark' | 'contrast'): void {
  monaco.editor.setTheme(`outpost-${theme}`);
  // Monaco forgets what it knew about every text, and would show code without colours until it has read it again.
  for (const editor of monaco.editor.getEditors()) {
    const model = editor.getModel();
    const last = Math.max(0, ...editor.getVisibleRanges().map(({ endLineNumber }) => endLineNumber));
    if (model && last > 0 && last <= kMostLinesAtOnce) monaco.editor.colorizeModelLine(model, last);
  }
}

export { monaco };
