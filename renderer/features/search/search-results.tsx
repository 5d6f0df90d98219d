// What a search found, as an ARIA tree with one tab stop: files, and their matches below. Enter opens, Delete takes a
// row off the list.
import { ChevronRight, Replace, X } from 'lucide-react';
import { memo, useMemo, useRef, useState } from 'react';
import { useStore } from 'zustand';
import type { FileMatches, SearchMatch } from '../../../electron/common/search-contract.ts';
import { baseName, dirName, shownName } from '../../lib/paths.ts';
import { VirtualList } from '../../ui/virtual-list.tsx';
import { type ResultRow, resultKey, resultRows } from './result-rows.ts';
import styles from './search-results.module.css';
import type { SearchStore } from './search-store.ts';

interface SearchResultsProps {
  search: SearchStore;
  onOpen: (path: string, match: SearchMatch) => void;
  /** Null while there is nothing to replace with. */
  onReplace: ((files: readonly FileMatches[]) => void) | null;
}

const kRowHeight = 24;

export function SearchResults({ search, onOpen, onReplace }: SearchResultsProps) {
  const { files, collapsed } = useStore(search.store);
  const rows = useMemo(() => resultRows(files, collapsed), [files, collapsed]);
  const [focused, setFocused] = useState<string | null>(null);
  const host = useRef<HTMLDivElement>(null);
  const focusedIndex = rows.findIndex(({ id }) => id === focused);

  const open = (row: ResultRow) => {
    setFocused(row.id);
    if (row.kind === 'file') search.toggleFile(row.path);
    else onOpen(row.path, row.match);
  };
  const dismiss = (row: ResultRow) => {
    const index = rows.indexOf(row);
    const next =
      rows.slice(index + 1).find((below) => row.kind === 'match' || below.kind === 'file') ?? rows[index - 1];
    setFocused(next?.id ?? null);
    if (row.kind === 'file') search.dismiss(row.path);
    else search.dismiss(row.path, row.match);
    host.current?.focus();
  };
  const replace = (row: ResultRow) => {
    const file = files.find(({ path }) => path === row.path);
    if (file) onReplace?.([row.kind === 'file' ? file : { path: row.path, matches: [row.match] }]);
  };

  if (rows.length === 0) return null;
  return (
    <div
      ref={host}
      role="tree"
      aria-label="Search results"
      aria-activedescendant={focusedIndex >= 0 ? rowId(focused ?? '') : undefined}
      tabIndex={0}
      className={styles.tree}
      onFocus={() => focusedIndex < 0 && setFocused(rows[0]?.id ?? null)}
      onKeyDown={(event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const move = resultKey(event.key, rows, focused);
        if (move === null) return;
        event.preventDefault();
        if (move.do === 'focus') setFocused(move.id);
        else if (move.do === 'dismiss') dismiss(move.row);
        else open(move.row);
      }}
    >
      <VirtualList
        items={rows}
        rowHeight={kRowHeight}
        activeIndex={focusedIndex}
        className={styles.list}
        renderRow={(row) => (
          <Row
            key={row.id}
            row={row}
            isFocused={row.id === focused}
            onOpen={open}
            onDismiss={dismiss}
            onReplace={onReplace === null ? null : replace}
          />
        )}
      />
    </div>
  );
}

function rowId(id: string): string {
  return `found-${id}`;
}

interface RowProps {
  row: ResultRow;
  isFocused: boolean;
  onOpen: (row: ResultRow) => void;
  onDismiss: (row: ResultRow) => void;
  onReplace: ((row: ResultRow) => void) | null;
}

const Row = memo(function Row({ row, isFocused, onOpen, onDismiss, onReplace }: RowProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree element handles the keys for all rows
    // biome-ignore lint/a11y/useFocusableInteractive: focus stays on the tree (aria-activedescendant)
    <div
      id={rowId(row.id)}
      role="treeitem"
      aria-level={row.kind === 'file' ? 1 : 2}
      aria-expanded={row.kind === 'file' ? row.isExpanded : undefined}
      aria-selected={isFocused}
      data-focused={isFocused}
      className={`${styles.row} ${row.kind === 'match' ? styles.match : ''}`}
      title={row.kind === 'file' ? row.path : `Line ${row.match.line}`}
      onClick={() => onOpen(row)}
    >
      {row.kind === 'file' ? <FileRow row={row} /> : <Preview match={row.match} isReplacing={onReplace !== null} />}
      {/* For the pointer; the keyboard has Delete, and "replace all" after it. */}
      <span className={styles.actions} aria-hidden>
        {onReplace ? (
          <button type="button" tabIndex={-1} title="Replace" onClick={(event) => stop(event, () => onReplace(row))}>
            <Replace size={13} />
          </button>
        ) : null}
        <button
          type="button"
          tabIndex={-1}
          title="Take off the list"
          onClick={(event) => stop(event, () => onDismiss(row))}
        >
          <X size={13} />
        </button>
      </span>
    </div>
  );
});

function stop(event: React.MouseEvent, run: () => void): void {
  event.stopPropagation();
  run();
}

function FileRow({ row }: { row: Extract<ResultRow, { kind: 'file' }> }) {
  return (
    <>
      <ChevronRight size={14} aria-hidden className={styles.chevron} data-open={row.isExpanded} />
      <span className={styles.name}>
        {shownName(baseName(row.path))} <span className={styles.folder}>{shownName(dirName(row.path))}</span>
      </span>{' '}
      <span className={styles.count}>
        {row.nMatches}
        <span className="visually-hidden"> {row.nMatches === 1 ? 'match' : 'matches'}</span>
      </span>
    </>
  );
}

function Preview({ match, isReplacing }: { match: SearchMatch; isReplacing: boolean }) {
  const { preview, previewStart, text, replacement } = match;
  const before = preview.slice(0, previewStart).trimStart();
  const shown = preview.slice(previewStart, previewStart + text.length);
  return (
    <span className={styles.preview}>
      <span className="visually-hidden">Line {match.line}: </span>
      {before.length > 24 ? `…${before.slice(-24)}` : before}
      {isReplacing && replacement !== null ? (
        <>
          <del>{shown}</del>
          <ins>{replacement}</ins>
        </>
      ) : (
        <mark>{shown}</mark>
      )}
      {preview.slice(previewStart + text.length)}
    </span>
  );
}
