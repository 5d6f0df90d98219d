// What the engine is doing for the running reply, from the queue to the last token.
import { formatCount, formatRate } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { Notice } from '../../ui/notice.tsx';
import { ProgressBar, Spinner } from '../../ui/progress.tsx';
import type { Reply } from './reply.ts';
import styles from './reply-progress.module.css';

interface ReplyProgressProps {
  reply: Reply;
  /** Ends the load that it waits for. */
  onStopLoading: () => void;
}

export function ReplyProgress({ reply, onStopLoading }: ReplyProgressProps) {
  const { phase, loadProgress, nPrefillDone, nPrefillTotal, nDecoded, tokensPerSecond, nDropped } = reply;
  return (
    <div className={styles.progress}>
      {nDropped > 0 ? (
        <Notice
          kind="info"
          message={`The conversation was shortened to fit: the oldest ${nDropped === 1 ? 'message was' : `${nDropped} messages were`} left out.`}
        />
      ) : null}
      {phase === 'loading' ? (
        <>
          <p className={styles.line}>Waiting for the model: {Math.round(loadProgress * 100)} % loaded</p>
          <ProgressBar label="Loading the model" value={loadProgress} />
          <Button className={styles.stop} onClick={onStopLoading}>
            Stop Loading
          </Button>
        </>
      ) : phase === 'prefill' ? (
        <>
          <p className={styles.line}>
            Reading prompt {formatCount(nPrefillDone)} / {formatCount(nPrefillTotal)}
          </p>
          <ProgressBar label="Reading prompt" value={nPrefillTotal > 0 ? nPrefillDone / nPrefillTotal : 0} />
        </>
      ) : (
        <p className={styles.line}>
          <Spinner />
          {phase === 'waiting'
            ? 'Waiting for the engine'
            : `${formatRate(tokensPerSecond)} · ${formatCount(nDecoded)} tokens`}
        </p>
      )}
    </div>
  );
}
