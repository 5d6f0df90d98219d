// Whether a model fits, and what would change that: memory by what it is for against what is free now, and the speed to
// expect. The same functions decide in main before a model is loaded.
import { useEffect, useId, useState } from 'react';
import { useStore } from 'zustand';
import { draftMemory } from '../../../electron/common/draft-fit.ts';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import {
  contextOf,
  type FitQuestion,
  fitOf,
  kvBitsOf,
  kvPresetIdSchema,
  kvPresets,
  longestContext,
  type ModelFacts,
  predictGpuMemory,
  predictMemory,
  predictTokensPerSecond,
} from '../../../electron/common/model-facts.ts';
import { formatBytes, formatCount, formatRate } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import styles from './fit-view.module.css';
import type { LibraryStore } from './library-store.ts';

interface FitViewProps {
  models: LibraryStore;
  facts: ModelFacts;
  library: ModelsState;
  /** What it takes on the disk; null if it is there already. */
  diskBytes: number | null;
  /** Context that is set; 0 for what fits. */
  nCtx?: number;
  /** What is set to compute it. */
  device?: string;
  /** Of the model that drafts for it. */
  draft?: ModelFacts | null;
}

const verdicts = {
  fits: 'Fits',
  tight: 'Tight: other programs may become slow',
  tooLarge: 'Does not fit into what is free now',
};

export function FitView({
  models,
  facts,
  library,
  diskBytes,
  nCtx: set = library.defaults.nCtx,
  device: ownDevice = 'cpu',
  draft = null,
}: FitViewProps) {
  const { totalBytes, limitBytes, freeBytes: freeRam, gpus } = library.memory;
  const [device, chooseDevice] = useState(ownDevice);
  const gpu = gpus.find(({ id }) => id === device);
  const hasLimit = gpu === undefined && limitBytes > 0;
  const nowFree = gpu ? gpu.freeBytes : freeRam;
  const freeBytes = hasLimit ? Math.min(nowFree, limitBytes) : nowFree;
  const [preset, setPreset] = useState(library.defaults.kvPreset);
  const kvBits = kvBitsOf(preset);
  const [nCtx, setNCtx] = useState(
    contextOf(facts.nCtxTrain, (facts.kvElementsPerToken * kvBits) / 8, set, gpu?.totalBytes ?? totalBytes),
  );
  const ids = { context: useId(), kv: useId(), device: useId() };
  const question: FitQuestion = { nCtx, kvBits, draftBytes: draft ? draftMemory(draft, nCtx) : 0 };
  const predict = gpu ? predictGpuMemory : predictMemory;
  const split = predict(facts, question);
  const fit = hasLimit && split.total > limitBytes ? 'tooLarge' : fitOf(split.total, nowFree);
  const longest = longestContext(facts, question, freeBytes, predict);
  const isDiskShort = diskBytes !== null && library.folderFreeBytes !== null && diskBytes > library.folderFreeBytes;
  const scale = Math.max(split.total, freeBytes);
  const part = (bytes: number) => ({ width: `${(bytes / scale) * 100}%` });
  return (
    <section aria-label="Will it fit" className={styles.fit}>
      <p className={`${styles.verdict} ${styles[fit]}`} role="status">
        {verdicts[fit]}: {formatBytes(split.total)} of {formatBytes(freeBytes)}{' '}
        {hasLimit ? 'that the settings allow' : gpu ? `free memory of ${gpu.name}` : 'free memory'}
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
        {gpu ? null : <ExpectedSpeed models={models} facts={facts} library={library} nCtx={nCtx} />}
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
        <label htmlFor={ids.context}>What if the context had {formatCount(nCtx)} tokens?</label>
        <input
          id={ids.context}
          type="range"
          min={Math.min(256, facts.nCtxTrain)}
          max={Math.max(256, facts.nCtxTrain)}
          step={256}
          value={nCtx}
          onChange={(event) => setNCtx(Number(event.target.value))}
        />
        <label htmlFor={ids.kv}>What if keys and values were</label>
        <select
          id={ids.kv}
          className={styles.select}
          value={preset}
          onChange={(event) => setPreset(kvPresetIdSchema.parse(event.target.value))}
        >
          {kvPresets.map(({ id, name, bits }) => (
            <option key={id} value={id}>
              {name}, {bits} bits
            </option>
          ))}
        </select>
        {gpus.length > 0 ? (
          <>
            <label htmlFor={ids.device}>What if it computed on</label>
            <select
              id={ids.device}
              className={styles.select}
              value={device}
              onChange={(event) => chooseDevice(event.target.value)}
            >
              <option value="cpu">the processor</option>
              {gpus.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </>
        ) : null}
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

interface ExpectedSpeedProps extends Pick<FitViewProps, 'models' | 'facts' | 'library'> {
  nCtx: number;
}

/** What was never measured here is measured now, if the engine has nothing else to do. */
function ExpectedSpeed({ models, facts, library, nCtx }: ExpectedSpeedProps) {
  const isMeasuring = useStore(models.store, (state) => state.isMeasuring);
  const { speed } = library;
  const types = Object.keys(facts.readPerToken);
  const isKnown = speed.layer !== null && types.every((type) => speed.bytesPerSecond[type] !== undefined);
  const key = types.join();
  useEffect(() => {
    if (!isKnown) void models.measureSpeeds(key.split(','));
  }, [models, isKnown, key]);
  const [first, last] = [0, nCtx].map((nPast) => formatRate(predictTokensPerSecond(facts, speed, nPast)));
  const atTheEnd = first === last ? '' : `, ${last} at the end of the context`;
  return (
    <>
      <dt>Expected speed</dt>
      <dd>
        {!isKnown && isMeasuring ? (
          'measuring this machine…'
        ) : (
          <>
            about {first}
            {atTheEnd}
            {isKnown ? ', by what was measured on this machine' : ', a guess: '}
            {isKnown ? null : (
              <Button kind="quiet" onClick={() => void models.measureSpeeds(types)}>
                Measure This Machine
              </Button>
            )}
          </>
        )}
      </dd>
    </>
  );
}
