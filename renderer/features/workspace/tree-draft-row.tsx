// The row in which a new or changed name is typed. Enter takes it, Escape and leaving drop it.
import { useEffect, useRef, useState } from 'react';
import { baseName } from '../../lib/paths.ts';
import type { BuffersStore } from './buffers-store.ts';
import { FileIcon, FolderIcon } from './file-icon.tsx';
import type { FileOperations } from './file-operations.ts';
import styles from './file-tree.module.css';
import type { TreeDraft, TreeStore } from './tree-store.ts';

interface TreeDraftRowProps {
  tree: TreeStore;
  buffers: BuffersStore;
  operations: FileOperations;
  draft: TreeDraft;
  level: number;
  onDone: () => void;
}

const kLabels = { file: 'Name of the new file', directory: 'Name of the new folder', rename: 'New name' };

export function TreeDraftRow({ tree, buffers, operations, draft, level, onDone }: TreeDraftRowProps) {
  const [name, setName] = useState(draft.path === null ? '' : baseName(draft.path));
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const element = input.current;
    if (!element) return;
    element.focus();
    const dot = element.value.lastIndexOf('.');
    element.setSelectionRange(0, dot > 0 ? dot : element.value.length);
  }, []);

  const commit = async () => {
    const done = await tree.commitDraft(name);
    if (!done) return;
    onDone();
    if (done.kind === 'rename' && done.from !== null) operations.renamed(done.from, done.path);
    else operations.created(done.path);
    if (done.kind === 'file') await buffers.open(done.path);
  };

  return (
    <div role="none" className={`${styles.row} ${styles.draft}`} style={{ paddingLeft: 8 + (level - 1) * 12 }}>
      <span className={styles.gap} />
      {draft.kind === 'directory' ? <FolderIcon isOpen={false} /> : <FileIcon path={name} />}
      <input
        ref={input}
        aria-label={kLabels[draft.kind]}
        aria-invalid={draft.error !== null}
        className={styles.input}
        value={name}
        spellCheck={false}
        onChange={(event) => setName(event.target.value)}
        onBlur={() => tree.cancelDraft()}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === 'Enter') void commit();
          if (event.key === 'Escape') {
            tree.cancelDraft();
            onDone();
          }
        }}
      />
      {draft.error ? (
        <p role="alert" className={styles.draftError}>
          {draft.error}
        </p>
      ) : null}
    </div>
  );
}
