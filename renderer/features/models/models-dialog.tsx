// The view of models: what is here, what can be had, what is on its way, and what of it is in memory.
import { Tabs } from 'radix-ui';
import { type DragEvent, useState } from 'react';
import { useStore } from 'zustand';
import { Dialog } from '../../ui/dialog.tsx';
import { DownloadList } from './download-list.tsx';
import { FindPanel } from './find-panel.tsx';
import { LibraryPanel } from './library-panel.tsx';
import type { LibraryStore } from './library-store.ts';
import { MemoryBar } from './memory-bar.tsx';
import styles from './models-dialog.module.css';

interface ModelsDialogProps {
  models: LibraryStore;
  hasFolder: boolean;
  isNetworkOff: boolean;
  /** The path of a file that was dropped. */
  pathOf: (file: File) => string;
  onOpenConnections: () => void;
  onClose: () => void;
}

export function ModelsDialog({
  models,
  hasFolder,
  isNetworkOff,
  pathOf,
  onOpenConnections,
  onClose,
}: ModelsDialogProps) {
  const view = useStore(models.store, (state) => state.view);
  const library = useStore(models.store, (state) => state.library);
  const [isOver, setIsOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setIsOver(false);
    void models.importDropped([...event.dataTransfer.files].map(pathOf).filter((path) => path !== ''));
  };
  return (
    <Dialog title="Models" size="full" onClose={onClose}>
      <section
        aria-label="Models, drop files here to add them"
        className={`${styles.view} ${isOver ? styles.over : ''}`}
        onDragOver={(event) => {
          event.preventDefault();
          setIsOver(true);
        }}
        onDragLeave={() => setIsOver(false)}
        onDrop={drop}
      >
        {library ? <MemoryBar models={models} library={library} /> : null}
        {library && library.downloads.length > 0 ? (
          <DownloadList models={models} downloads={library.downloads} />
        ) : null}
        <Tabs.Root
          className={styles.tabs}
          value={view}
          onValueChange={(next) => models.show(next === 'find' ? 'find' : 'library')}
        >
          <Tabs.List aria-label="Models" className={styles.tabList}>
            <Tabs.Trigger value="library" className={styles.tab}>
              On this machine
            </Tabs.Trigger>
            <Tabs.Trigger value="find" className={styles.tab}>
              Find models
            </Tabs.Trigger>
          </Tabs.List>
          <Tabs.Content value="library" className={styles.content}>
            <LibraryPanel models={models} hasFolder={hasFolder} />
          </Tabs.Content>
          <Tabs.Content value="find" className={styles.content}>
            <FindPanel models={models} isNetworkOff={isNetworkOff} onOpenConnections={onOpenConnections} />
          </Tabs.Content>
        </Tabs.Root>
      </section>
    </Dialog>
  );
}
