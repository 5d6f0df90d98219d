// What is on its way: how far, how fast, how long still, and what stands in its way.
import { Pause, Play, X } from 'lucide-react';
import type { DownloadView } from '../../../electron/common/model-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Notice } from '../../ui/notice.tsx';
import { ProgressBar } from '../../ui/progress.tsx';
import styles from './download-list.module.css';
import type { LibraryStore } from './library-store.ts';
import { TokenButton } from './token-field.tsx';

export function DownloadList({ models, downloads }: { models: LibraryStore; downloads: readonly DownloadView[] }) {
  return (
    <ul aria-label="Downloads" className={styles.list}>
      {downloads.map((download) => (
        <li key={download.id} aria-label={download.title} className={styles.item}>
          <Row models={models} download={download} />
          {download.error ? (
            <div role="alert">
              <Notice
                kind="error"
                message={download.error.message}
                hint={download.error.hint}
                detail={download.error.detail}
                actions={
                  <>
                    <Button onClick={() => void models.run((app) => app.resumeDownload({ id: download.id }))}>
                      Go On
                    </Button>
                    <TokenButton models={models} error={download.error} />
                  </>
                }
              />
            </div>
          ) : null}
        </li>
      ))}
    </ul>
  );
}

function Row({ models, download }: { models: LibraryStore; download: DownloadView }) {
  const { id, title, state, nDone, nTotal } = download;
  const isStopped = state === 'paused' || state === 'failed';
  return (
    <div className={styles.row}>
      <div className={styles.text}>
        <span className={styles.title}>{title}</span>
        <span className={styles.state}>{stateText(download)}</span>
        <ProgressBar label={`${title}, ${stateText(download)}`} value={nTotal ? nDone / nTotal : 0} />
      </div>
      {isStopped ? (
        <IconButton label={`Go on with ${title}`} onClick={() => void models.run((app) => app.resumeDownload({ id }))}>
          <Play size={15} aria-hidden />
        </IconButton>
      ) : (
        <IconButton label={`Pause ${title}`} onClick={() => void models.run((app) => app.pauseDownload({ id }))}>
          <Pause size={15} aria-hidden />
        </IconButton>
      )}
      <IconButton
        label={`Stop ${title} and delete what has arrived`}
        onClick={() => void models.run((app) => app.removeDownload({ id }))}
      >
        <X size={15} aria-hidden />
      </IconButton>
    </div>
  );
}

const steps: Record<DownloadView['step'], string> = {
  connecting: 'Connecting',
  downloading: 'Downloading',
  verifying: 'Checking the hash',
  repairing: 'Looking for the damaged part',
  assembling: 'Putting the parts together',
};

function stateText({ state, step, nDone, nTotal, bytesPerSecond, secondsLeft }: DownloadView): string {
  const size = nTotal === null ? formatBytes(nDone) : `${formatBytes(nDone)} of ${formatBytes(nTotal)}`;
  if (state === 'queued') return 'Waiting for the one before it';
  if (state === 'paused') return `Paused at ${size}`;
  if (state === 'failed') return `Stopped at ${size}`;
  if (step !== 'downloading') return `${steps[step]}…`;
  const speed = bytesPerSecond > 0 ? `, ${formatBytes(bytesPerSecond)}/s` : '';
  const left = secondsLeft !== null ? `, ${timeLeft(secondsLeft)} left` : '';
  return `${size}${speed}${left}`;
}

/** Coarse: it is a guess. */
function timeLeft(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
