// Suggestions that were made, for typing along one, for going back to where one was, and for the next one, made ahead
// for the case that this one is accepted.
import { typeThrough } from '../../lib/completion-filter.ts';

export interface CachedSuggestion {
  bufferId: string;
  prefix: string;
  suffix: string;
  text: string;
}

/** Half an hour of typing. The texts around share their strings with the requests that they come from. */
const kMostKept = 100;

export class CompletionCache {
  /** Newest last. */
  #entries: CachedSuggestion[] = [];

  add(entry: CachedSuggestion): void {
    this.#entries = [...this.#entries.filter((old) => !isSamePlace(old, entry)), entry].slice(-kMostKept);
  }

  /** What is left of a suggestion at this place; the newest that fits. */
  find(now: Omit<CachedSuggestion, 'text'>): string | null {
    for (const entry of this.#entries.toReversed()) {
      const rest = entry.bufferId === now.bufferId ? typeThrough(entry, now) : null;
      if (rest !== null) return rest;
    }
    return null;
  }

  /** The user dismissed what was shown at this place: it does not come back. */
  forget(now: Omit<CachedSuggestion, 'text'>): void {
    this.#entries = this.#entries.filter(
      (entry) => entry.bufferId !== now.bufferId || typeThrough(entry, now) === null,
    );
  }

  clear(): void {
    this.#entries = [];
  }
}

export function isSamePlace(a: Omit<CachedSuggestion, 'text'>, b: Omit<CachedSuggestion, 'text'>): boolean {
  return a.bufferId === b.bufferId && a.prefix === b.prefix && a.suffix === b.suffix;
}
