// A read-only comparison that changes while it is looked at, with one change marked and kept in view.
import { useEffect, useRef } from 'react';
import { monaco, withoutBracketColors } from './monaco.ts';

export interface ReviewDiffProps {
  original: string;
  modified: string;
  languageId: string;
  fontSize: number;
  /** Where the marked change starts in `modified`, from 1, and how many lines it has there. */
  line: number;
  nLines: number;
  originalLabel: string;
  modifiedLabel: string;
}

/** Narrower than this the texts stand in one column. */
const kSideBySidePx = 760;

export function ReviewDiff({ original, modified, languageId, fontSize, line, nLines, ...labels }: ReviewDiffProps) {
  const { originalLabel, modifiedLabel } = labels;
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<monaco.editor.IStandaloneDiffEditor>(null);
  useEffect(() => {
    if (!host.current) return;
    const created = monaco.editor.createDiffEditor(host.current, {
      automaticLayout: true,
      readOnly: true,
      originalEditable: false,
      renderSideBySide: true,
      useInlineViewWhenSpaceIsLimited: true,
      renderSideBySideInlineBreakpoint: kSideBySidePx,
      minimap: { enabled: false },
      scrollBeyondLastLine: false,
      renderOverviewRuler: false,
      hideUnchangedRegions: { enabled: true },
      fixedOverflowWidgets: true,
      originalAriaLabel: originalLabel,
      modifiedAriaLabel: modifiedLabel,
    });
    const models = {
      original: monaco.editor.createModel('', languageId),
      modified: monaco.editor.createModel('', languageId),
    };
    for (const model of Object.values(models)) withoutBracketColors(model);
    created.setModel(models);
    editor.current = created;
    return () => {
      editor.current = null;
      created.dispose();
      models.original.dispose();
      models.modified.dispose();
    };
  }, [languageId, originalLabel, modifiedLabel]);

  useEffect(() => {
    editor.current?.updateOptions({ fontSize, lineHeight: Math.round(fontSize * 1.55) });
  }, [fontSize]);

  useEffect(() => {
    const models = editor.current?.getModel();
    if (models?.original.getValue() !== original) models?.original.setValue(original);
    if (models?.modified.getValue() !== modified) models?.modified.setValue(modified);
  }, [original, modified]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: new texts take the mark away
  useEffect(() => {
    const shown = editor.current?.getModifiedEditor();
    if (!shown) return;
    const marked = shown.createDecorationsCollection([
      {
        range: new monaco.Range(line, 1, Math.max(line, line + nLines - 1), 1),
        options: { isWholeLine: true, className: 'current-change' },
      },
    ]);
    shown.revealLineInCenterIfOutsideViewport(line);
    return () => marked.clear();
  }, [line, nLines, original, modified]);

  return <div ref={host} style={{ position: 'absolute', inset: 0 }} />;
}
