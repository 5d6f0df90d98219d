// One Monaco editor that shows one buffer at a time. Scroll position and cursor of every buffer are kept here;
// the texts live in the text store and outlive the component.
import { useEffect, useRef } from 'react';
import { EditorHandle } from './editor-handle.ts';
import { monaco } from './monaco.ts';
import type { MonacoTextStore } from './monaco-text-store.ts';

export interface CursorInfo {
  line: number;
  column: number;
  selectedChars: number;
}

export interface CodeEditorProps {
  texts: MonacoTextStore;
  bufferId: string;
  label: string;
  fontSize: number;
  isReadOnly: boolean;
  onCursor: (cursor: CursorInfo) => void;
  /** The handle while the editor is mounted, then null. */
  onHandle: (handle: EditorHandle | null) => void;
}

const kFontFamily =
  'ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono", monospace';

export function CodeEditor({ texts, bufferId, label, fontSize, isReadOnly, onCursor, onHandle }: CodeEditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<monaco.editor.IStandaloneCodeEditor>(null);
  const viewStates = useRef(new Map<string, monaco.editor.ICodeEditorViewState>());
  const callbacks = useRef({ onCursor, onHandle });
  callbacks.current = { onCursor, onHandle };

  useEffect(() => {
    if (!host.current) return;
    const created = monaco.editor.create(host.current, {
      model: null,
      automaticLayout: true,
      fontFamily: kFontFamily,
      minimap: { enabled: false },
      padding: { top: 8, bottom: 8 },
      scrollBeyondLastLine: false,
      renderLineHighlight: 'line',
      renderLineHighlightOnlyWhenFocus: true,
      lineNumbersMinChars: 4,
      glyphMargin: false,
      stickyScroll: { enabled: false },
      bracketPairColorization: { enabled: false },
      guides: { indentation: true },
      inlineSuggest: { enabled: true, mode: 'prefix', showToolbar: 'onHover' },
      // Ghost text is the suggestion; a list that pops up by itself would hide it. Ctrl+Space still opens one.
      quickSuggestions: false,
      wordBasedSuggestions: 'off',
      occurrencesHighlight: 'singleFile',
      fixedOverflowWidgets: true,
      unusualLineTerminators: 'off',
      hideCursorInOverviewRuler: true,
      overviewRulerBorder: false,
      scrollbar: { horizontalScrollbarSize: 10, verticalScrollbarSize: 10, useShadows: false },
    });
    editor.current = created;
    const calm = matchMedia('(prefers-reduced-motion: reduce)');
    const setMotion = () => {
      created.updateOptions({ smoothScrolling: !calm.matches, cursorBlinking: calm.matches ? 'solid' : 'blink' });
    };
    setMotion();
    calm.addEventListener('change', setMotion);
    const cursor = created.onDidChangeCursorSelection(({ selection }) => {
      const model = created.getModel();
      if (!model) return;
      const { lineNumber, column } = selection.getPosition();
      callbacks.current.onCursor({ line: lineNumber, column, selectedChars: model.getValueLengthInRange(selection) });
    });
    callbacks.current.onHandle(new EditorHandle(created, texts));
    return () => {
      callbacks.current.onHandle(null);
      calm.removeEventListener('change', setMotion);
      cursor.dispose();
      created.dispose();
      editor.current = null;
    };
  }, [texts]);

  useEffect(() => {
    const shown = editor.current;
    const model = texts.model(bufferId);
    if (!shown || !model) return;
    const states = viewStates.current;
    shown.setModel(model);
    shown.restoreViewState(states.get(bufferId) ?? null);
    return () => {
      const state = shown.saveViewState();
      if (state) states.set(bufferId, state);
    };
  }, [texts, bufferId]);

  useEffect(() => {
    editor.current?.updateOptions({
      fontSize,
      lineHeight: Math.round(fontSize * 1.55),
      readOnly: isReadOnly,
      ariaLabel: `${label}, editor`,
    });
  }, [fontSize, isReadOnly, label]);

  return <div ref={host} style={{ position: 'absolute', inset: 0 }} />;
}
