// Whether a model fits, and what would change that: memory by what it is for against what is free now, in the main memory
// and on a GPU, and the speed to expect. The same functions decide in main before a model is loaded.
import { useId, useState } from 'react';
import { fittingLayers, predictMemoryBeside } from '../../../electron/common/device-fit.ts';
import { draftMemory } from '../../../electron/common/draft-fit.ts';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import {
  contextOf,
  type Fit,
  type FitQuestion,
  fitOf,
  kvBitsOf,
  kvPresetIdSchema,
  kvPresets,
  longestContext,
  type MemorySplit,
  type ModelFacts,
  predictMemory,
} from '../../../electron/common/model-facts.ts';
import type { Device } from '../../../electron/common/role-contract.ts';
import { formatBytes, formatCount } from '../../lib/format.ts';
import { ExpectedSpeed } from './expected-speed.tsx';
import { FitPlace } from './fit-place.tsx';
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
  /** What is set to compute it, and how many of its layers; undefined: as many as fit. */
  device?: string;
  deviceLayers?: number | undefined;
  /** Of the model that drafts for it. */
  draft?: ModelFacts | null;
}

const verdicts: Record<Fit, string> = {
  fits: 'Fits',
  tight: 'Tight: other programs may become slow',
  tooLarge: 'Does not fit into what is free now',
};
const worst: readonly Fit[] = ['tooLarge', 'tight', 'fits'];

export function FitView({
  models,
  facts,
  library,
  diskBytes,
  nCtx: set = library.defaults.nCtx,
  device: ownDevice = 'cpu',
  deviceLayers,
  draft = null,
}: FitViewProps) {
  const { totalBytes, limitBytes, freeBytes: freeRam, gpus } = library.memory;
  const [device, chooseDevice] = useState(ownDevice);
  const gpu = gpus.find(({ id }) => id === device);
  const [preset, setPreset] = useState(library.defaults.kvPreset);
  const kvBits = gpu ? 16 : kvBitsOf(preset);
  const [nCtx, setNCtx] = useState(
    contextOf(facts.nCtxTrain, (facts.kvElementsPerToken * kvBits) / 8, set, gpu?.totalBytes ?? totalBytes),
  );
  /** Null: as many as fit. */
  const [chosenLayers, chooseLayers] = useState<number | null>(deviceLayers ?? null);
  const ids = { context: useId(), kv: useId(), device: useId(), layers: useId() };
  const questionOf = (nTokens: number): FitQuestion => ({
    nCtx: nTokens,
    kvBits,
    draftBytes: draft ? draftMemory(draft, nTokens) : 0,
  });

  const nLayers = facts.layers.length;
  const fitting = gpu ? fittingLayers(facts, questionOf(nCtx), gpu.freeBytes) : 0;
  const nGpuLayers = gpu ? Math.min(nLayers, chosenLayers ?? Math.max(1, fitting)) : 0;
  const allowedRam = limitBytes > 0 ? Math.min(freeRam, limitBytes) : freeRam;
  const splitsFor = (nTokens: number): { ram: MemorySplit; gpu: MemorySplit | null } =>
    gpu
      ? predictMemoryBeside(gpu, facts, questionOf(nTokens), nGpuLayers)
      : { ram: predictMemory(facts, questionOf(nTokens)), gpu: null };
  const fitsOf = ({ ram, gpu: ofGpu }: ReturnType<typeof splitsFor>): Fit => {
    const inRam = limitBytes > 0 && ram.total > limitBytes ? 'tooLarge' : fitOf(ram.total, freeRam);
    // What is kept free on a GPU is a part of what is expected of it.
    const onGpu = !ofGpu || !gpu || ofGpu.total <= gpu.freeBytes ? 'fits' : 'tooLarge';
    return worst.find((fit) => fit === inRam || fit === onGpu) ?? 'fits';
  };
  const splits = splitsFor(nCtx);
  const fit = fitsOf(splits);
  const longest = fit === 'fits' ? null : longestContext(facts.nCtxTrain, (n) => fitsOf(splitsFor(n)) === 'fits');
  const isDiskShort = diskBytes !== null && library.folderFreeBytes !== null && diskBytes > library.folderFreeBytes;
  const needs = ({ total }: MemorySplit, free: number, what: string) =>
    `${formatBytes(total)} of ${formatBytes(free)} ${what}`;
  const inRam = needs(splits.ram, allowedRam, limitBytes > 0 ? 'that the settings allow' : 'free memory');
  const onGpu = gpu && splits.gpu ? `${needs(splits.gpu, gpu.freeBytes, `free memory of ${gpu.name}`)}, and ` : '';
  const hasDraft = draft !== null;
  const rest = (
    <>
      <ExpectedSpeed models={models} facts={facts} library={library} nCtx={nCtx} gpu={gpu} nGpuLayers={nGpuLayers} />
      {diskBytes === null ? null : (
        <>
          <dt>Disk</dt>
          <dd className={isDiskShort ? styles.short : ''}>
            {formatBytes(diskBytes)}
            {library.folderFreeBytes === null ? '' : ` of ${formatBytes(library.folderFreeBytes)} free`}
          </dd>
        </>
      )}
    </>
  );
  return (
    <section aria-label="Will it fit" className={styles.fit}>
      <p className={`${styles.verdict} ${styles[fit]}`} role="status">
        {verdicts[fit]}: {onGpu}
        {inRam}
        {gpu?.sharesMemory ? ' in all' : ''}
      </p>
      {gpu && splits.gpu ? (
        <FitPlace
          name={`${gpu.name}, ${layersText(nGpuLayers, nLayers)}`}
          split={splits.gpu}
          freeBytes={gpu.freeBytes}
          hasDraft={hasDraft}
        />
      ) : null}
      <FitPlace name={gpu ? mainMemory(gpu) : null} split={splits.ram} freeBytes={allowedRam} hasDraft={hasDraft}>
        {gpu ? null : rest}
      </FitPlace>
      {gpu ? <dl className={`${styles.parts} ${styles.place}`}>{rest}</dl> : null}
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
        {gpu ? (
          <span id={ids.kv}>16 bits, as GPUs keep them</span>
        ) : (
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
        )}
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
        {gpu ? (
          <>
            <label htmlFor={ids.layers}>What if {layersText(nGpuLayers, nLayers)} were on it?</label>
            <input
              id={ids.layers}
              type="range"
              min={1}
              max={Math.max(1, nLayers)}
              value={nGpuLayers}
              onChange={(event) => chooseLayers(Number(event.target.value))}
            />
          </>
        ) : null}
      </div>
      {gpu ? (
        <p className={styles.advice}>
          {fitting === 0
            ? `${gpu.name} has no room for a single layer with this context.`
            : `${gpu.name} has room for ${layersText(fitting, nLayers)}.`}{' '}
          {fitting === nLayers ? '' : 'The processor computes the others.'}
        </p>
      ) : null}
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

const mainMemory = ({ name, sharesMemory }: Device) =>
  sharesMemory ? `Main memory, which ${name} shares` : 'Main memory';

const layersText = (n: number, nLayers: number) =>
  n >= nLayers ? `all ${nLayers} layers` : `${n} of ${nLayers} layers`;
