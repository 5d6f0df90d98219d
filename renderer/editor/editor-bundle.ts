// What comes with Monaco, in one piece (load-editor.ts).
export { CodeEditor } from './code-editor.tsx';
export { CodeHighlighter } from './code-highlighter.ts';
export { DiffView } from './diff-view.tsx';
export { problemsOf, registerInlineCompletions } from './inline-completions.ts';
export { languageName, languageOfLabel } from './languages.ts';
export { monaco, setEditorTheme, withoutBracketColors } from './monaco.ts';
export { ReviewDiff } from './review-diff.tsx';
