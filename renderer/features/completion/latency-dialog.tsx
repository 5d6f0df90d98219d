// The latency panel: where the time of each suggestion went, and why there was none.
import { useStore } from 'zustand';
import { formatDuration } from '../../lib/format.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { type Latency, type LoggedSuggestion, latency } from './completion-log.ts';
import type { CompletionStore } from './completion-store.ts';
import styles from './latency-dialog.module.css';

interface LatencyDialogProps {
  completion: CompletionStore;
  onClose: () => void;
}

const kTriggers = { typed: 'Typing', asked: 'Asked for' };
const kOutcomes = {
  shown: 'Shown',
  cached: 'Shown at once',
  dropped: 'Dropped',
  cancelled: 'Cancelled by the next key',
  failed: 'Failed',
};

function inWords({ p50, p90, n }: Latency): string {
  return `${formatDuration(p50)} and ${formatDuration(p90)} of ${n}`;
}

export function LatencyDialog({ completion, onClose }: LatencyDialogProps) {
  const log = useStore(completion.store, (state) => state.log);
  const written = latency(log);
  const cached = latency(log, 'cached');
  return (
    <Dialog
      title="Latency of Suggestions"
      description={
        written === null && cached === null
          ? 'No suggestion was shown since the start.'
          : [
              'From the key to the screen, half and nine of ten.',
              written ? `Written by the engine: ${inWords(written)}.` : '',
              cached ? `Typed along or made ahead: ${inWords(cached)}.` : '',
            ]
              .filter(Boolean)
              .join(' ')
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
                <th scope="col">Trigger</th>
                <th scope="col">Outcome</th>
                <th scope="col">All</th>
                <th scope="col">Wait</th>
                <th scope="col">Context</th>
                <th scope="col">Prefill</th>
                <th scope="col">Decode</th>
                <th scope="col">Filter</th>
                <th scope="col">Paint</th>
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

function Row({ entry }: { entry: LoggedSuggestion }) {
  const { path, trigger, outcome, reason, totalMs, waitMs, contextMs, nFiles, filterMs, paintMs, stats } = entry;
  return (
    <tr>
      <td className={styles.path}>{path || 'Untitled'}</td>
      <td>{kTriggers[trigger]}</td>
      <td>{reason === null ? kOutcomes[outcome] : `${kOutcomes[outcome]}: ${reason}`}</td>
      <td>{formatDuration(totalMs + (paintMs ?? 0))}</td>
      <td>{stats ? formatDuration(waitMs + stats.queueMs) : ''}</td>
      <td>{stats ? `${formatDuration(contextMs)}, ${count(nFiles, 'part')} of other files` : ''}</td>
      <td>
        {stats ? `${formatDuration(stats.prefillMs)}, ${stats.nPrompt - stats.nReused} new of ${stats.nPrompt}` : ''}
      </td>
      <td>{stats ? `${formatDuration(stats.decodeMs)}, ${count(stats.nDecoded, 'token')}` : ''}</td>
      <td>{stats ? formatDuration(filterMs) : ''}</td>
      <td>{paintMs === null ? '' : formatDuration(paintMs)}</td>
    </tr>
  );
}

function count(n: number, noun: string): string {
  return `${n} ${n === 1 ? noun : `${noun}s`}`;
}
