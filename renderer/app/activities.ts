// Everything that runs, gathered from the parts of the window that know.
import { useMemo } from 'react';
import { useStore } from 'zustand';
import type { Activity } from '../features/activity/activity.ts';
import { formatBytes, formatRate } from '../lib/format.ts';
import type { AppModel } from './app-model.ts';

const kJobs = {
  verify: 'Checking the hash of',
  selfTest: 'Trying out',
  benchmark: 'Measuring the speed of',
  kvCheck: 'Checking the context of',
  move: 'Moving',
};

const kPhases = {
  loading: 'Waiting for the model',
  waiting: 'Waiting for the engine',
  prefill: 'Reading',
  decode: 'Writing',
};

type Model = Pick<
  AppModel,
  'chat' | 'models' | 'library' | 'search' | 'git' | 'terminals' | 'completion' | 'stopLoading'
>;

export function activitiesOf(model: Model): Activity[] {
  return [
    ...engineActivities(model),
    ...replyActivities(model),
    ...libraryActivities(model),
    ...searchActivities(model),
    ...gitActivities(model),
    ...terminalActivities(model),
  ];
}

function engineActivities(model: Model): Activity[] {
  const { status } = model.models.store.getState();
  if (status?.state !== 'loading') return [];
  const { progress } = status;
  const stop = { label: 'Stop loading the model', run: () => void model.stopLoading() };
  return [{ id: 'load', title: 'Loading the model', detail: percent(progress), progress, stop }];
}

function replyActivities({ chat, completion }: Model): Activity[] {
  const { reply, queue } = chat.store.getState();
  const list: Activity[] = [];
  if (reply) {
    const { phase, loadProgress, nPrefillDone, nPrefillTotal, nDecoded, tokensPerSecond } = reply;
    const isReading = phase === 'prefill' && nPrefillTotal > 0;
    list.push({
      id: 'reply',
      title: 'A reply is written',
      detail:
        phase === 'decode'
          ? `${nDecoded} tokens, ${formatRate(tokensPerSecond)}`
          : isReading
            ? `Reading, ${percent(nPrefillDone / nPrefillTotal)}`
            : kPhases[phase],
      progress: isReading ? nPrefillDone / nPrefillTotal : phase === 'loading' ? loadProgress : null,
      stop: { label: 'Stop the reply', run: () => chat.stop() },
    });
  }
  for (const { id, text } of queue) {
    const stop = { label: 'Take the question back', run: () => chat.unqueue(id) };
    list.push({ id, title: `Waiting: ${text.slice(0, 80)}`, detail: '', progress: null, stop });
  }
  if (completion.store.getState().status.state === 'working') {
    list.push({
      id: 'completion',
      title: 'A suggestion',
      detail: 'The next key ends it',
      progress: null,
      isMinor: true,
      stop: null,
    });
  }
  return list;
}

function libraryActivities({ library }: Model): Activity[] {
  const { library: state } = library.store.getState();
  if (state === null) return [];
  const downloads = state.downloads
    .filter(({ state: now }) => now === 'running' || now === 'queued')
    .map(
      ({ id, title, nDone, nTotal, bytesPerSecond }): Activity => ({
        id: `download ${id}`,
        title: `Downloading ${title}`,
        detail: `${formatBytes(nDone)}${nTotal ? ` of ${formatBytes(nTotal)}` : ''}${bytesPerSecond > 0 ? `, ${formatBytes(bytesPerSecond)}/s` : ''}`,
        progress: nTotal ? nDone / nTotal : null,
        stop: { label: `Pause ${title}`, run: () => void library.run((app) => app.pauseDownload({ id })) },
      }),
    );
  const jobs = state.models.flatMap(({ id, name, job }): Activity[] => {
    if (!job) return [];
    const stop = { label: `Stop it for ${name}`, run: () => void library.run((app) => app.cancelJob({ id })) };
    return [
      {
        id: `job ${id}`,
        title: `${kJobs[job.kind]} ${name}`,
        detail: job.progress === null ? '' : percent(job.progress),
        progress: job.progress,
        // Half of a library in one folder and half in another would be worse than waiting.
        stop: job.kind === 'move' ? null : stop,
      },
    ];
  });
  return [...downloads, ...jobs];
}

function searchActivities({ search }: Model): Activity[] {
  const { status, form, files } = search.store.getState();
  if (status !== 'running') return [];
  const stop = { label: 'Stop the search', run: () => search.stop() };
  return [
    { id: 'search', title: `Searching for “${form.pattern}”`, detail: `${files.length} files`, progress: null, stop },
  ];
}

function gitActivities({ git }: Model): Activity[] {
  const { busy } = git.store.getState();
  return busy === null ? [] : [{ id: 'git', title: `Git: ${busy}`, detail: '', progress: null, stop: null }];
}

function terminalActivities({ terminals }: Model): Activity[] {
  return terminals.store
    .getState()
    .tabs.filter(({ state }) => state === 'running')
    .map(({ key, title }) => ({
      id: `terminal ${key}`,
      title: `Terminal: ${title}`,
      detail: '',
      progress: null,
      isMinor: true,
      stop: { label: `End ${title}`, run: () => terminals.close(key) },
    }));
}

function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

/** All of it, drawn again whenever any part changes. */
export function useActivities(model: Model): Activity[] {
  const states = [
    useStore(model.models.store),
    useStore(model.chat.store, (state) => state.reply),
    useStore(model.chat.store, (state) => state.queue),
    useStore(model.completion.store, (state) => state.status.state),
    useStore(model.library.store, (state) => state.library),
    useStore(model.search.store),
    useStore(model.git.store, (state) => state.busy),
    useStore(model.terminals.store, (state) => state.tabs),
  ];
  // Each part that it reads is one of the states.
  return useMemo(() => activitiesOf(model), [model, ...states]);
}
