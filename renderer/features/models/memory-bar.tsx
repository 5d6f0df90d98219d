// What is in memory, by model and by what it is for, against what this machine has.
import { useStore } from 'zustand';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import type { LibraryStore } from './library-store.ts';
import styles from './memory-bar.module.css';

const kinds = ['weights', 'kv', 'other', 'draft'] as const;
const kindNames = { weights: 'Weights', kv: 'Context (KV cache)', other: 'Working memory', draft: 'Draft models' };

export function MemoryBar({ models, library }: { models: LibraryStore; library: ModelsState }) {
  const loaded = useStore(models.store, (state) => state.loaded);
  const { totalBytes, freeBytes } = library.memory;
  const parts = loaded.flatMap(({ memory, predictedBytes }) => {
    if (!memory) return [];
    const { weights, kv, draft } = memory;
    return [{ weights, kv, draft, other: Math.max(0, predictedBytes - weights - kv - draft) }];
  });
  const sum = Object.fromEntries(kinds.map((kind) => [kind, parts.reduce((n, part) => n + part[kind], 0)])) as Record<
    (typeof kinds)[number],
    number
  >;
  const ours = kinds.reduce((n, kind) => n + sum[kind], 0);
  const others = Math.max(0, totalBytes - freeBytes - ours);
  const width = (bytes: number) => ({ width: `${(bytes / totalBytes) * 100}%` });
  const label = `Memory: models take ${formatBytes(ours)}, ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free`;
  return (
    <div className={styles.memory}>
      <div role="img" aria-label={label} className={styles.bar}>
        {kinds.map((kind) => (
          <span key={kind} className={styles[kind]} style={width(sum[kind])} />
        ))}
        <span className={styles.others} style={width(others)} />
      </div>
      <ul className={styles.legend}>
        {kinds.map((kind) => (
          <li key={kind}>
            <span className={`${styles.key} ${styles[kind]}`} aria-hidden />
            {kindNames[kind]} {formatBytes(sum[kind])}
          </li>
        ))}
        <li>
          <span className={`${styles.key} ${styles.others}`} aria-hidden />
          Everything else {formatBytes(others)}
        </li>
        <li>
          {formatBytes(freeBytes)} free of {formatBytes(totalBytes)}
        </li>
      </ul>
    </div>
  );
}
