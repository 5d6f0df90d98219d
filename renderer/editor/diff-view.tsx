// A read-only comparison of two texts, for "compare" in the conflict dialog.
import { useEffect, useRef } from 'react';
import { monaco, withoutBracketColors } from './monaco.ts';

export interface DiffViewProps {
  original: string;
  modified: string;
  languageId: string;
  originalLabel: string;
  modifiedLabel: string;
}

export function DiffView({ original, modified, languageId, originalLabel, modifiedLabel }: DiffViewProps) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current) return;
    const editor = monaco.editor.createDiffEditor(host.current, {
      automaticLayout: true,
      readOnly: true,
      originalEditable: false,
      renderSideBySide: true,
      minimap: { enabled: false },
      scrollBeyondLastLine: false,
      renderOverviewRuler: false,
      hideUnchangedRegions: { enabled: true },
      originalAriaLabel: originalLabel,
      modifiedAriaLabel: modifiedLabel,
    });
    const models = {
      original: monaco.editor.createModel(original, languageId),
      modified: monaco.editor.createModel(modified, languageId),
    };
    for (const model of Object.values(models)) withoutBracketColors(model);
    editor.setModel(models);
    return () => {
      editor.dispose();
      models.original.dispose();
      models.modified.dispose();
    };
  }, [original, modified, languageId, originalLabel, modifiedLabel]);
  return <div ref={host} style={{ position: 'absolute', inset: 0 }} />;
}
