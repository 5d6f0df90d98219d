// Decides when to ask the engine for an inline completion and what of its answer is shown. Every silence has a
// reason that the status bar can tell. Monaco's part is in editor/inline-completions.ts.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { EngineApi } from '../../../electron/common/api.ts';
import type { CompleteResult } from '../../../electron/common/engine-contract.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { InlineSuggester, SuggestRequest } from '../../editor/inline-completions.ts';
import { addedClosers, type FilterReason, type FilterResult, filterCompletion } from '../../lib/completion-filter.ts';
import { BackOff } from './back-off.ts';
import { CompletionCache, isSamePlace } from './completion-cache.ts';
import { LogEntry, type LoggedSuggestion, logged, painted } from './completion-log.ts';
import { completionMode, silence } from './completion-rules.ts';
import type { ContextFile } from './context-files.ts';
import { pause } from './pause.ts';

export type CompletionStatus =
  | { state: 'idle' }
  | { state: 'off' }
  | { state: 'noModel' }
  /** Several suggestions were dismissed: the engine is asked after a pause. */
  | { state: 'waiting'; ms: number }
  | { state: 'working' }
  | { state: 'shown'; ms: number }
  /** A change at another place is proposed. */
  | { state: 'nextEdit' }
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
  /** Whether the model sees what follows the cursor. */
  fillsGaps: () => boolean;
  repository: () => string;
  filesFor: (path: string) => ContextFile[];
  /** What a suggestion may quote, the most likely first. */
  openTexts: () => string[];
  pathOf: (bufferId: string) => string;
  nowMs: () => number;
}

type Place = Omit<SuggestRequest, 'isExplicit'>;

interface AskOptions {
  isWarmUp?: boolean;
  mode?: 'line' | 'block';
  log?: LogEntry;
}

/**
 * Token limits: a line of code is rarely longer than 24 tokens (the 95th percentile of lines is about 73
 * characters); a block stops to be read as one thought after a few lines.
 */
const kTokens = { line: 24, block: 64 };
/** By then the user has gone on by himself; what there is of a suggestion is shown. */
const kDeadlineMs = 10_000;

export class CompletionStore implements InlineSuggester {
  readonly store: StoreApi<CompletionState> = createStore<CompletionState>(() => ({
    status: { state: 'idle' },
    log: [],
  }));
  readonly #deps: CompletionDeps;
  readonly #cache = new CompletionCache();
  readonly #backOff = new BackOff();
  #last: Place | null = null;
  /** What the user took back in front of the cursor, until something else is typed. */
  #deleted = '';
  /** The text after the cursor as the engine has it, without closing marks that came since. */
  #suffix: { bufferId: string; text: string } | null = null;
  /** The next suggestion, made while this one is on the screen. */
  #ahead: { place: Place; abort: AbortController; done: Promise<void> } | null = null;
  #warmUp: AbortController | null = null;

  constructor(deps: CompletionDeps) {
    this.#deps = deps;
  }

  async suggest(request: SuggestRequest, signal: AbortSignal): Promise<string | null> {
    const { isOn, isModelReady, fillsGaps, pathOf, nowMs } = this.#deps;
    const { isExplicit, ...place } = request;
    const startMs = nowMs();
    this.#warmUp?.abort();
    if (!isOn() && !isExplicit) return this.#silent({ state: 'off' });
    this.#noteDeletion(place);

    const trigger = isExplicit ? 'asked' : 'typed';
    const log = new LogEntry({ path: pathOf(place.bufferId), trigger }, () => nowMs() - startMs);
    const cached = await this.#fromCache(place, signal);
    if (cached !== null) return this.#show(place, cached, log.of('cached', { nChars: cached.length }));
    if (!isModelReady()) return this.#silent({ state: 'noModel' });
    const reason = isExplicit ? null : silence(place.prefix, place.suffix, fillsGaps());
    if (reason !== null) return this.#silent({ state: 'none', reason });

    try {
      if (!isExplicit) await this.#backOffPause(signal);
      log.mark('waitMs');
      this.#set({ state: 'working' });
      const result = await this.#ask(place, signal, { log });
      signal.throwIfAborted();
      log.mark('engineMs');
      // Asked for it, the user wants to see even what the model is not sure of.
      const filtered = this.#filter(place, isExplicit ? { ...result, confidence: null } : result);
      log.mark('filterMs');
      if ('reason' in filtered) {
        this.#log(log.of('dropped', { reason: filtered.reason, stats: result.stats }));
        return this.#silent({ state: 'none', reason: filtered.reason });
      }
      this.#cache.add({ ...place, text: filtered.text });
      const entry = log.of('shown', { stats: result.stats, nChars: filtered.text.length });
      return this.#show(place, filtered.text, entry);
    } catch (error) {
      if (signal.aborted) {
        this.#log(log.of('cancelled'));
        // A newer request may be at work already; only an unclaimed state goes back.
        if (['working', 'waiting'].includes(this.store.getState().status.state)) this.#set({ state: 'idle' });
        throw error;
      }
      const { code, message } = toErrorInfo(error);
      this.#log(log.of('failed', { reason: message }));
      return this.#silent(code === 'ENGINE_NOT_READY' ? { state: 'noModel' } : { state: 'failed', message });
    }
  }

  shown(): void {
    const atMs = this.#deps.nowMs();
    this.store.setState(({ log }) => ({ log: painted(log, atMs) }));
  }

  accepted(): void {
    this.#backOff.accepted(this.#deps.nowMs());
    this.#set({ state: 'idle' });
  }

  rejected(): void {
    if (this.#last) this.#cache.forget(this.#last);
    this.#backOff.dismissed(this.#deps.nowMs());
    this.#stopAhead();
    this.#set({ state: 'idle' });
  }

  /** The switch or the model changed: what the chip says and what was made is out of date. */
  reset(): void {
    this.#cache.clear();
    this.#stopAhead();
    // A change at another place, which no model proposed, is still on the screen.
    if (this.store.getState().status.state !== 'nextEdit') this.#set({ state: 'idle' });
  }

  /** What the engine would write on one line between two texts; null if that is not fit to be shown. */
  async writeLine(place: Place, signal: AbortSignal): Promise<string | null> {
    if (!this.#deps.isModelReady() || !this.#deps.fillsGaps()) return null;
    const { text, confidence } = await this.#ask(place, signal, { mode: 'line' });
    const filtered = filterCompletion(text.split('\n', 1)[0] ?? '', { ...place, confidence });
    return 'text' in filtered ? filtered.text : null;
  }

  /** What is on the screen, or no longer, is not of this store's making. */
  otherProposal(isShown: boolean): void {
    this.#set({ state: isShown ? 'nextEdit' : 'idle' });
  }

  /** Brings the prompt of a place into the engine's cache while nobody types. */
  async warmUp(place: Place): Promise<void> {
    const { isOn, isModelReady } = this.#deps;
    if (!isOn() || !isModelReady()) return;
    this.#warmUp?.abort();
    const abort = new AbortController();
    this.#warmUp = abort;
    // A key may end it, and a failure shows when there is somebody to see it.
    await this.#ask(place, abort.signal, { isWarmUp: true }).catch(() => {});
  }

  async #fromCache(place: Place, signal: AbortSignal): Promise<string | null> {
    const found = this.#cache.find(place);
    if (found !== null) return found;
    const ahead = this.#ahead;
    if (ahead === null) return null;
    if (!isSamePlace(ahead.place, place)) {
      this.#stopAhead();
      return null;
    }
    // It is on its way already; the next key ends the wait, not the work.
    await Promise.race([ahead.done, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    signal.throwIfAborted();
    return this.#cache.find(place);
  }

  async #backOffPause(signal: AbortSignal): Promise<void> {
    const ms = this.#backOff.delayMs(this.#deps.nowMs());
    if (ms === 0) return;
    this.#set({ state: 'waiting', ms });
    await pause(ms, signal);
  }

  #ask(
    { bufferId, languageId, prefix, suffix }: Place,
    signal: AbortSignal,
    { isWarmUp = false, mode = completionMode(prefix, restOfLine(suffix)), log }: AskOptions = {},
  ): Promise<CompleteResult> {
    const { engine, pathOf, repository, filesFor, openTexts } = this.#deps;
    const path = pathOf(bufferId);
    const sides = { prefix, suffix: this.#frozenSuffix(bufferId, suffix) };
    const files = filesFor(path);
    const context = { path, languageId, repository: repository(), files };
    if (log) log.nFiles = files.length;
    log?.mark('contextMs');
    // The engine remembers texts: they come with what nobody waits for, and cost no key any time.
    const more = isWarmUp ? { texts: openTexts() } : { deadlineMs: kDeadlineMs };
    return engine.complete({ ...context, ...sides, mode, maxTokens: kTokens[mode], isWarmUp, ...more }, { signal });
  }

  /** A bracket that closed itself would make the engine read everything after the cursor again. */
  #frozenSuffix(bufferId: string, suffix: string): string {
    const frozen = this.#suffix;
    if (frozen?.bufferId === bufferId && addedClosers(frozen.text, suffix) !== null) return frozen.text;
    this.#suffix = { bufferId, text: suffix };
    return suffix;
  }

  #filter({ prefix, suffix }: Place, { text, confidence }: Pick<CompleteResult, 'text' | 'confidence'>): FilterResult {
    const raw = completionMode(prefix, restOfLine(suffix)) === 'line' ? (text.split('\n', 1)[0] ?? '') : text;
    return filterCompletion(raw, { prefix, suffix, deleted: this.#deleted, confidence });
  }

  #show(place: Place, text: string, entry: Omit<LoggedSuggestion, 'id'>): string {
    this.#log(entry);
    this.#set({ state: 'shown', ms: entry.totalMs });
    void this.#prepareNext({ ...place, prefix: place.prefix + text });
    return text;
  }

  /** What would come if this suggestion were accepted. */
  async #prepareNext(place: Place): Promise<void> {
    const { fillsGaps } = this.#deps;
    if (this.#ahead && isSamePlace(this.#ahead.place, place)) return;
    this.#stopAhead();
    if (this.#cache.find(place) !== null || silence(place.prefix, place.suffix, fillsGaps()) !== null) return;
    const abort = new AbortController();
    const run = async () => {
      const result = await this.#ask(place, abort.signal);
      const filtered = this.#filter(place, result);
      if (!abort.signal.aborted && 'text' in filtered) this.#cache.add({ ...place, text: filtered.text });
    };
    // Nobody waits for it: whatever goes wrong shows when it is asked for.
    const done = run().catch(() => {});
    const ahead = { place, abort, done };
    this.#ahead = ahead;
    await done;
    if (this.#ahead === ahead) this.#ahead = null;
  }

  #stopAhead(): void {
    this.#ahead?.abort.abort();
    this.#ahead = null;
  }

  #noteDeletion(place: Place): void {
    const last = this.#last;
    this.#last = place;
    const isSame = last?.bufferId === place.bufferId && last.suffix === place.suffix;
    const isShorter = isSame && last.prefix.length > place.prefix.length && last.prefix.startsWith(place.prefix);
    if (isShorter) this.#deleted = last.prefix.slice(place.prefix.length) + this.#deleted;
    else if (!isSame || last.prefix !== place.prefix) this.#deleted = '';
  }

  #silent(status: CompletionStatus): null {
    this.#set(status);
    return null;
  }

  #log(entry: Omit<LoggedSuggestion, 'id'>): void {
    this.store.setState((state) => ({ log: logged(state.log, { ...entry, atMs: this.#deps.nowMs() }) }));
  }

  #set(status: CompletionStatus): void {
    this.store.setState({ status });
  }
}

function restOfLine(suffix: string): string {
  return suffix.split('\n', 1)[0] ?? '';
}
