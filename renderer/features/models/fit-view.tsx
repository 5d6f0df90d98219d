// Whether a model fits, and what would change that: memory by what it is for against what is free now, and the speed to
// expect. The same functions decide in main before a model is loaded.
import { useId, useState } from 'react';
import { draftMemory } from '../../../electron/common/draft-fit.ts';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import {
  contextOf,
  type FitQuestion,
  fitOf,
  kvPresets,
  longestContext,
  type ModelFacts,
  predictMemory,
  predictTokensPerSecond,
} from '../../../electron/common/model-facts.ts';
import { formatBytes, formatCount, formatRate } from '../../lib/format.ts';
import styles from './fit-view.module.css';

interface FitViewProps {
  facts: ModelFacts;
  library: ModelsState;
  /** What it takes on the disk; null if it is there already. */
  diskBytes: number | null;
  /** Memory that would be free if the model, which is loaded, were not. */
  reusableBytes: number;
  /** Context that is set; 0 for what fits. */
  nCtx?: number;
  /** Of the model that drafts for it. */
  draft?: ModelFacts | null;
}

const verdicts = {
  fits: 'Fits',
  tight: 'Tight: other programs may become slow',
  tooLarge: 'Does not fit into what is free now',
};

export function FitView({ facts, library, diskBytes, reusableBytes, nCtx: set = 0, draft = null }: FitViewProps) {
  const { totalBytes, limitBytes } = library.memory;
  const nowFree = library.memory.freeBytes + reusableBytes;
  const freeBytes = limitBytes > 0 ? Math.min(nowFree, limitBytes) : nowFree;
  const [nCtx, setNCtx] = useState(contextOf(facts.nCtxTrain, facts.kvElementsPerToken * 2, set, totalBytes));
  const [kvBits, setKvBits] = useState<number>(kvPresets[0].bits);
  const contextId = useId();
  const kvId = useId();
  const question: FitQuestion = { nCtx, kvBits, draftBytes: draft ? draftMemory(draft, nCtx) : 0 };
  const split = predictMemory(facts, question);
  const fit = limitBytes > 0 && split.total > limitBytes ? 'tooLarge' : fitOf(split.total, nowFree);
  const longest = longestContext(facts, question, freeBytes);
  const isMeasured = Object.keys(facts.readPerToken).some((type) => library.speed.bytesPerSecond[type] !== undefined);
  const rate = predictTokensPerSecond(facts, library.speed);
  const isDiskShort = diskBytes !== null && library.folderFreeBytes !== null && diskBytes > library.folderFreeBytes;
  const scale = Math.max(split.total, freeBytes);
  const part = (bytes: number) => ({ width: `${(bytes / scale) * 100}%` });
  return (
    <section aria-label="Will it fit" className={styles.fit}>
      <p className={`${styles.verdict} ${styles[fit]}`} role="status">
        {verdicts[fit]}: {formatBytes(split.total)} of {formatBytes(freeBytes)}{' '}
        {limitBytes > 0 ? 'that the settings allow' : 'free memory'}
      </p>
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
        {draft ? (
          <>
            <dt>Draft model</dt>
            <dd>{formatBytes(split.draft)}</dd>
          </>
        ) : null}
        <dt>Expected speed</dt>
        <dd>
          about {formatRate(rate)}
          {isMeasured ? ', by what this machine did before' : ', a guess until something was measured here'}
        </dd>
        {diskBytes === null ? null : (
          <>
            <dt>Disk</dt>
            <dd className={isDiskShort ? styles.short : ''}>
              {formatBytes(diskBytes)}
              {library.folderFreeBytes === null ? '' : ` of ${formatBytes(library.folderFreeBytes)} free`}
            </dd>
          </>
        )}
      </dl>
      <div className={styles.what}>
        <label htmlFor={contextId}>What if the context had {formatCount(nCtx)} tokens?</label>
        <input
          id={contextId}
          type="range"
          min={Math.min(256, facts.nCtxTrain)}
          max={Math.max(256, facts.nCtxTrain)}
          step={256}
          value={nCtx}
          onChange={(event) => setNCtx(Number(event.target.value))}
        />
        <label htmlFor={kvId}>What if keys and values were</label>
        <select
          id={kvId}
          className={styles.select}
          value={kvBits}
          onChange={(event) => setKvBits(Number(event.target.value))}
        >
          {kvPresets.map(({ id, name, bits }) => (
            <option key={id} value={bits}>
              {name}, {bits} bits
            </option>
          ))}
        </select>
      </div>
      {fit === 'fits' ? null : (
        <p className={styles.advice}>
          {longest === null
            ? 'Not even a short context fits. A smaller model, or one with fewer bits per weight, would.'
            : `It fits with a context of ${formatCount(longest)} tokens.`}
        </p>
      )}
    </section>
  );
}
