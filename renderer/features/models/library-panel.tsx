// Models on this machine: the list, and the card of the one that is chosen.
import { AppWindow, FolderSearch, HardDrive, Plus, TriangleAlert } from 'lucide-react';
import { useStore } from 'zustand';
import type { ModelEntry, ModelsState } from '../../../electron/common/model-contract.ts';
import type { LoadedModel } from '../../../electron/common/role-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Spinner } from '../../ui/progress.tsx';
import { FoundModels } from './found-models.tsx';
import styles from './library-panel.module.css';
import type { LibraryStore } from './library-store.ts';
import { ModelCard } from './model-card.tsx';

const roleNames = { chat: 'Chat', inline: 'Completion', draft: 'Draft', embedding: 'Search by meaning' };

export function LibraryPanel({ models, hasFolder }: { models: LibraryStore; hasFolder: boolean }) {
  const library = useStore(models.store, (state) => state.library);
  const loaded = useStore(models.store, (state) => state.loaded);
  const found = useStore(models.store, (state) => state.found);
  useStore(models.store, (state) => state.selectedId);
  if (library === null) return <EmptyState icon={<Spinner size={22} />} title="Looking for models" />;
  const { selected } = models;
  return (
    <div className={styles.panel}>
      <div className={styles.side}>
        <div className={styles.actions}>
          <Button onClick={() => void models.chooseFiles()}>
            <Plus size={14} aria-hidden />
            Add Files…
          </Button>
          <Button onClick={() => void models.scan('folder')}>
            <FolderSearch size={14} aria-hidden />
            Scan a Folder…
          </Button>
          <Button onClick={() => void models.scan('others')}>
            <AppWindow size={14} aria-hidden />
            From Other Apps
          </Button>
        </div>
        <ul aria-label="Models on this machine" className={styles.list}>
          {library.models.map((model) => (
            <li key={model.id}>
              <Item
                model={model}
                library={library}
                loaded={loaded.find(({ id }) => id === model.id)}
                isSelected={model.id === selected?.id}
                onSelect={() => models.show('library', model.id)}
              />
            </li>
          ))}
        </ul>
        <p className={styles.folder}>
          <HardDrive size={13} aria-hidden />
          <span>
            {library.folder}
            {library.folderFreeBytes === null ? '' : `, ${formatBytes(library.folderFreeBytes)} free`}
          </span>
          <Button kind="quiet" onClick={() => void models.run((app) => app.moveFolder())}>
            Move…
          </Button>
        </p>
      </div>
      {found !== null ? (
        <FoundModels models={models} found={found} />
      ) : selected ? (
        <ModelCard
          key={selected.id}
          models={models}
          model={selected}
          library={library}
          loaded={loaded.find(({ id }) => id === selected.id)}
          hasFolder={hasFolder}
        />
      ) : (
        <EmptyState title="No models yet" text="Find one, or add a GGUF file that you have.">
          <Button kind="primary" onClick={() => models.show('find')}>
            Find Models
          </Button>
        </EmptyState>
      )}
    </div>
  );
}

interface ItemProps {
  model: ModelEntry;
  library: ModelsState;
  loaded: LoadedModel | undefined;
  isSelected: boolean;
  onSelect: () => void;
}

function Item({ model, library, loaded, isSelected, onSelect }: ItemProps) {
  const roles = (['chat', 'inline', 'draft', 'embedding'] as const).filter((role) => library.roles[role] === model.id);
  const state =
    model.state === 'missing'
      ? 'Its file is not there'
      : model.state === 'damaged'
        ? 'Damaged'
        : loaded?.state === 'ready'
          ? loaded.nActive > 0
            ? 'Answering'
            : 'Loaded'
          : loaded?.state === 'loading'
            ? `Loading, ${Math.round(loaded.progress * 100)} %`
            : loaded?.state === 'stopped'
              ? 'Loading was stopped'
              : loaded?.state === 'failed'
                ? 'Could not be loaded'
                : null;
  return (
    <button type="button" className={styles.item} aria-current={isSelected} onClick={onSelect}>
      <span className={styles.name}>
        {model.state === 'ready' ? null : <TriangleAlert size={13} aria-hidden />}
        {model.name}
      </span>
      <span className={styles.about}>
        {[model.facts?.fileType.toUpperCase(), formatBytes(model.bytes), state].filter(Boolean).join(' · ')}
      </span>
      {roles.length > 0 ? (
        <span className={styles.roles}>
          {roles.map((role) => (
            <span key={role} className={styles.role}>
              {roleNames[role]}
            </span>
          ))}
        </span>
      ) : null}
    </button>
  );
}
