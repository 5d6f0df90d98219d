// What stands at the left: the tree, search, or source control.
import { useCallback, useMemo } from 'react';
import { useStore } from 'zustand';
import { GitPanel } from '../features/git/git-panel.tsx';
import { treeMarks } from '../features/git/git-store.ts';
import { SearchPanel } from '../features/search/search-panel.tsx';
import { Explorer } from '../features/workspace/explorer.tsx';
import type { AppModel } from './app-model.ts';
import { attachPath } from './chat-actions.ts';
import styles from './panels.module.css';
import { compareWithCommit, replaceFound, showInFile } from './text-actions.ts';

export function Side({ model }: { model: AppModel }) {
  const view = useStore(model.ui, (state) => state.sideView);
  const workspace = useStore(model.workspace, (state) => state.workspace);
  const status = useStore(model.git.store, (state) => state.status);
  const marks = useMemo(() => treeMarks(status), [status]);
  const openFolder = useCallback(() => void model.openFolder(), [model]);
  const onAttach = useCallback((path: string, isFolder: boolean) => void attachPath(model, path, isFolder), [model]);
  const onCopy = useCallback((text: string) => model.copy(text), [model]);
  const searchInput = useCallback(
    (input: HTMLInputElement | null) => {
      model.searchInput = input;
    },
    [model],
  );
  if (view === 'search') {
    return (
      <search aria-label="Search in files" data-region="search" className={styles.explorer}>
        <SearchPanel
          search={model.search}
          hasFolder={workspace !== null}
          inputRef={searchInput}
          onOpen={(path, { line, start, end }) =>
            void showInFile(model, path, { startLine: line, startColumn: start + 1, endLine: line, endColumn: end + 1 })
          }
          onReplace={(files) => void replaceFound(model, files)}
          onOpenFolder={openFolder}
        />
      </search>
    );
  }
  if (view === 'git') {
    return (
      <section aria-label="Source control" data-region="git" className={styles.explorer}>
        <GitPanel
          git={model.git}
          hasFolder={workspace !== null}
          onOpenFolder={openFolder}
          onCompare={(path) => void compareWithCommit(model, path)}
          onSwitchBranch={() => model.ui.setState({ overlay: 'branches' })}
        />
      </section>
    );
  }
  return (
    <nav aria-label="Explorer" data-region="explorer" className={styles.explorer}>
      <Explorer
        workspace={workspace}
        tree={model.tree}
        buffers={model.buffers}
        operations={model.operations}
        marks={marks}
        onOpenFolder={openFolder}
        onAttach={onAttach}
        onCopy={onCopy}
      />
    </nav>
  );
}
