// "Go to File": every file of the folder, found by letters of its path, and a line in it ("queue.ts:12"). "@" lists the
// names that the active text declares, ":" goes to a line of it.
import { Box, Hash, SquareFunction } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import { formatCount } from '../../lib/format.ts';
import type { OutlineSymbol } from '../../lib/outline.ts';
import { shownName } from '../../lib/paths.ts';
import { Picker, type PickerItem } from '../../ui/picker.tsx';
import { FileIcon } from './file-icon.tsx';

export interface Place {
  /** Null stands for the active text. */
  path: string | null;
  /** From 1; null leaves the cursor where it is. */
  line: number | null;
  column: number;
}

interface QuickOpenProps {
  workspace: WorkspaceApi;
  hasFolder: boolean;
  initialQuery: string;
  /** The names in the active text. */
  symbols: () => readonly OutlineSymbol[];
  onGo: (place: Place) => void;
  onClose: () => void;
}

/** Paths that are matched; of so many the longest answer to a key takes a fifth of a second. */
export const kMostPaths = 80_000;

/** What a list of paths says that has none to show. */
export function noPath(found: { truncated: boolean } | null, nothing: string): string {
  if (found === null) return 'Reading the folder…';
  return found.truncated
    ? `${nothing} Only the first ${formatCount(kMostPaths)} files of the folder were looked through.`
    : nothing;
}

export function QuickOpen({ workspace, hasFolder, initialQuery, symbols, onGo, onClose }: QuickOpenProps) {
  const [found, setFound] = useState<{ paths: readonly string[]; truncated: boolean } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [query, setQuery] = useState(initialQuery);
  useEffect(() => {
    if (!hasFolder) return;
    workspace.findFiles({ limit: kMostPaths }).then(setFound, (reason) => setError(toErrorInfo(reason).message));
  }, [workspace, hasFolder]);
  const files = useMemo(
    () => (found?.paths ?? []).map((path) => ({ id: path, text: shownName(path), icon: <FileIcon path={path} /> })),
    [found],
  );
  const [names] = useState(symbols);
  const mode = query.startsWith('@') ? 'symbol' : query.startsWith(':') ? 'line' : 'file';
  const { name, line, column } = parsePlace(mode === 'file' ? query : query.slice(1), mode);
  const symbolItems = useMemo(() => names.map(toItem), [names]);
  const items =
    mode === 'symbol'
      ? symbolItems
      : mode === 'file'
        ? files
        : line === null
          ? []
          : [{ id: ':', text: `Line ${line}` }];
  const emptyText = {
    symbol: names.length === 0 ? 'No names were found in this file.' : 'No name matches.',
    line: 'Type the number of a line, and a column after a colon if you like.',
    file: hasFolder ? (error ?? noPath(found, 'No file matches.')) : 'No folder is open.',
  };
  return (
    <Picker
      label={{ file: 'Go to file', symbol: 'Go to symbol', line: 'Go to line' }[mode]}
      placeholder="Name or path of a file; @ for a symbol, : for a line"
      items={items}
      query={query}
      filter={mode === 'line' ? '' : name}
      emptyText={emptyText[mode]}
      onQuery={setQuery}
      onPick={(id) => {
        if (mode === 'file') onGo({ path: id, line, column });
        else if (mode === 'line') onGo({ path: null, line, column });
        else onGo({ path: null, line: names[Number(id)]?.line ?? null, column: 1 });
      }}
      onClose={onClose}
    />
  );
}

/** "queue.ts:12:5" and "12:5". */
export function parsePlace(text: string, mode: 'file' | 'symbol' | 'line') {
  const [, name = '', line, column] = (mode === 'file'
    ? /^(.*?):(\d+)(?::(\d+))?:?$/
    : /^(\s*)(\d+)(?::(\d+))?:?$/
  ).exec(text.trim()) ?? ['', text];
  return {
    name: mode === 'line' ? '' : name,
    line: line ? Math.max(1, Number(line)) : null,
    column: Number(column ?? 1),
  };
}

function toItem(symbol: OutlineSymbol, index: number): PickerItem {
  const Icon = { function: SquareFunction, type: Box, heading: Hash }[symbol.kind];
  return {
    id: String(index),
    text: symbol.name,
    description: `Line ${symbol.line}`,
    icon: <Icon size={14} aria-hidden />,
  };
}
