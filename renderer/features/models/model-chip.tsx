// The status bar's word on the model: its name when it is ready, otherwise its state. A click opens the view of models.
import { CircleAlert, CirclePause, Cpu } from 'lucide-react';
import { useStore } from 'zustand';
import { formatBytes } from '../../lib/format.ts';
import { Spinner } from '../../ui/progress.tsx';
import { Tooltip } from '../../ui/tooltip.tsx';
import { type ModelStore, notReadyReason } from './model-store.ts';

interface ModelChipProps {
  models: ModelStore;
  className: string | undefined;
  onOpen: () => void;
}

export function ModelChip({ models, className, onOpen }: ModelChipProps) {
  const state = useStore(models.store);
  const { status, process } = state;
  const reason = notReadyReason(state);
  const isFailed = process.state === 'failed' || status?.state === 'failed';
  const label = status?.state === 'ready' ? status.model.name : (reason ?? '');
  const long =
    status?.state === 'ready'
      ? `${status.model.name}, ${formatBytes(status.model.weightBytes)} of weights, ${status.model.backend}.`
      : label;
  return (
    <Tooltip side="top" label={`${long} Click for all models.`}>
      <button
        type="button"
        className={className}
        aria-label={`Model: ${label}`}
        data-failed={isFailed}
        onClick={onOpen}
      >
        {isFailed ? (
          <CircleAlert size={13} aria-hidden />
        ) : status?.state === 'stopped' ? (
          <CirclePause size={13} aria-hidden />
        ) : reason === null ? (
          <Cpu size={13} aria-hidden />
        ) : (
          <Spinner size={13} />
        )}
        {label}
      </button>
    </Tooltip>
  );
}
