// The latency panel: where the time of each suggestion went, and why there was none.
import { useStore } from 'zustand';
import { formatDuration } from '../../lib/format.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { type LoggedSuggestion, latency } from './completion-log.ts';
import type { CompletionStore } from './completion-store.ts';
import styles from './latency-dialog.module.css';

interface LatencyDialogProps {
  completion: CompletionStore;
  onClose: () => void;
}

const kOutcomes = {
  shown: 'Shown',
  cached: 'Shown, typed along',
  dropped: 'Dropped',
  cancelled: 'Cancelled by the next key',
  failed: 'Failed',
};

export function LatencyDialog({ completion, onClose }: LatencyDialogProps) {
  const log = useStore(completion.store, (state) => state.log);
  const summary = latency(log);
  return (
    <Dialog
      title="Latency of Suggestions"
      description={
        summary
          ? `Of ${summary.n} shown: half within ${formatDuration(summary.p50)}, nine of ten within ${formatDuration(summary.p90)}.`
          : 'No suggestion was shown since the start.'
      }
      size="wide"
      onClose={onClose}
    >
      {log.length === 0 ? (
        <p className={styles.empty}>Type in a file, and each request appears here.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long list scrolls, also by keyboard
        <section aria-label="Requests, newest first" tabIndex={0} className={styles.scroll}>
          <table className={styles.table}>
            <thead>
              <tr>
                <th scope="col">File</th>
                <th scope="col">Outcome</th>
                <th scope="col">All</th>
                <th scope="col">Queue</th>
                <th scope="col">Prefill</th>
                <th scope="col">Decode</th>
              </tr>
            </thead>
            <tbody>
              {[...log].reverse().map((entry) => (
                <Row key={entry.id} entry={entry} />
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Dialog>
  );
}

function Row({ entry: { path, outcome, reason, totalMs, stats } }: { entry: LoggedSuggestion }) {
  return (
    <tr>
      <td className={styles.path}>{path || 'Untitled'}</td>
      <td>{reason === null ? kOutcomes[outcome] : `${kOutcomes[outcome]}: ${reason}`}</td>
      <td>{formatDuration(totalMs)}</td>
      <td>{stats ? formatDuration(stats.queueMs) : ''}</td>
      <td>
        {stats ? `${formatDuration(stats.prefillMs)}, ${stats.nPrompt - stats.nReused} new of ${stats.nPrompt}` : ''}
      </td>
      <td>{stats ? `${formatDuration(stats.decodeMs)}, ${stats.nDecoded} tokens` : ''}</td>
    </tr>
  );
}
