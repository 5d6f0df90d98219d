// What became of each request for a suggestion, and where its time went. Kept for this session only.
import type { GenerateStats } from '../../../electron/common/engine-contract.ts';

export interface LoggedSuggestion {
  id: number;
  path: string;
  trigger: 'typed' | 'asked';
  /** `cached`: typed along a suggestion that was there already, or made ahead. */
  outcome: 'shown' | 'cached' | 'dropped' | 'cancelled' | 'failed';
  /** In words, for an outcome that shows nothing. */
  reason: string | null;
  /** From the key to the text, everything below included but the painting. */
  totalMs: number;
  /** The pause after suggestions that were dismissed. */
  waitMs: number;
  /** To put together what the engine reads. */
  contextMs: number;
  /** Parts of other files in it. */
  nFiles: number;
  /** The engine and the way to it and back. */
  engineMs: number;
  filterMs: number;
  /** From the text to the screen; null if it did not get there, or not yet. */
  paintMs: number | null;
  /** When the text was there. */
  atMs: number;
  /** Null where the engine said nothing. */
  stats: GenerateStats | null;
  nChars: number;
}

/** Takes the times of one request while it goes its way. */
export class LogEntry {
  readonly #request: Pick<LoggedSuggestion, 'path' | 'trigger'>;
  readonly #elapsedMs: () => number;
  #last = 0;
  readonly #spans = { waitMs: 0, contextMs: 0, engineMs: 0, filterMs: 0 };
  nFiles = 0;

  constructor(request: Pick<LoggedSuggestion, 'path' | 'trigger'>, elapsedMs: () => number) {
    this.#request = request;
    this.#elapsedMs = elapsedMs;
  }

  /** The span ends here; the next begins. */
  mark(span: 'waitMs' | 'contextMs' | 'engineMs' | 'filterMs'): void {
    const nowMs = this.#elapsedMs();
    this.#spans[span] = nowMs - this.#last;
    this.#last = nowMs;
  }

  of(outcome: LoggedSuggestion['outcome'], more: Partial<LoggedSuggestion> = {}): Omit<LoggedSuggestion, 'id'> {
    const totalMs = this.#elapsedMs();
    const nothing = { reason: null, stats: null, nChars: 0, paintMs: null, atMs: 0 };
    return { ...this.#request, outcome, totalMs, ...this.#spans, nFiles: this.nFiles, ...nothing, ...more };
  }
}

const kMostKept = 200;

export function logged(log: readonly LoggedSuggestion[], entry: Omit<LoggedSuggestion, 'id'>): LoggedSuggestion[] {
  return [...log, { ...entry, id: (log.at(-1)?.id ?? 0) + 1 }].slice(-kMostKept);
}

/** The newest text is on the screen now. */
export function painted(log: readonly LoggedSuggestion[], atMs: number): readonly LoggedSuggestion[] {
  const last = log.at(-1);
  if (last === undefined || last.paintMs !== null || last.nChars === 0) return log;
  return [...log.slice(0, -1), { ...last, paintMs: Math.max(0, atMs - last.atMs) }];
}

export interface Latency {
  p50: number;
  p90: number;
  n: number;
}

/** Of the suggestions that the user saw, from the key on; null while there is none. */
export function latency(log: readonly LoggedSuggestion[], outcome: 'shown' | 'cached' = 'shown'): Latency | null {
  const seen = log.filter((entry) => entry.outcome === outcome);
  const times = seen.map(({ totalMs, paintMs }) => totalMs + (paintMs ?? 0)).sort((a, b) => a - b);
  if (times.length === 0) return null;
  // The smallest time that at least this share of all does not exceed.
  const at = (share: number) => times[Math.max(0, Math.ceil(times.length * share) - 1)] ?? 0;
  return { p50: at(0.5), p90: at(0.9), n: times.length };
}
