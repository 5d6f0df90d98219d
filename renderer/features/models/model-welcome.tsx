// The chat without a message: which model answers, or how far it is, or why it cannot and what to do.
import { CirclePause, Cpu, MessageSquareText } from 'lucide-react';
import { useStore } from 'zustand';
import { formatBytes, formatCount, formatDuration } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Notice } from '../../ui/notice.tsx';
import { ProgressBar, Spinner } from '../../ui/progress.tsx';
import type { ModelStore } from './model-store.ts';
import styles from './model-welcome.module.css';

interface ModelWelcomeProps {
  models: ModelStore;
  onStopLoading: () => void;
  onLoad: () => void;
}

export function ModelWelcome({ models, onStopLoading, onLoad }: ModelWelcomeProps) {
  const { status, process } = useStore(models.store);
  if (process.state === 'failed') {
    return (
      <Failure
        message={
          process.cause === 'device'
            ? 'The GPU stopped working several times, and the engine is not running.'
            : 'The engine stopped several times and is not running.'
        }
        hint={process.reason}
        actions={
          <>
            <Button kind="primary" onClick={() => void models.restartEngine()}>
              Start It Again
            </Button>
            {process.cause === 'device' ? (
              <Button onClick={() => void models.leaveGpus()}>Use the Processor</Button>
            ) : null}
            <Button onClick={() => void models.chooseFile()}>Choose Another Model…</Button>
          </>
        }
      />
    );
  }
  if (status === null || status.state === 'idle') {
    return (
      <EmptyState icon={<Spinner size={22} />} title="Starting the engine">
        {status ? <Button onClick={() => void models.chooseFile()}>Choose a Model…</Button> : null}
      </EmptyState>
    );
  }
  if (status.state === 'loading') {
    return (
      <EmptyState
        icon={<Cpu size={26} strokeWidth={1.5} aria-hidden />}
        title="Loading the model"
        text={fileName(status.modelPath)}
      >
        <div className={styles.bar}>
          <ProgressBar label="Loading the model" value={status.progress} />
        </div>
        <Button onClick={onStopLoading}>Stop Loading</Button>
      </EmptyState>
    );
  }
  if (status.state === 'stopped') {
    return (
      <EmptyState
        icon={<CirclePause size={26} strokeWidth={1.5} aria-hidden />}
        title="Loading was stopped"
        text={`${fileName(status.modelPath)} is loaded when you ask something, or now.`}
      >
        <Button onClick={onLoad}>Load It Now</Button>
      </EmptyState>
    );
  }
  if (status.state === 'failed') {
    const { code, message, hint, detail } = status.error;
    return (
      <Failure
        message={message}
        hint={hint}
        detail={[`File: ${status.modelPath}`, detail].filter(Boolean).join('\n')}
        actions={
          <>
            <Button onClick={() => void models.reload()}>Try Again</Button>
            {code === 'DEVICE_UNAVAILABLE' ? (
              <Button onClick={() => void models.leaveGpus()}>Use the Processor</Button>
            ) : null}
            <Button onClick={() => void models.chooseFile()}>Choose Another Model…</Button>
            <Button onClick={() => void models.loadDefault()}>Use the Default Model</Button>
          </>
        }
      />
    );
  }
  const { name, fileType, fileBytes, nCtx, backend, loadMs } = status.model;
  return (
    <EmptyState
      icon={<MessageSquareText size={26} strokeWidth={1.5} aria-hidden />}
      title="Ask about code"
      text="Answers are computed on this machine."
    >
      <dl className={styles.facts}>
        <dt>Model</dt>
        <dd>{name}</dd>
        <dt>Format</dt>
        <dd>
          {fileType}, {formatBytes(fileBytes)}
        </dd>
        <dt>Context</dt>
        <dd>{formatCount(nCtx)} tokens</dd>
        <dt>Runs on</dt>
        <dd>
          {backend}, loaded in {formatDuration(loadMs)}
        </dd>
      </dl>
    </EmptyState>
  );
}

interface FailureProps {
  message: string;
  hint?: string | undefined;
  detail?: string | undefined;
  actions: React.ReactNode;
}

function Failure(props: FailureProps) {
  return (
    <div role="alert">
      <Notice kind="error" {...props} />
    </div>
  );
}

function fileName(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}
