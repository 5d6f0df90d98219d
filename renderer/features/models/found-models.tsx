// What a scan of a folder found. Models are used where they lie; nothing is copied.
import { useState } from 'react';
import type { FoundModel } from '../../../electron/common/model-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import styles from './found-models.module.css';
import type { LibraryStore } from './library-store.ts';

export function FoundModels({ models, found }: { models: LibraryStore; found: readonly FoundModel[] }) {
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const chosen = found.filter(({ path }) => !left.has(path));
  if (found.length === 0) {
    return (
      <EmptyState title="No other models there" text="Only GGUF files that are not in the list yet are shown.">
        <Button onClick={() => models.closeScan()}>Back</Button>
      </EmptyState>
    );
  }
  return (
    <section aria-label="Found models" className={styles.panel}>
      <p className={styles.intro}>They stay where they are; Outpost only remembers their places.</p>
      <ul className={styles.list}>
        {found.map(({ path, bytes, program }) => (
          <li key={path}>
            <label className={styles.item}>
              <input type="checkbox" checked={!left.has(path)} onChange={() => setLeft(toggled(left, path))} />
              <span className={styles.path}>{path}</span>
              <span className={styles.about}>
                {program}, {formatBytes(bytes)}
              </span>
            </label>
          </li>
        ))}
      </ul>
      <div className={styles.actions}>
        <Button kind="primary" disabled={chosen.length === 0} onClick={() => void addAndClose(models, chosen)}>
          Add {chosen.length} {chosen.length === 1 ? 'Model' : 'Models'}
        </Button>
        <Button onClick={() => models.closeScan()}>Cancel</Button>
      </div>
    </section>
  );
}

async function addAndClose(models: LibraryStore, chosen: readonly FoundModel[]): Promise<void> {
  await models.add(chosen);
  models.closeScan();
}

function toggled(set: ReadonlySet<string>, item: string): Set<string> {
  const next = new Set(set);
  if (!next.delete(item)) next.add(item);
  return next;
}
