// The visible rows of the tree, and how the keyboard moves between them. Pure, so that the rules are testable.
import type { Entry } from '../../../electron/common/workspace-contract.ts';
import { dirName } from '../../lib/paths.ts';
import type { TreeDraft, TreeState } from './tree-store.ts';

export type TreeRow =
  | { kind: 'entry'; entry: Entry; level: number; isExpanded: boolean; setSize: number; posInSet: number }
  | { kind: 'draft'; draft: TreeDraft; level: number }
  | { kind: 'message'; path: string; level: number; text: string; isError: boolean };

/** Depth first; level 1 is the root's content, as in aria-level. */
export function treeRows({
  directories,
  expanded,
  draft,
}: Pick<TreeState, 'directories' | 'expanded' | 'draft'>): TreeRow[] {
  const rows: TreeRow[] = [];
  const walk = (path: string, level: number) => {
    const directory = directories[path];
    if (draft && draft.kind !== 'rename' && draft.parent === path) rows.push({ kind: 'draft', draft, level });
    if (!directory) return;
    if (directory.error) {
      rows.push({ kind: 'message', path, level, text: directory.error.message, isError: true });
    } else if (directory.entries.length === 0 && rows.at(-1)?.kind !== 'draft') {
      const text = directory.status === 'reading' ? 'Reading…' : 'Empty folder';
      rows.push({ kind: 'message', path, level, text, isError: false });
    }
    const setSize = directory.entries.length;
    directory.entries.forEach((entry, i) => {
      if (draft?.kind === 'rename' && draft.path === entry.path) {
        rows.push({ kind: 'draft', draft, level });
        return;
      }
      const isExpanded = entry.kind === 'directory' && expanded.has(entry.path);
      rows.push({ kind: 'entry', entry, level, isExpanded, setSize, posInSet: i + 1 });
      if (isExpanded) walk(entry.path, level + 1);
    });
  };
  walk('', 1);
  return rows;
}

export type TreeMove =
  | { do: 'focus'; path: string }
  | { do: 'expand' | 'collapse' | 'open' | 'rename' | 'delete'; path: string }
  | null;

/** What a key does on the focused row (WAI-ARIA tree pattern). */
export function treeKey(key: string, rows: readonly TreeRow[], focused: string | null): TreeMove {
  const entries = rows.filter((row) => row.kind === 'entry');
  if (entries.length === 0) return null;
  const index = entries.findIndex((row) => row.entry.path === focused);
  const row = entries[index];
  const at = (i: number): TreeMove => {
    const target = entries[Math.max(0, Math.min(entries.length - 1, i))];
    return target ? { do: 'focus', path: target.entry.path } : null;
  };
  switch (key) {
    case 'ArrowDown':
      return at(index + 1);
    case 'ArrowUp':
      return at(index < 0 ? 0 : index - 1);
    case 'Home':
      return at(0);
    case 'End':
      return at(entries.length - 1);
    case 'PageDown':
      return at(index + 15);
    case 'PageUp':
      return at(index - 15);
  }
  if (!row) return null;
  const { path, kind } = row.entry;
  switch (key) {
    case 'ArrowRight':
      if (kind !== 'directory') return null;
      if (!row.isExpanded) return { do: 'expand', path };
      return entries[index + 1]?.level === row.level + 1 ? at(index + 1) : null;
    case 'ArrowLeft':
      if (row.isExpanded) return { do: 'collapse', path };
      return dirName(path) === '' ? null : { do: 'focus', path: dirName(path) };
    case 'Enter':
    case ' ':
      if (kind === 'file') return { do: 'open', path };
      return { do: row.isExpanded ? 'collapse' : 'expand', path };
    case 'Delete':
      return { do: 'delete', path };
    case 'F2':
      return { do: 'rename', path };
  }
  return null;
}

/** The next row whose name starts with what was typed, after the focused one, around the end. */
export function typeAhead(typed: string, rows: readonly TreeRow[], focused: string | null): string | null {
  const entries = rows.filter((row) => row.kind === 'entry');
  const index = entries.findIndex((row) => row.entry.path === focused);
  // A single letter moves on; a longer text may still match the row that its first letters reached.
  const from = typed.length === 1 ? index + 1 : Math.max(0, index);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[(from + i) % entries.length]?.entry;
    if (entry?.name.toLowerCase().startsWith(typed.toLowerCase())) return entry.path;
  }
  return null;
}
