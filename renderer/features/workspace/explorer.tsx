// The left panel: the open folder with its tree, or what to do without one.
import { ChevronsDownUp, FilePlus2, FolderOpen, FolderPlus, FolderX, RefreshCw } from 'lucide-react';
import { useStore } from 'zustand';
import type { WorkspaceInfo } from '../../../electron/common/app-contract.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Notice } from '../../ui/notice.tsx';
import { Spinner } from '../../ui/progress.tsx';
import type { BuffersStore } from './buffers-store.ts';
import styles from './explorer.module.css';
import type { FileOperations } from './file-operations.ts';
import { FileTree } from './file-tree.tsx';
import type { TreeStore } from './tree-store.ts';

interface ExplorerProps {
  workspace: WorkspaceInfo | null;
  tree: TreeStore;
  buffers: BuffersStore;
  operations: FileOperations;
  /** What changed since the last commit, by path; "inside" for the folders above. */
  marks: ReadonlyMap<string, string>;
  onOpenFolder: () => void;
  onAttach: (path: string, isFolder: boolean) => void;
  onCopy: (text: string) => void;
}

export function Explorer(props: ExplorerProps) {
  const { workspace, tree, buffers, operations, marks, onOpenFolder, onAttach, onCopy } = props;
  const root = useStore(tree.store, (state) => state.directories['']);
  const isRootGone = useStore(tree.store, (state) => state.isRootGone);
  if (!workspace) {
    return (
      <EmptyState
        icon={<FolderOpen size={28} strokeWidth={1.5} aria-hidden />}
        title="No folder open"
        text="Open the folder of a project to see its files here."
      >
        <Button onClick={onOpenFolder}>Open Folder</Button>
      </EmptyState>
    );
  }
  if (isRootGone) {
    return (
      <EmptyState
        icon={<FolderX size={28} strokeWidth={1.5} aria-hidden />}
        title="The folder is gone"
        text={`${workspace.root} was moved, deleted or disconnected. Open files keep their text. The tree comes back when the folder does.`}
      >
        <Button onClick={onOpenFolder}>Open Another Folder</Button>
      </EmptyState>
    );
  }
  return (
    <div className={styles.explorer}>
      <header className={styles.head}>
        <h2 className={styles.title} title={workspace.root}>
          {workspace.name}
        </h2>
        <div className={styles.actions}>
          <IconButton label="New file" onClick={() => void tree.startNew('file')}>
            <FilePlus2 size={15} aria-hidden />
          </IconButton>
          <IconButton label="New folder" onClick={() => void tree.startNew('directory')}>
            <FolderPlus size={15} aria-hidden />
          </IconButton>
          <IconButton label="Refresh" onClick={() => void tree.refresh()}>
            <RefreshCw size={14} aria-hidden />
          </IconButton>
          <IconButton label="Collapse all" onClick={() => tree.collapseAll()}>
            <ChevronsDownUp size={15} aria-hidden />
          </IconButton>
        </div>
      </header>
      {root?.error ? (
        <div className={styles.notice}>
          <Notice
            kind="error"
            message={root.error.message}
            hint={root.error.hint}
            actions={<Button onClick={() => void tree.refresh()}>Try Again</Button>}
          />
        </div>
      ) : root ? (
        <FileTree
          name={workspace.name}
          root={workspace.root}
          tree={tree}
          buffers={buffers}
          operations={operations}
          marks={marks}
          onAttach={onAttach}
          onCopy={onCopy}
        />
      ) : (
        <p className={styles.loading} role="status">
          <Spinner /> Reading the folder
        </p>
      )}
    </div>
  );
}
