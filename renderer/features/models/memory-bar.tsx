// What is in memory, by model and by what it is for, against what this machine has: the main memory, and each GPU's.
import { useStore } from 'zustand';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import type { LoadedModel } from '../../../electron/common/role-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import type { LibraryStore } from './library-store.ts';
import styles from './memory-bar.module.css';

const kinds = ['weights', 'kv', 'other', 'draft'] as const;
const kindNames = { weights: 'Weights', kv: 'Context (KV cache)', other: 'Working memory', draft: 'Draft models' };
type Parts = Record<(typeof kinds)[number], number>;

export function MemoryBar({ models, library }: { models: LibraryStore; library: ModelsState }) {
  const loaded = useStore(models.store, (state) => state.loaded);
  const { totalBytes, freeBytes, gpus } = library.memory;
  return (
    <div className={styles.memory}>
      <Bar name={null} parts={partsOf(loaded, 'cpu')} totalBytes={totalBytes} freeBytes={freeBytes} />
      {gpus.map(({ id, name, totalBytes: total, freeBytes: free }) => (
        <Bar key={id} name={name} parts={partsOf(loaded, id)} totalBytes={total} freeBytes={free} />
      ))}
    </div>
  );
}

/** What all models have of one device's memory. */
function partsOf(loaded: readonly LoadedModel[], device: string): Parts {
  const sum: Parts = { weights: 0, kv: 0, other: 0, draft: 0 };
  for (const { memory, shares, predictedBytes } of loaded) {
    if (!memory) continue;
    const share = shares.find((one) => one.device === device);
    const isWhole = shares.length === 1;
    // A draft model is where all of its target is, or else with the processor.
    const draft = isWhole ? (share ? memory.draft : 0) : device === 'cpu' ? memory.draft : 0;
    const { weights = 0, kv = 0 } = share ?? {};
    sum.weights += weights;
    sum.kv += kv;
    sum.draft += draft;
    // What is expected is what the main memory has to have; a GPU says only what is free.
    if (device === 'cpu') sum.other += Math.max(0, predictedBytes - weights - kv - draft);
  }
  return sum;
}

interface BarProps {
  /** Of a GPU; null for the main memory. */
  name: string | null;
  parts: Parts;
  totalBytes: number;
  freeBytes: number;
}

function Bar({ name, parts, totalBytes, freeBytes }: BarProps) {
  const ours = kinds.reduce((n, kind) => n + parts[kind], 0);
  const others = Math.max(0, totalBytes - freeBytes - ours);
  const width = (bytes: number) => ({ width: `${(bytes / totalBytes) * 100}%` });
  const label = `${name ?? 'Memory'}: models take ${formatBytes(ours)}, ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free`;
  const shown = name === null ? kinds : kinds.filter((kind) => parts[kind] > 0);
  return (
    <div className={styles.place}>
      <div role="img" aria-label={label} className={styles.bar}>
        {kinds.map((kind) => (
          <span key={kind} className={styles[kind]} style={width(parts[kind])} />
        ))}
        <span className={styles.others} style={width(others)} />
      </div>
      <ul className={styles.legend}>
        {name === null ? null : <li>{name}</li>}
        {shown.map((kind) => (
          <li key={kind}>
            <span className={`${styles.key} ${styles[kind]}`} aria-hidden />
            {kindNames[kind]} {formatBytes(parts[kind])}
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
