// The file tree as an ARIA tree with one tab stop: arrows move, Enter opens, letters search, F2 renames.
import {
  ChevronRight,
  ClipboardPaste,
  Copy,
  CopySlash,
  FilePlus2,
  FolderPlus,
  Paperclip,
  Pencil,
  Scissors,
  Trash2,
  Undo2,
} from 'lucide-react';
import { memo, useCallback, useEffect, useMemo, useRef } from 'react';
import { useStore } from 'zustand';
import { dirName, joinPath, shownName } from '../../lib/paths.ts';
import { shortcutKeys } from '../../lib/shortcut.ts';
import { ContextMenu, type MenuAction } from '../../ui/menu.tsx';
import { VirtualList } from '../../ui/virtual-list.tsx';
import type { BuffersStore } from './buffers-store.ts';
import { FileIcon, FolderIcon } from './file-icon.tsx';
import type { FileOperations } from './file-operations.ts';
import styles from './file-tree.module.css';
import { TreeDraftRow } from './tree-draft-row.tsx';
import { type TreeRow, treeKey, treeRows, typeAhead } from './tree-rows.ts';
import type { TreeStore } from './tree-store.ts';

interface FileTreeProps {
  name: string;
  /** The folder's own path. */
  root: string;
  tree: TreeStore;
  buffers: BuffersStore;
  operations: FileOperations;
  marks: ReadonlyMap<string, string>;
  onAttach: (path: string, isFolder: boolean) => void;
  onCopy: (text: string) => void;
}

const kRowHeight = 24;
/** A pause in typing after which the next letter starts a new search. */
const kTypeAheadMs = 800;

export function FileTree({ name, root, tree, buffers, operations, marks, onAttach, onCopy }: FileTreeProps) {
  const { directories, expanded, focused, draft } = useStore(tree.store);
  const activePath = useStore(buffers.store, (state) =>
    state.activeId ? (state.buffers[state.activeId]?.path ?? null) : null,
  );
  const dirty = useStore(buffers.store, dirtyPaths);
  const rows = useMemo(() => treeRows({ directories, expanded, draft }), [directories, expanded, draft]);
  const host = useRef<HTMLDivElement>(null);
  const typed = useRef({ text: '', atMs: 0 });

  useEffect(() => {
    if (activePath !== null) void tree.reveal(activePath);
  }, [activePath, tree]);

  const focusedIndex = rows.findIndex((row) => row.kind === 'entry' && row.entry.path === focused);
  const focusedRow = rows[focusedIndex];
  const activate = useCallback(
    (path: string, isDirectory: boolean) => {
      tree.focus(path);
      void (isDirectory ? tree.toggle(path) : buffers.open(path));
    },
    [tree, buffers],
  );

  const cut = () => focused !== null && operations.cut(focused);
  const paste = () => operations.paste(focusedRow ? folderOf(focusedRow) : '');

  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.target instanceof HTMLInputElement || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      const run = { x: cut, v: paste, z: () => operations.undo() }[event.key];
      if (run) event.preventDefault();
      void run?.();
      return;
    }
    const move = treeKey(event.key, rows, focused);
    if (move) {
      event.preventDefault();
      if (move.do === 'focus') tree.focus(move.path);
      else if (move.do === 'expand') void tree.expand(move.path);
      else if (move.do === 'collapse') tree.collapse(move.path);
      else if (move.do === 'open') void buffers.open(move.path);
      else if (move.do === 'delete') void operations.trash(move.path);
      else tree.startRename(move.path);
    } else if (event.key.length === 1 && event.key !== ' ') {
      const isNew = event.timeStamp - typed.current.atMs > kTypeAheadMs;
      typed.current = { text: (isNew ? '' : typed.current.text) + event.key, atMs: event.timeStamp };
      const found = typeAhead(typed.current.text, rows, focused);
      if (found !== null) tree.focus(found);
    }
  };

  const withFocused = (run: (path: string) => unknown) => ({
    isDisabled: focused === null,
    run: () => void (focused !== null && run(focused)),
  });
  const isFolder = focusedRow?.kind === 'entry' && focusedRow.entry.kind === 'directory';
  const actions: MenuAction[] = [
    { label: 'New File', icon: <FilePlus2 size={15} aria-hidden />, run: () => void tree.startNew('file') },
    { label: 'New Folder', icon: <FolderPlus size={15} aria-hidden />, run: () => void tree.startNew('directory') },
    {
      label: 'Attach to Chat',
      icon: <Paperclip size={15} aria-hidden />,
      startsGroup: true,
      ...withFocused((path) => onAttach(path, isFolder)),
    },
    {
      label: 'Copy Path',
      icon: <Copy size={15} aria-hidden />,
      run: () => onCopy(focused === null ? root : joinPath(root, focused)),
    },
    { label: 'Copy Relative Path', icon: <CopySlash size={15} aria-hidden />, ...withFocused(onCopy) },
    {
      label: 'Rename',
      icon: <Pencil size={15} aria-hidden />,
      keys: ['F2'],
      startsGroup: true,
      ...withFocused((path) => tree.startRename(path)),
    },
    { label: 'Cut', icon: <Scissors size={15} aria-hidden />, keys: keysOf('X'), ...withFocused(cut) },
    {
      label: 'Paste',
      icon: <ClipboardPaste size={15} aria-hidden />,
      keys: keysOf('V'),
      isDisabled: () => !operations.canPaste,
      run: () => void paste(),
    },
    {
      label: 'Move to Trash',
      icon: <Trash2 size={15} aria-hidden />,
      keys: ['Del'],
      isDanger: true,
      ...withFocused((path) => operations.trash(path)),
    },
    {
      label: 'Undo File Operation',
      icon: <Undo2 size={15} aria-hidden />,
      keys: keysOf('Z'),
      startsGroup: true,
      isDisabled: () => !operations.canUndo,
      run: () => void operations.undo(),
    },
  ];

  return (
    <ContextMenu actions={actions}>
      <div
        ref={host}
        role="tree"
        aria-label={`Files of ${name}`}
        aria-activedescendant={focusedIndex >= 0 ? rowId(focused ?? '') : undefined}
        tabIndex={0}
        className={styles.tree}
        onKeyDown={onKeyDown}
        onContextMenu={({ button, target }) => {
          // The empty part is the folder itself. A key that opens the menu is for the row that has the keyboard.
          const isRow = target instanceof Element && target.closest('[role="treeitem"]') !== null;
          if (button === 2 && !isRow) tree.focus(null);
        }}
        onFocus={() => {
          const first = rows.find((row) => row.kind === 'entry');
          if (focused === null && first) tree.focus(first.entry.path);
        }}
      >
        <VirtualList
          items={rows}
          rowHeight={kRowHeight}
          activeIndex={focusedIndex}
          className={styles.list}
          renderRow={(row) =>
            row.kind === 'draft' ? (
              <TreeDraftRow
                key="draft"
                tree={tree}
                buffers={buffers}
                operations={operations}
                draft={row.draft}
                level={row.level}
                onDone={() => host.current?.focus()}
              />
            ) : row.kind === 'message' ? (
              <div
                key={`message:${row.path}`}
                role="none"
                className={`${styles.message} ${row.isError ? styles.error : ''}`}
                style={indent(row.level)}
              >
                {row.text}
              </div>
            ) : (
              <EntryRow
                key={row.entry.path}
                row={row}
                isFocused={row.entry.path === focused}
                isActive={row.entry.path === activePath}
                mark={marks.get(row.entry.path)}
                isDirty={dirty.includes(`\n${row.entry.path}\n`)}
                onActivate={activate}
                onSecondary={(path) => tree.focus(path)}
                onDropped={(from) => void operations.move(from, folderOf(row))}
              />
            )
          }
        />
      </div>
    </ContextMenu>
  );
}

/** Paths with unsaved text as one string, so that the selector's result compares by value. */
function dirtyPaths(state: ReturnType<BuffersStore['store']['getState']>): string {
  return `\n${Object.values(state.buffers)
    .filter((buffer) => buffer.isDirty)
    .map((buffer) => buffer.path)
    .join('\n')}\n`;
}

function keysOf(key: string): string[] {
  return shortcutKeys(`CmdOrCtrl+${key}`, navigator.platform.startsWith('Mac'));
}

/** Where something goes that is put on a row: into a folder, beside a file. */
function folderOf(row: TreeRow): string {
  if (row.kind !== 'entry') return '';
  return row.entry.kind === 'directory' ? row.entry.path : dirName(row.entry.path);
}

const kDragType = 'application/x-outpost-entry';

function rowId(path: string): string {
  return `tree-${path}`;
}

function indent(level: number) {
  return { paddingLeft: 8 + (level - 1) * 12 };
}

interface EntryRowProps {
  row: Extract<TreeRow, { kind: 'entry' }>;
  isFocused: boolean;
  isActive: boolean;
  isDirty: boolean;
  mark: string | undefined;
  onActivate: (path: string, isDirectory: boolean) => void;
  onSecondary: (path: string) => void;
  onDropped: (from: string) => void;
}

const EntryRow = memo(function EntryRow(props: EntryRowProps) {
  const { row, isFocused, isActive, isDirty, mark, onActivate, onSecondary, onDropped } = props;
  const { entry, level, isExpanded, setSize, posInSet } = row;
  const isDirectory = entry.kind === 'directory';
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree element handles the keys for all rows
    // biome-ignore lint/a11y/useFocusableInteractive: focus stays on the tree (aria-activedescendant)
    <div
      id={rowId(entry.path)}
      role="treeitem"
      aria-level={level}
      aria-setsize={setSize}
      aria-posinset={posInSet}
      aria-selected={isActive}
      aria-expanded={isDirectory ? isExpanded : undefined}
      aria-label={[entry.name, isDirty ? 'unsaved' : '', mark === 'inside' ? '' : mark].filter(Boolean).join(', ')}
      data-mark={mark}
      data-focused={isFocused}
      className={`${styles.row} ${entry.ignored ? styles.ignored : ''}`}
      style={indent(level)}
      title={entry.path}
      onClick={() => onActivate(entry.path, isDirectory)}
      onContextMenu={() => onSecondary(entry.path)}
      draggable
      onDragStart={(event) => event.dataTransfer.setData(kDragType, entry.path)}
      onDragOver={(event) => event.dataTransfer.types.includes(kDragType) && event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        onDropped(event.dataTransfer.getData(kDragType));
      }}
    >
      {isDirectory ? (
        <ChevronRight size={14} aria-hidden className={styles.chevron} data-open={isExpanded} />
      ) : (
        <span className={styles.gap} />
      )}
      {isDirectory ? <FolderIcon isOpen={isExpanded} /> : <FileIcon path={entry.path} />}
      <span className={styles.name}>{shownName(entry.name)}</span>
      {isDirty ? <span className={styles.dot} aria-hidden /> : null}
      {mark !== undefined && mark !== 'inside' ? (
        // Drawn by the style sheet: a letter in the text would have to be in the name, which says the word.
        <span
          className={styles.mark}
          data-letter={mark === 'untracked' ? 'U' : mark === 'conflicted' ? '!' : mark.charAt(0).toUpperCase()}
          aria-hidden
        />
      ) : null}
    </div>
  );
});
