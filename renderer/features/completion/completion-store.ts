// Decides when to ask the engine for an inline completion and what of its answer is shown. Every silence has a
// reason that the status bar can tell. Monaco's part is in editor/inline-completions.ts.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { EngineApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { InlineSuggester, SuggestRequest } from '../../editor/inline-completions.ts';
import { type FilterReason, filterCompletion, typeThrough } from '../../lib/completion-filter.ts';
import { type LoggedSuggestion, logged } from './completion-log.ts';

export type CompletionStatus =
  | { state: 'idle' }
  | { state: 'off' }
  | { state: 'noModel' }
  | { state: 'working' }
  | { state: 'shown'; ms: number }
  | { state: 'none'; reason: FilterReason | 'short' | 'middle' }
  | { state: 'failed'; message: string };

export interface CompletionState {
  status: CompletionStatus;
  /** Newest last. */
  log: readonly LoggedSuggestion[];
}

export interface CompletionDeps {
  engine: EngineApi;
  isOn: () => boolean;
  isModelReady: () => boolean;
  pathOf: (bufferId: string) => string;
  nowMs: () => number;
}

/**
 * A pause in typing before the engine is asked: shorter than the gap between words, longer than the one between
 * the letters of a fast typist (about 70 ms), so that a burst costs one request.
 */
const kDelayMs = 75;

/** Fewer letters than this before the cursor say nothing about what comes next. */
const kFewestLetters = 3;

/**
 * Token limits: a line of code is rarely longer than 24 tokens (the 95th percentile of lines is about 73
 * characters); a block stops to be read as one thought after a few lines.
 */
const kLineTokens = 24;
const kBlockTokens = 64;

/** A cursor in front of more than closing marks is inside a line, where a prefix-only model guesses badly. */
const kOnlyClosers = /^[\s)\]}>;,'"`]*$/;

export class CompletionStore implements InlineSuggester {
  readonly store: StoreApi<CompletionState> = createStore<CompletionState>(() => ({
    status: { state: 'idle' },
    log: [],
  }));
  readonly #deps: CompletionDeps;
  #shown: { bufferId: string; prefix: string; suffix: string; text: string } | null = null;

  constructor(deps: CompletionDeps) {
    this.#deps = deps;
  }

  async suggest(request: SuggestRequest, signal: AbortSignal): Promise<string | null> {
    const { engine, isOn, isModelReady, pathOf, nowMs } = this.#deps;
    const { bufferId, languageId, prefix, suffix, isExplicit } = request;
    if (!isOn() && !isExplicit) return this.#silent({ state: 'off' });
    const rest = this.#shown?.bufferId === bufferId ? typeThrough(this.#shown, request) : null;
    const log = (entry: Pick<LoggedSuggestion, 'outcome'> & Partial<LoggedSuggestion>) => {
      const all = { path: pathOf(bufferId), reason: null, totalMs: 0, stats: null, nChars: 0, ...entry };
      this.store.setState((state) => ({ log: logged(state.log, all) }));
    };
    if (rest !== null) {
      log({ outcome: 'cached', nChars: rest.length });
      return rest;
    }
    this.#shown = null;
    if (!isModelReady()) return this.#silent({ state: 'noModel' });

    const restOfLine = suffix.split('\n', 1)[0] ?? '';
    if (!isExplicit && !kOnlyClosers.test(restOfLine)) return this.#silent({ state: 'none', reason: 'middle' });
    if (!isExplicit && prefix.trim().length < kFewestLetters) return this.#silent({ state: 'none', reason: 'short' });

    if (!isExplicit) await pause(kDelayMs, signal);
    const mode = completionMode(prefix, restOfLine);
    const startMs = nowMs();
    this.#set({ state: 'working' });
    try {
      const maxTokens = mode === 'line' ? kLineTokens : kBlockTokens;
      const path = pathOf(bufferId);
      const result = await engine.complete({ path, languageId, prefix, suffix, mode, maxTokens }, { signal });
      if (signal.aborted) {
        log({ outcome: 'cancelled', totalMs: nowMs() - startMs });
        return null;
      }
      const raw = mode === 'line' ? (result.text.split('\n', 1)[0] ?? '') : result.text;
      const filtered = filterCompletion(raw, { prefix, suffix });
      const { stats } = result;
      const totalMs = nowMs() - startMs;
      if ('reason' in filtered) {
        log({ outcome: 'dropped', reason: filtered.reason, totalMs, stats });
        return this.#silent({ state: 'none', reason: filtered.reason });
      }
      log({ outcome: 'shown', totalMs, stats, nChars: filtered.text.length });
      this.#shown = { bufferId, prefix, suffix, text: filtered.text };
      this.#set({ state: 'shown', ms: totalMs });
      return filtered.text;
    } catch (error) {
      if (signal.aborted) {
        log({ outcome: 'cancelled', totalMs: nowMs() - startMs });
        // A newer request may be at work already; only an unclaimed "working" goes back.
        if (this.store.getState().status.state === 'working') this.#set({ state: 'idle' });
        throw error;
      }
      const { code, message } = toErrorInfo(error);
      log({ outcome: 'failed', reason: message, totalMs: nowMs() - startMs });
      return this.#silent(code === 'ENGINE_NOT_READY' ? { state: 'noModel' } : { state: 'failed', message });
    }
  }

  accepted(): void {
    this.#shown = null;
    this.#set({ state: 'idle' });
  }

  rejected(): void {
    this.#shown = null;
    this.#set({ state: 'idle' });
  }

  /** The switch or the model changed: what the chip says is out of date. */
  reset(): void {
    this.#shown = null;
    this.#set({ state: 'idle' });
  }

  #silent(status: CompletionStatus): null {
    this.#set(status);
    return null;
  }

  #set(status: CompletionStatus): void {
    this.store.setState({ status });
  }
}

/** A block where one is about to start (an opened bracket, a colon, an empty line after code), otherwise a line. */
export function completionMode(prefix: string, restOfLine: string): 'line' | 'block' {
  if (restOfLine.trim() !== '') return 'line';
  const lineStart = prefix.lastIndexOf('\n') + 1;
  if (prefix.slice(lineStart).trim() !== '') return 'line';
  const above = prefix.slice(0, Math.max(0, lineStart - 1)).trimEnd();
  return /[{([:]$|=>$|\b(?:then|do)$/.test(above) ? 'block' : 'line';
}

/** Rejects with the abort at once when the signal fires. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
