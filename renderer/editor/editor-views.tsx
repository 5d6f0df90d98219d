// The editor's components for the rest of the window. Each shows a text that is open, so that Monaco is there.
import type { CodeEditorProps } from './code-editor.tsx';
import type { DiffViewProps } from './diff-view.tsx';
import { loadedEditor } from './load-editor.ts';
import type { ReviewDiffProps } from './review-diff.tsx';

export function CodeEditor(props: CodeEditorProps) {
  const View = loadedEditor().CodeEditor;
  return <View {...props} />;
}

export function DiffView(props: DiffViewProps) {
  const View = loadedEditor().DiffView;
  return <View {...props} />;
}

export function ReviewDiff(props: ReviewDiffProps) {
  const View = loadedEditor().ReviewDiff;
  return <View {...props} />;
}
