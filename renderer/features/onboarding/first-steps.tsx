// What somebody sees who starts Outpost for the first time: what it is, whether the model is ready, and three things to
// try. Each of them works at once, with or without a folder; the commands bring it back.
import { Check, FolderOpen, MessageSquareText, Sparkles } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Keys } from '../../ui/keys.tsx';
import { ProgressBar } from '../../ui/progress.tsx';
import styles from './first-steps.module.css';

export interface FirstStep {
  title: string;
  text: string;
  label: string;
  keys: readonly string[];
  isDone: boolean;
  run: () => void;
}

interface FirstStepsProps {
  /** Null: the model answers now. */
  modelWait: { text: string; progress: number | null; action: { label: string; run: () => void } | null } | null;
  modelName: string | null;
  /** By a model that need not be the one that answers. */
  canComplete: boolean;
  folder: FirstStep;
  completion: FirstStep;
  question: FirstStep;
  onClose: () => void;
}

export function FirstSteps(props: FirstStepsProps) {
  const { modelWait, modelName, canComplete, folder, completion, question, onClose } = props;
  return (
    <Dialog
      title="Welcome to Outpost"
      description="A code assistant that lives on this machine: it completes what you type, answers questions and edits files, without a network and without an account."
      size="wide"
      actions={
        <Button kind={folder.isDone ? 'primary' : 'plain'} onClick={onClose}>
          Start Working
        </Button>
      }
      onClose={onClose}
    >
      <div className={styles.model} role="status">
        {modelWait === null ? (
          <>
            <Check size={16} aria-hidden className={styles.done} />
            <span>{modelName ?? 'The model'} is ready.</span>
          </>
        ) : (
          <>
            <span>{modelWait.text}</span>
            {modelWait.progress === null ? null : (
              <div className={styles.bar}>
                <ProgressBar label="Loading the model" value={modelWait.progress} />
              </div>
            )}
            {modelWait.action ? <Button onClick={modelWait.action.run}>{modelWait.action.label}</Button> : null}
          </>
        )}
      </div>
      <ol className={styles.steps}>
        <Step step={completion} icon={<Sparkles size={20} aria-hidden />} isBlocked={!canComplete} />
        <Step step={question} icon={<MessageSquareText size={20} aria-hidden />} isBlocked={modelWait !== null} />
        <Step step={folder} icon={<FolderOpen size={20} aria-hidden />} isBlocked={false} />
      </ol>
    </Dialog>
  );
}

function Step({ step, icon, isBlocked }: { step: FirstStep; icon: ReactNode; isBlocked: boolean }) {
  const { title, text, label, keys, isDone, run } = step;
  return (
    <li className={styles.step}>
      <span className={styles.icon}>{icon}</span>
      <div className={styles.text}>
        <h3 className={styles.title}>{title}</h3>
        <p className={styles.hint}>{text}</p>
      </div>
      {isDone ? (
        <span className={styles.doneText}>
          <Check size={16} aria-hidden className={styles.done} /> Done
        </span>
      ) : null}
      <div className={styles.action}>
        <Button disabled={isBlocked} onClick={run}>
          {label}
        </Button>
        <Keys keys={keys} />
      </div>
    </li>
  );
}
