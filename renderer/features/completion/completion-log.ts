// What became of each request for a suggestion, and where its time went. Kept for this session only.
import type { GenerateStats } from '../../../electron/common/engine-contract.ts';

export interface LoggedSuggestion {
  id: number;
  path: string;
  /** `cached`: typed along a suggestion that was there already. */
  outcome: 'shown' | 'cached' | 'dropped' | 'cancelled' | 'failed';
  /** In words, for an outcome that shows nothing. */
  reason: string | null;
  /** From the request to the text, without the pause in typing before it. */
  totalMs: number;
  /** Null where the engine said nothing. */
  stats: GenerateStats | null;
  nChars: number;
}

const kMostKept = 200;

export function logged(log: readonly LoggedSuggestion[], entry: Omit<LoggedSuggestion, 'id'>): LoggedSuggestion[] {
  return [...log, { ...entry, id: (log.at(-1)?.id ?? 0) + 1 }].slice(-kMostKept);
}

/** Of the suggestions that the engine wrote and the user saw; null while there is none. */
export function latency(log: readonly LoggedSuggestion[]): { p50: number; p90: number; n: number } | null {
  const times = log.filter(({ outcome }) => outcome === 'shown').map(({ totalMs }) => totalMs);
  if (times.length === 0) return null;
  times.sort((a, b) => a - b);
  // The smallest time that at least this share of all does not exceed.
  const at = (share: number) => times[Math.max(0, Math.ceil(times.length * share) - 1)] ?? 0;
  return { p50: at(0.5), p90: at(0.9), n: times.length };
}
