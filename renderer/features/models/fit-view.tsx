// Whether a model fits, and what would change that: memory by what it is for against what is free now, in the main memory
// and on GPUs, and the speed to expect. The same functions decide in main before a model is loaded.
import { useId, useState } from 'react';
import { predictSharedMemory, type SharedMemory } from '../../../electron/common/device-fit.ts';
import { gpuKvBits } from '../../../electron/common/device-need.ts';
import { draftMemory } from '../../../electron/common/draft-fit.ts';
import { type LayerPlan, planLayers } from '../../../electron/common/layer-plan.ts';
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
import { type Device, gpusOf, mainMemory } from '../../../electron/common/role-contract.ts';
import { formatBytes, formatCount } from '../../lib/format.ts';
import { deviceProblem, gpuChoices, nameOfGpu, refusingGpus } from './device-names.ts';
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

export function FitView({
  models,
  facts,
  library,
  diskBytes,
  nCtx: set = library.defaults.nCtx,
  device: ownDevice = mainMemory,
  deviceLayers,
  draft = null,
}: FitViewProps) {
  const { totalBytes, limitBytes, freeBytes: freeRam, gpus: all } = library.memory;
  const choices = gpuChoices(all);
  const [device, chooseDevice] = useState(ownDevice);
  const problem = deviceProblem(device, all);
  const gpus = problem ? [] : gpusOf(device).flatMap((id) => all.find((gpu) => gpu.id === id) ?? []);
  const [gpu] = gpus;
  const [preset, setPreset] = useState(library.defaults.kvPreset);
  const kvBits = gpu ? gpuKvBits : kvBitsOf(preset);
  const contextBytes = gpu ? gpus.reduce((sum, { totalBytes: ofGpu }) => sum + ofGpu, 0) : totalBytes;
  const [nCtx, setNCtx] = useState(
    contextOf(facts.nCtxTrain, (facts.kvElementsPerToken * kvBits) / 8, set, contextBytes),
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
  const fitting = planLayers(facts, questionOf(nCtx), gpus);
  // Where nothing fits, what too little would be.
  const least: LayerPlan = { nLayers: gpus.map(() => 1), hasSlots: false };
  const wanted = gpus.length === 1 && chosenLayers !== null ? chosenLayers : undefined;
  const plan = (wanted === undefined ? fitting : planLayers(facts, questionOf(nCtx), gpus, wanted)) ?? least;
  const [nGpuLayers = 0] = plan.nLayers;
  const allowedRam = limitBytes > 0 ? Math.min(freeRam, limitBytes) : freeRam;
  const memoryFor = (nTokens: number): SharedMemory =>
    gpu
      ? predictSharedMemory(facts, questionOf(nTokens), gpus, plan)
      : { ram: predictMemory(facts, questionOf(nTokens)), gpus: [], pinnedBytes: 0, pinnableBytes: 0 };
  const fitsOf = ({ ram, gpus: onGpus, pinnableBytes }: SharedMemory): Fit => {
    const isRefused = (limitBytes > 0 && ram.total > limitBytes) || pinnableBytes > freeRam;
    const inRam = isRefused ? 'tooLarge' : fitOf(ram.total, freeRam);
    // What is kept free on a GPU is a part of what is expected of it.
    const isOnGpus = onGpus.every(({ total }, i) => total <= (gpus[i]?.freeBytes ?? 0));
    return isOnGpus ? inRam : 'tooLarge';
  };
  const memory = memoryFor(nCtx);
  const fit = fitsOf(memory);
  const longest = fit === 'fits' ? null : longestContext(facts.nCtxTrain, (n) => fitsOf(memoryFor(n)) === 'fits');
  const isDiskShort = diskBytes !== null && library.folderFreeBytes !== null && diskBytes > library.folderFreeBytes;
  const needs = ({ total }: MemorySplit, free: number, what: string) =>
    `${formatBytes(total)} of ${formatBytes(free)} ${what}`;
  const inRam = needs(memory.ram, allowedRam, limitBytes > 0 ? 'that the settings allow' : 'free memory');
  const parts = gpus.flatMap((on, i) => {
    const split = memory.gpus[i];
    return split ? [{ gpu: on, split, nLayers: plan.nLayers[i] ?? 0, name: nameOfGpu(on, gpus) }] : [];
  });
  const onGpus = parts.map(({ gpu: on, split, name }) => `${needs(split, on.freeBytes, `free memory of ${name}`)}, `);
  const hasDraft = draft !== null;
  const rest = (
    <>
      <ExpectedSpeed
        models={models}
        facts={facts}
        library={library}
        nCtx={nCtx}
        parts={parts}
        hasSlots={memory.pinnedBytes > 0}
      />
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
        {verdicts[fit]}: {onGpus}
        {gpu ? 'and ' : ''}
        {inRam}
        {gpu?.sharesMemory ? ' in all' : ''}
      </p>
      {problem && !gpu ? (
        <p className={styles.advice}>{problem.message} This is what it would take with the processor alone.</p>
      ) : null}
      {parts.map(({ gpu: on, split, nLayers: n, name }) => (
        <FitPlace
          key={on.id}
          name={`${name}, ${layersText(n, nLayers)}`}
          split={split}
          freeBytes={on.freeBytes}
          hasDraft={hasDraft}
        />
      ))}
      <FitPlace name={gpu ? ramName(gpu) : null} split={memory.ram} freeBytes={allowedRam} hasDraft={hasDraft}>
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
        {choices.length > 0 ? (
          <>
            <label htmlFor={ids.device}>What if it computed on</label>
            <select
              id={ids.device}
              className={styles.select}
              value={gpu ? device : mainMemory}
              onChange={(event) => chooseDevice(event.target.value)}
            >
              <option value={mainMemory}>the processor</option>
              {choices.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
              {refusingGpus(all).map(({ id, name, reason }) => (
                <option key={id} value={id} disabled title={reason}>
                  {name}, which cannot be used now
                </option>
              ))}
            </select>
          </>
        ) : null}
        {gpus.length === 1 ? (
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
      {gpu ? <p className={styles.advice}>{roomText(gpus, fitting, nLayers)}</p> : null}
      {memory.pinnedBytes > 0 ? (
        <p className={styles.advice}>
          Not all experts have room there: {formatBytes(memory.pinnedBytes)} of them are kept in the main memory, which
          the system cannot use otherwise meanwhile, and are copied when they are needed.
        </p>
      ) : null}
      {fit === 'fits' ? null : (
        <p className={styles.advice}>
          {longest === null
            ? `Not even a short context fits${gpu ? ' like this' : ''}. ${gpu ? 'Fewer layers there, a' : 'A'} smaller model, or one with fewer bits per weight, would.`
            : `It fits with a context of ${formatCount(longest)} tokens.`}
        </p>
      )}
    </section>
  );
}

const ramName = ({ name, sharesMemory }: Device) =>
  sharesMemory ? `Main memory, which ${name} shares` : 'Main memory';

const layersText = (n: number, nLayers: number) =>
  n >= nLayers ? `all ${nLayers} layers` : `${n} of ${nLayers} layers`;

function roomText(gpus: readonly Device[], fitting: LayerPlan | null, nLayers: number): string {
  const names = gpus.length === 1 ? (gpus[0]?.name ?? '') : `${gpus.length} GPUs together`;
  const verb = gpus.length === 1 ? 'has' : 'have';
  if (fitting === null)
    return `${names} ${verb} no room for a single layer${gpus.length === 1 ? '' : ' each'} with this context.`;
  const n = fitting.nLayers.reduce((sum, ofGpu) => sum + ofGpu, 0);
  const experts = fitting.hasSlots ? ', with some of their experts' : '';
  return `${names} ${verb} room for ${layersText(n, nLayers)}${experts}.${n < nLayers ? ' The processor computes the others.' : ''}`;
}
