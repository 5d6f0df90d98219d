// What a model takes of one memory, by what it is for, against what is free there.
import type { ReactNode } from 'react';
import type { MemorySplit } from '../../../electron/common/model-facts.ts';
import { formatBytes } from '../../lib/format.ts';
import styles from './fit-view.module.css';

interface FitPlaceProps {
  /** Which memory; null where there is only one. */
  name: string | null;
  split: MemorySplit;
  freeBytes: number;
  hasDraft: boolean;
  /** More lines: terms and what they are. */
  children?: ReactNode;
}

export function FitPlace({ name, split, freeBytes, hasDraft, children }: FitPlaceProps) {
  const scale = Math.max(split.total, freeBytes);
  const part = (bytes: number) => ({ width: `${(bytes / scale) * 100}%` });
  return (
    <section aria-label={name ?? 'Main memory'} className={styles.place}>
      {name === null ? null : (
        <p className={styles.name}>
          {name}: {formatBytes(split.total)} of {formatBytes(freeBytes)}
        </p>
      )}
      <div aria-hidden className={styles.bar}>
        <span className={styles.weights} style={part(split.weights)} />
        <span className={styles.kv} style={part(split.kv)} />
        <span className={styles.workspace} style={part(split.workspace + split.draft)} />
        <span className={styles.free} style={{ left: `${Math.min(100, (freeBytes / scale) * 100)}%` }} />
      </div>
      <dl className={styles.parts}>
        <dt>Weights</dt>
        <dd>{formatBytes(split.weights)}</dd>
        <dt>Context (KV cache)</dt>
        <dd>{formatBytes(split.kv)}</dd>
        <dt>Working memory</dt>
        <dd>{formatBytes(split.workspace)}</dd>
        {hasDraft ? (
          <>
            <dt>Draft model</dt>
            <dd>{formatBytes(split.draft)}</dd>
          </>
        ) : null}
        {children}
      </dl>
    </section>
  );
}
