// One model: what it is, what it does here, whether it was checked, what it can, and what can be done with it.
import { useState } from 'react';
import { draftOf } from '../../../electron/common/draft-fit.ts';
import type { ModelEntry, ModelsState } from '../../../electron/common/model-contract.ts';
import { type Device, type LoadedModel, mainMemory } from '../../../electron/common/role-contract.ts';
import { formatBytes, formatCount, formatRate } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Notice } from '../../ui/notice.tsx';
import { ProgressBar } from '../../ui/progress.tsx';
import { CacheLine } from './cache-line.tsx';
import { DeviceChoice, ProcessorButton } from './device-choice.tsx';
import { namesOfDevice } from './device-names.ts';
import { DraftChoice } from './draft-choice.tsx';
import { DraftSpeed } from './draft-speed.tsx';
import { FitView } from './fit-view.tsx';
import { KvCheckView } from './kv-check-view.tsx';
import type { LibraryStore } from './library-store.ts';
import { bytesInMemory } from './memory-parts.ts';
import styles from './model-card.module.css';
import { ModelOverrides } from './model-overrides.tsx';
import { ModelRoles } from './model-roles.tsx';
import { SelfTestView } from './self-test-view.tsx';

export interface ModelCardProps {
  models: LibraryStore;
  model: ModelEntry;
  library: ModelsState;
  loaded: LoadedModel | undefined;
  hasFolder: boolean;
}

const origins = {
  default: 'came with Outpost',
  bundled: 'came with Outpost',
  downloaded: 'downloaded',
  imported: 'added from a file',
  linked: 'used where it lies',
};

export function ModelCard({ models, model, library, loaded, hasFolder }: ModelCardProps) {
  const { id, name, facts, problem, job, path, origin } = model;
  const [isDeleting, setIsDeleting] = useState(false);
  return (
    <article aria-label={name} className={styles.card}>
      <h3 className={styles.name}>{name}</h3>
      <p className={styles.path}>
        {path} ({origins[origin]})
      </p>
      {problem ? (
        <div role="alert" ref={comeIntoView}>
          <Notice
            kind="error"
            message={problem.message}
            hint={problem.hint}
            detail={problem.detail}
            actions={
              model.source?.url ? (
                <Button onClick={() => void models.run((app) => app.repair({ id }))}>Repair</Button>
              ) : null
            }
          />
        </div>
      ) : null}
      {loaded?.error ? (
        <div role="alert" ref={comeIntoView}>
          <Notice
            kind="error"
            message={loaded.error.message}
            hint={loaded.error.hint}
            detail={loaded.error.detail}
            actions={
              <>
                <Button onClick={() => void models.run((app) => app.reload())}>Try Again</Button>
                {model.overrides.device === undefined ? null : <ProcessorButton models={models} model={model} />}
              </>
            }
          />
        </div>
      ) : null}
      {job ? (
        <div className={styles.job} role="status">
          {jobs[job.kind]}
          <ProgressBar label={jobs[job.kind]} value={job.progress ?? 0} />
          {job.kind === 'move' ? null : (
            <Button kind="quiet" onClick={() => void models.run((app) => app.cancelJob({ id }))}>
              Stop
            </Button>
          )}
        </div>
      ) : null}
      <ModelRoles models={models} model={model} library={library} hasFolder={hasFolder} />
      <DraftChoice models={models} model={model} library={library} />
      {loaded ? <InMemory models={models} model={model} loaded={loaded} gpus={library.memory.gpus} /> : null}
      {loaded ? <DraftSpeed loaded={loaded} /> : null}
      {library.memory.gpus.length > 0 || model.overrides.device !== undefined ? (
        <DeviceChoice
          models={models}
          model={model}
          gpus={library.memory.gpus}
          isExplained={loaded?.error?.code === 'DEVICE_UNAVAILABLE'}
        />
      ) : null}
      {facts ? <Facts model={model} library={library} /> : null}
      {facts && loaded?.state !== 'ready' ? (
        <FitView
          models={models}
          facts={facts}
          library={library}
          diskBytes={null}
          nCtx={model.overrides.nCtx ?? library.defaults.nCtx}
          device={model.overrides.device ?? mainMemory}
          deviceLayers={model.overrides.deviceLayers}
          draft={draftOf(model, library.models, library.roles)?.facts ?? null}
        />
      ) : null}
      <SelfTestView models={models} model={model} />
      <KvCheckView models={models} model={model} />
      <ModelOverrides models={models} model={model} />
      <div className={styles.actions}>
        <Button disabled={job !== null} onClick={() => void models.verify(id)}>
          Check the Hash
        </Button>
        {origin === 'default' || origin === 'bundled' ? null : (
          <Button kind="danger" onClick={() => setIsDeleting(true)}>
            {origin === 'downloaded' ? 'Delete…' : 'Take Out of the List…'}
          </Button>
        )}
      </div>
      {isDeleting ? (
        <Delete model={model} onClose={() => setIsDeleting(false)} onDelete={() => void models.remove(id, name)} />
      ) : null}
    </article>
  );
}

/** What went wrong stands above; the button that was pressed may be far below. */
const comeIntoView = (alert: HTMLElement | null) => alert?.scrollIntoView({ block: 'center' });

const jobs = {
  verify: 'Checking the hash of the whole file',
  selfTest: 'Trying out what it can do',
  benchmark: 'Measuring its speed, two minutes at most',
  kvCheck: 'Checking how few bits its context may have, a minute at most',
  move: 'Moving its file',
};

function Facts({
  model: { id, facts, verifiedAtMs, source, speed },
  library,
}: {
  model: ModelEntry;
  library: ModelsState;
}) {
  if (!facts) return null;
  const listed = library.catalog.find((known) => `catalog:${known.id}` === id);
  const { architecture, fileType, nParams, nCtxTrain, nVocab, nLayer, hasFim, license } = facts;
  const rows: [string, string][] = [
    ['Kind', `${architecture}, ${weightsText(nParams)} in ${nLayer} layers, mostly ${fileType}`],
    ['Context', `${formatCount(nCtxTrain)} tokens`],
    ['Vocabulary', `${formatCount(nVocab)} tokens, ${hasFim ? 'with' : 'without'} those for filling in`],
    ['License', listed?.license ?? source?.license ?? license ?? 'The file does not say'],
    ['Hash', verifiedAtMs === null ? 'Not checked' : `Right on ${new Date(verifiedAtMs).toLocaleDateString('en')}`],
    ...(speed ? [['Speed', speedText(speed)] satisfies [string, string]] : []),
  ];
  return (
    <dl className={styles.facts}>
      {rows.map(([term, text]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

function speedText({ expected, measured }: NonNullable<ModelEntry['speed']>): string {
  const percent = Math.round((measured / expected - 1) * 100);
  const off = percent === 0 ? '' : ` (${Math.abs(percent)} % ${percent > 0 ? 'more' : 'less'})`;
  return `${formatRate(measured)}${off}; ${formatRate(expected)} were expected before it ran here`;
}

function weightsText(n: number): string {
  return n >= 1e9 ? `${(n / 1e9).toFixed(1)} billion weights` : `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} million weights`;
}

interface InMemoryProps {
  models: LibraryStore;
  model: ModelEntry;
  loaded: LoadedModel;
  gpus: readonly Device[];
}

function InMemory({ models, model, loaded, gpus }: InMemoryProps) {
  const { id, memory, isPinned, predictedBytes, state, shares } = loaded;
  if (state === 'loading' || state === 'stopped') {
    const isLoading = state === 'loading';
    const run = () => models.run((app, engine) => (isLoading ? engine.unload({ id }) : app.reload()));
    return (
      <div className={styles.job} role="status">
        {isLoading ? 'Loading' : 'Loading was stopped'}
        {isLoading ? <ProgressBar label="Loading" value={loaded.progress} /> : null}
        {/* One button, which keeps the keyboard. A model without a role is loaded by what it is wanted for. */}
        {isLoading || loaded.roles.length > 0 ? (
          <Button onClick={() => void run()}>{isLoading ? 'Stop' : 'Load It'}</Button>
        ) : null}
      </div>
    );
  }
  if (!memory) {
    return state === 'unloaded' ? (
      <p className={styles.quiet}>Not in memory now; it comes back when it is asked.</p>
    ) : null;
  }
  const sharing = gpus.filter(({ sharesMemory }) => sharesMemory).map(({ id: gpu }) => gpu);
  const actual = bytesInMemory(loaded, sharing);
  const nLayers = shares.reduce((n, { nLayer }) => n + nLayer, 0);
  const isOnGpu = shares.some(({ device }) => device !== mainMemory);
  const predicted = model.facts && !isOnGpu ? predictedBytes : 0;
  return (
    <section aria-label="In memory" className={styles.memory}>
      <p>
        {formatBytes(actual)} in memory: weights {formatBytes(memory.weights)}, context {formatBytes(memory.kv)}, of
        which {formatBytes(memory.kvUsed)} are in use
        {memory.draft > 0 ? `, and ${formatBytes(memory.draft)} for the draft model` : ''}.
        {predicted > 0 ? ` Expected before it was loaded: ${formatBytes(predicted)}.` : ''}
      </p>
      {isOnGpu ? (
        <ul aria-label="Who has what of it" className={styles.shares}>
          {shares.map(({ device, nLayer, weights, kv }) => (
            <li key={device}>
              {device === mainMemory ? 'Processor' : namesOfDevice(device, gpus)}: {nLayer} of {nLayers} layers, weights{' '}
              {formatBytes(weights)}, context {formatBytes(kv)}
            </li>
          ))}
        </ul>
      ) : null}
      {loaded.cache ? <CacheLine cache={loaded.cache} usedBytes={memory.kvUsed} /> : null}
      <div className={styles.actions}>
        <Button onClick={() => void models.run((_app, engine) => engine.unload({ id }))}>Unload</Button>
        <Button
          aria-pressed={isPinned}
          onClick={() => void models.run((_app, engine) => engine.pin({ id, isPinned: !isPinned }))}
        >
          {isPinned ? 'Unpin' : 'Keep in Memory'}
        </Button>
      </div>
    </section>
  );
}

interface DeleteProps {
  model: ModelEntry;
  onClose: () => void;
  onDelete: () => void;
}

function Delete({ model: { name, origin, bytes }, onClose, onDelete }: DeleteProps) {
  const isOurs = origin === 'downloaded';
  return (
    <Dialog
      title={isOurs ? `Delete ${name}?` : `Take ${name} out of the list?`}
      description={isOurs ? `This frees ${formatBytes(bytes)} of disk space.` : 'Its file stays where it is.'}
      role="alertdialog"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="danger"
            onClick={() => {
              onClose();
              onDelete();
            }}
          >
            {isOurs ? 'Delete' : 'Take Out'}
          </Button>
        </>
      }
    />
  );
}
