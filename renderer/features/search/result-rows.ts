// The visible rows of the results, and what a key does on one of them. Pure, so that the rules are testable.
import type { FileMatches, SearchMatch } from '../../../electron/common/search-contract.ts';

export type ResultRow =
  | { kind: 'file'; id: string; path: string; nMatches: number; isExpanded: boolean }
  | { kind: 'match'; id: string; path: string; match: SearchMatch; isLast: boolean };

/** A file's rows are the same as long as it is: while a search runs, thousands stay and some come. */
const kUnfolded = new WeakMap<FileMatches, readonly ResultRow[]>();

export function resultRows(files: readonly FileMatches[], collapsed: ReadonlySet<string>): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const file of files) {
    if (collapsed.has(file.path)) rows.push(fileRow(file, false));
    else for (const row of unfolded(file)) rows.push(row);
  }
  return rows;
}

function unfolded(file: FileMatches): readonly ResultRow[] {
  const known = kUnfolded.get(file);
  if (known) return known;
  const { path, matches } = file;
  const below = matches.map((match, i): ResultRow => {
    const id = `${path}:${match.line}:${match.start}`;
    return { kind: 'match', id, path, match, isLast: i === matches.length - 1 };
  });
  const rows = [fileRow(file, true), ...below];
  kUnfolded.set(file, rows);
  return rows;
}

function fileRow({ path, matches }: FileMatches, isExpanded: boolean): ResultRow {
  return { kind: 'file', id: path, path, nMatches: matches.length, isExpanded };
}

export type ResultMove = { do: 'focus'; id: string } | { do: 'open' | 'toggle' | 'dismiss'; row: ResultRow } | null;

export function resultKey(key: string, rows: readonly ResultRow[], focused: string | null): ResultMove {
  const index = rows.findIndex(({ id }) => id === focused);
  const row = rows[index];
  const at = (i: number): ResultMove => {
    const target = rows[Math.max(0, Math.min(rows.length - 1, i))];
    return target ? { do: 'focus', id: target.id } : null;
  };
  switch (key) {
    case 'ArrowDown':
      return at(index + 1);
    case 'ArrowUp':
      return at(index - 1);
    case 'PageDown':
      return at(index + 15);
    case 'PageUp':
      return at(index - 15);
    case 'Home':
      return at(0);
    case 'End':
      return at(rows.length - 1);
  }
  if (!row) return null;
  switch (key) {
    case 'ArrowRight':
      if (row.kind === 'match') return null;
      return row.isExpanded ? at(index + 1) : { do: 'toggle', row };
    case 'ArrowLeft':
      if (row.kind === 'match') return { do: 'focus', id: row.path };
      return row.isExpanded ? { do: 'toggle', row } : null;
    case 'Enter':
    case ' ':
      return row.kind === 'file' ? { do: 'toggle', row } : { do: 'open', row };
    case 'Delete':
      return { do: 'dismiss', row };
  }
  return null;
}
