// What the engine is doing for the running reply, from the queue to the last token.
import { formatCount, formatRate } from '../../lib/format.ts';
import { Notice } from '../../ui/notice.tsx';
import { ProgressBar, Spinner } from '../../ui/progress.tsx';
import type { Reply } from './reply.ts';
import styles from './reply-progress.module.css';

export function ReplyProgress({ reply }: { reply: Reply }) {
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
